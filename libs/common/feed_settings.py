"""Settings of where the market's data come from, of all who ask there or say so."""

from __future__ import annotations

from pydantic import Field

from libs.common.settings import Settings


class FeedSettings(Settings):
    """The feed, and where the simulator is that serves all but the exchanges' own."""

    feed: str = Field(
        "simulator", description="simulator or replay:PATH, both served by the simulator; live: the exchanges"
    )
    simulator_url: str = Field("http://127.0.0.1:5100", description="base address of the simulator")

    @property
    def feed_kind(self) -> str:
        """Which of the feeds it is, without the path of what is replayed."""
        return self.feed.partition(":")[0]
