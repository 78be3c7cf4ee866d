from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from libs.common.kafka import Record, Undecodable
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_TOPS
from services.gateway.settings import GatewaySettings
from services.gateway.stream.replays import LEAST, Replays
from tests.unit.services.gateway.world import KEY, a_book_top

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from libs.common.topics import Topic
    from services.gateway.stream.sse import Start

RATE = 4_096  # bytes/s
PIECES = 40


def a_record(offset: int, size: int, key: bytes = KEY) -> Record:
    return Record(
        topic=L2_BOOK_TOPS,
        partition=0,
        offset=offset,
        timestamp_ms=0,
        key=key,
        event=a_book_top(levels=1),
        value=b"x" * (size - len(key)),
    )


class OldLog:
    """A source whose pieces are there at once, so that a poll lets nobody else run."""

    def __init__(self, pieces: Sequence[Sequence[Record | Undecodable]]) -> None:
        self._pieces = list(pieces)
        self.polls = 0
        self.closed = False

    @asynccontextmanager
    async def open(self, _topics: Sequence[Topic], _start: Start) -> AsyncIterator[OldLog]:
        try:
            yield self
        finally:
            self.closed = True

    async def poll(self) -> Sequence[Record | Undecodable]:
        self.polls += 1
        if not self._pieces:
            await asyncio.Event().wait()  # nothing new comes
        return self._pieces.pop(0)

    def held_up(self, _topic: Topic) -> Mapping[int, str]:
        return {}


class Clock:
    """Time that passes only while somebody sleeps, to the end of the sleep that ends first."""

    def __init__(self) -> None:
        self.now = 0
        self.sleeps: list[float] = []

    def read(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + round(seconds * NS_PER_S)
        self.sleeps.append(seconds)
        await asyncio.sleep(0)
        self.now = max(self.now, until)


def replays_of(log: OldLog, clock: Clock) -> Replays:
    settings = GatewaySettings(replay_bytes_per_s=RATE)
    return Replays(settings, log.open, clock.read, clock.sleep)


async def received(replays: Replays, count: int, keys: frozenset[bytes] = frozenset()) -> list[bytes]:
    chunks = replays.chunks([L2_BOOK_TOPS], keys, "beginning", lambda _error: None)
    found = []
    async with asyncio.timeout(10), aclosing(chunks):
        async for chunk in chunks:
            found.append(chunk)
            if len(found) > count:
                break
    return found[1:]  # after the one that opens it


async def test_a_replay_is_read_no_faster_than_its_budget() -> None:
    clock = Clock()
    log = OldLog([[a_record(n, 1_024)] for n in range(PIECES)])
    replays = replays_of(log, clock)
    await received(replays, PIECES)
    assert replays.read_bytes == PIECES * 1_024
    burst = RATE  # a second's worth
    assert clock.now == (PIECES * 1_024 - burst) * NS_PER_S // RATE
    assert log.closed


async def test_all_replays_share_one_budget() -> None:
    clock = Clock()
    log = OldLog([[a_record(n, 1_024)] for n in range(PIECES)])
    replays = replays_of(log, clock)
    await asyncio.gather(*(received(replays, PIECES // 4) for _ in range(4)))
    assert clock.now >= (PIECES * 1_024 - RATE) * NS_PER_S // RATE


async def test_others_run_between_two_pieces_of_a_replay_also_while_the_budget_is_full() -> None:
    clock = Clock()
    log = OldLog([[a_record(n, 600)] for n in range(4)])
    polls_seen: list[int] = []

    async def somebody_else() -> None:
        while True:
            polls_seen.append(log.polls)
            await asyncio.sleep(0)

    other = asyncio.create_task(somebody_else())
    await received(replays_of(log, clock), 4)
    other.cancel()
    assert clock.sleeps == [0.0] * 4
    assert {1, 2, 3, 4} <= set(polls_seen)


async def test_of_many_replays_one_piece_has_its_turn_between_two_turns_of_everything_else() -> None:
    clock, many = Clock(), 8
    log = OldLog([[a_record(n, 8)] for n in range(PIECES)])
    replays = replays_of(log, clock)
    polls_seen: list[int] = []

    async def somebody_else() -> None:
        while True:
            polls_seen.append(log.polls)
            await asyncio.sleep(0)

    other = asyncio.create_task(somebody_else())
    await asyncio.gather(*(received(replays, PIECES // many) for _ in range(many)))
    other.cancel()
    after_opening = [polls for polls in polls_seen if many <= polls <= PIECES]
    assert after_opening[-1] > PIECES - many
    assert max(later - sooner for sooner, later in pairwise(after_opening)) == 1


async def test_records_that_are_not_wanted_are_paid_for_and_not_sent() -> None:
    clock = Clock()
    log = OldLog([[a_record(0, 8_192, b"a:b")], [a_record(1, 1_024)]])
    (chunk,) = await received(replays_of(log, clock), 1, frozenset([KEY]))
    assert b"id: l2.book-tops.v1:0:1\n" in chunk
    assert b"v1:0:0\n" not in chunk
    assert clock.now == (8_192 + 1_024 - RATE) * NS_PER_S // RATE


async def test_the_smallest_records_and_those_that_are_no_message_cost_something_too() -> None:
    bad = Undecodable(
        topic=L2_BOOK_TOPS,
        partition=0,
        offset=1,
        timestamp_ms=0,
        key=b"",
        value=None,
        headers=(),
        reason="no",
    )
    clock = Clock()
    replays = replays_of(OldLog([[a_record(0, 20), bad]]), clock)
    await received(replays, 1)
    assert replays.read_bytes == 2 * LEAST
