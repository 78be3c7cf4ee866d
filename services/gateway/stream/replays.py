"""Streams of old messages (``from=``): each has a reader of its own, that waits for its client.

A shell: it waits on the loop's clock. All of them together read no faster than their budget lets them, in
pieces of a few records between which everything else has its turn: the live does not wait for the old.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from libs.common.token_bucket import Rate, TokenBucket
from services.gateway.http.places import Places
from services.gateway.reading.sources import AWAY, unread
from services.gateway.stream.sse import KEEP_ALIVE, OPENED, frames_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence

    from libs.common.kafka import Record, Undecodable
    from libs.common.topics import Topic
    from services.gateway.reading.sources import OpenSource
    from services.gateway.settings import GatewaySettings
    from services.gateway.stream.sse import Start

LEAST: Final = 512  # what the smallest record counts for, bytes: its JSON is written all the same


@dataclass(eq=False)
class Replays:
    """The streams of old messages, their places and their budget."""

    settings: GatewaySettings
    open_source: OpenSource  # opens topics where a stream begins; a poll returns a few records at most
    clock: Callable[[], int]  # ns that do not go back
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  # for no seconds, it lets others run
    places: Places = field(init=False)
    read_bytes: int = field(default=0, init=False)  # read since the start, as the budget counts them
    _budget: TokenBucket = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        rate, what = self.settings.replay_bytes_per_s, "streams of old messages are open"
        self.places = Places.of(self.settings, "replay_max_streams", "replays", what, retry_after_s=5)
        self._budget = TokenBucket(Rate(rate, rate), self.clock())

    async def chunks(
        self,
        topics: Sequence[Topic],
        keys: Collection[bytes],
        start: Start,
        tell: Callable[[Exception | None], None],
    ) -> AsyncGenerator[bytes, None]:
        """Yield what stands in these topics from `start` on, and what comes.

        Parameters
        ----------
        keys
            Of the records that are wanted; empty: all.
        tell
            Called with why Kafka failed, and with None once the topics are open.

        Raises
        ------
        ProblemError
            503 if the topics cannot be read; one that fails later ends the stream.
        """
        opened, keep_alive_ns = False, round(self.settings.stream_keep_alive_s * NS_PER_S)
        try:
            async with self.open_source(topics, start) as source:
                opened = True
                tell(None)
                yield OPENED
                quiet_since = self.clock()
                while True:
                    records = await source.poll()
                    await self._pay(records)
                    wanted = (record for record in records if not keys or record.key in keys)
                    data = b"".join(new.data for new in frames_of(wanted))
                    if not data and self.clock() - quiet_since >= keep_alive_ns:
                        data = KEEP_ALIVE
                    if data:
                        yield data
                        quiet_since = self.clock()
        except AWAY as error:
            tell(error)
            if not opened:
                raise unread(topics) from error

    async def _pay(self, records: Sequence[Record | Undecodable]) -> None:
        """Wait until the budget has paid for what was read, wanted or not; let others run in any case.

        One pays at a time: so of all replays one piece has its turn, and then everything else, also where the
        machine is so busy that all of them are paid for at once.
        """
        if not records:
            await self.sleep(0)
            return
        count = sum(max(LEAST, len(record.key) + len(record.value or b"")) for record in records)
        async with self._turn:
            self.read_bytes += count
            await self.sleep(self._budget.spend(self.clock(), count) / NS_PER_S)
