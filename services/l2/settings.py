"""Settings of the l2 service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.book_settings import BookSettings
from libs.common.feed_settings import FeedSettings


class VenueSettings(BookSettings, FeedSettings):
    """Where the venues are."""

    def bases(self, venue: str) -> tuple[str, str]:
        """Return the WebSocket and REST base addresses of a venue."""
        if self.feed == "live":
            return self.live_hosts(venue)
        path = venue.removesuffix("-v1")  # one simulated exchange speaks both of Kraken's protocols
        rest = f"{self.simulator_url.rstrip('/')}/{path}"
        stream = rest.replace("http", "ws", 1)
        return (f"{stream}/v1" if venue == "kraken-v1" else stream), rest


class L2Settings(VenueSettings):
    """Which process of how many this is, and how patient it is."""

    model_config = SettingsConfigDict(env_prefix="L2_")

    group: str = Field("l2", description="consumer group that shares the books among l2 processes")
    instance: str = Field(
        "",
        description="stable and unique name of this process, for quick restarts; empty: a member of no name",
    )
    keyframe_s: float = Field(10.0, gt=0, description="seconds between keyframes of a book")
    top_interval_ms: int = Field(
        100, ge=1, le=3000, description="time between two tops of a book, on a beat common to all, ms"
    )
    gather_ms: int = Field(
        5, ge=0, le=100, description="how long a message waits for others to go to Kafka together, ms"
    )
    heartbeat_s: float = Field(1.0, gt=0, le=3, description="seconds between repeated healths of a book")
    sync_timeout_s: float = Field(8.0, gt=0, description="longest wait for a snapshot, seconds")
    buffer_messages: int = Field(10_000, ge=1, description="most deltas held while waiting for a snapshot")
    backoff_min_s: float = Field(0.25, gt=0, description="first pause of a failing resync, seconds")
    backoff_max_s: float = Field(30.0, gt=0, description="longest pause of a failing resync, seconds")
    given_up_s: float = Field(
        900.0, gt=0, description="pause of a book that its venue refuses or no keyframe can hold, seconds"
    )
    blocked_s: float = Field(
        600.0, gt=0, description="least pause of a venue that blocks this address, s; Bybit asks for 600"
    )
    history_days: int = Field(730, ge=0, le=1500, description="days of 1d candles backfilled; 0 is off")
    history_minutes: int = Field(1440, ge=0, le=10_000, description="minutes of 1m candles backfilled")
    max_frame_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="largest frame accepted, bytes")
