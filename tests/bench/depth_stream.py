"""Streams of Binance depth frames for the hot path: a seeded market, a real recording, and the bad case.

A stream is a REST snapshot and the combined-stream frames that follow it, as bytes. The seeded ones carry
their final book, kept here as plain dicts, so that every contender can be held against it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import Level

Book: TypeAlias = "tuple[tuple[Level, ...], tuple[Level, ...]]"
"""Bids descending and asks ascending."""

SYMBOL: Final = "BTC-USDT"
SEED: Final = 7
START_MS: Final = 1_790_000_000_000

# Sizes as in the comparison of parsers and books that set the aim: 20.7 levels a frame, 561 bytes.
DRAWN_CHANGES: Final = 21.4  # a frame; what falls on one level twice counts once
DELETES: Final = 0.26
LEVELS: Final = 1000  # a side
SPREAD_OF_CHANGES: Final = 120.0  # mean distance of a changed level from the touch, in ticks
MIDDLE: Final = 6_000_000  # in ticks of 0.01
DEEPEST: Final = 4999  # levels a side; of one more, a REST snapshot would be a part of a deeper book


@dataclass(frozen=True, slots=True)
class DepthStream:
    """A snapshot and what follows it."""

    name: str
    about: str
    snapshot: bytes
    frames: tuple[bytes, ...]
    received_ts: tuple[int, ...]  # ns, one a frame
    levels_changed: float  # a frame, on average
    final: Book | None = None  # None: the stream's author does not know it

    @property
    def mean_bytes(self) -> float:
        """Average length of a frame."""
        return sum(map(len, self.frames)) / len(self.frames)


class MarketSide:
    """Price levels by tick; the market's own bookkeeping."""

    def __init__(self, random: Random, away: int) -> None:
        self.sizes: dict[int, int] = {}  # thousandths by tick
        self._random = random
        self._away = away  # +1 for asks, -1 for bids: the direction away from the touch
        self._order: list[int] = []  # tick * away, ascending: the best level first
        while len(self._order) < LEVELS:
            self.put(MIDDLE)

    def put(self, middle: int) -> int:
        """Set a new level near the middle, and return its tick."""
        tick = middle + self._away * (1 + int(self._random.expovariate(1 / (2 * SPREAD_OF_CHANGES))))
        while tick in self.sizes:
            tick += self._away
        insort(self._order, tick * self._away)
        self.sizes[tick] = self._size()
        return tick

    def change(self) -> int:
        """Give a level another size, and return its tick."""
        tick = self._pick()
        self.sizes[tick] = self._size()
        return tick

    def remove(self) -> int:
        """Delete a level, and return its tick."""
        tick = self._pick()
        self._drop(tick)
        return tick

    def pass_by(self, middle: int) -> list[int]:
        """Delete the levels that the middle has reached, and return their ticks."""
        gone = []
        while self._order and self._order[0] <= middle * self._away:
            tick = self._order[0] * self._away
            self._drop(tick)
            gone.append(tick)
        return gone

    def _pick(self) -> int:
        at = min(int(self._random.expovariate(20 / LEVELS)), len(self._order) - 1)
        return self._order[at] * self._away

    def _drop(self, tick: int) -> None:
        del self._order[bisect_left(self._order, tick * self._away)]
        del self.sizes[tick]

    def _size(self) -> int:
        return self._random.randint(1, 99_999)


class Market:
    """A seeded order book whose middle wanders; each frame changes about twenty levels."""

    def __init__(self, seed: int, symbol: str = SYMBOL) -> None:
        self._random = Random(seed)
        self._spelled = symbol.replace("-", "")
        self._middle = MIDDLE
        self._bids = MarketSide(self._random, -1)
        self._asks = MarketSide(self._random, 1)
        self._last_id = 1_000_000
        self.changes = 0

    def snapshot(self) -> bytes:
        """Return the REST reply of this moment."""
        bids, asks = (
            _texts({tick: side.sizes[tick] for tick in sorted(side.sizes, reverse=side is self._bids)})
            for side in (self._bids, self._asks)
        )
        return b'{"lastUpdateId":%d,"bids":%b,"asks":%b}' % (self._last_id, bids, asks)

    def frame(self, event_ms: bytes) -> bytes:
        """Return the next depth frame, under the given venue time."""
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        self._middle += self._random.choice((-1, 0, 1))
        for side, said in ((self._bids, bids), (self._asks, asks)):
            said.update(dict.fromkeys(side.pass_by(self._middle), 0))
        for _ in range(max(1, round(self._random.gauss(DRAWN_CHANGES, 6))) - len(bids) - len(asks)):
            side, said = (self._bids, bids) if self._random.random() < 0.5 else (self._asks, asks)
            tick = self._one_change(side)
            said[tick] = side.sizes.get(tick, 0)
        first, self._last_id = self._last_id + 1, self._last_id + len(bids) + len(asks)
        self.changes += len(bids) + len(asks)
        return depth_frame(self._spelled, event_ms, first, self._last_id, bids, asks)

    def book(self) -> Book:
        """Return the book of this moment."""
        bids = tuple(
            (tick / 100, self._bids.sizes[tick] / 1000) for tick in sorted(self._bids.sizes, reverse=True)
        )
        asks = tuple((tick / 100, self._asks.sizes[tick] / 1000) for tick in sorted(self._asks.sizes))
        return bids, asks

    def _one_change(self, side: MarketSide) -> int:
        drawn = self._random.random()
        if drawn < DELETES:
            return side.remove()
        if drawn < 2 * DELETES + (LEVELS - len(side.sizes)) / 100:
            return side.put(self._middle)
        return side.change()


def depth_frame(
    spelled: str, event_ms: bytes, first: int, last: int, bids: dict[int, int], asks: dict[int, int]
) -> bytes:
    """Return a combined-stream frame of changed levels, sizes in thousandths by tick of 0.01."""
    return (
        b'{"stream":"%b@depth@100ms","data":{"e":"depthUpdate","E":%b,"s":"%b","U":%d,"u":%d,"b":%b,"a":%b}}'
        % (
            spelled.lower().encode(),
            event_ms,
            spelled.encode(),
            first,
            last,
            _texts(bids),
            _texts(asks),
        )
    )


def seeded(frames: int) -> DepthStream:
    """Return the ordinary stream: about 1000 levels a side, 20.7 changed a frame, 26 % of them deletes."""
    market = Market(SEED)
    snapshot = market.snapshot()
    made = tuple(market.frame(b"%d" % (START_MS + at)) for at in range(frames))
    about = f"seed {SEED}, about {LEVELS} levels a side, {DELETES:.0%} deletes, 1,000 frames a second"
    return DepthStream(
        "seeded", about, snapshot, made, _every_ms(frames), market.changes / frames, market.book()
    )


def touch_removed(frames: int, pairs: int = 5) -> DepthStream:
    """Return the bad case: each frame deletes the best levels and inserts as many at the far end.

    The far end is the front of the lists that `OrderBook` keeps, so an insert there moves the whole side.
    """
    bids = {MIDDLE - at: 1000 for at in range(1, DEEPEST + 1)}
    asks = {MIDDLE + at: 1000 for at in range(1, DEEPEST + 1)}
    snapshot = b'{"lastUpdateId":1000,"bids":%b,"asks":%b}' % (_texts(bids), _texts(asks))
    made = []
    for at in range(frames):
        near, far = at * pairs + 1, at * pairs + 1 + DEEPEST
        said_bids = {MIDDLE - step: 0 for step in range(near, near + pairs)}
        said_bids |= {MIDDLE - step: 1000 + at for step in range(far, far + pairs)}
        said_asks = {2 * MIDDLE - tick: size for tick, size in said_bids.items()}
        first, last = 1001 + at * 4 * pairs, 1000 + (at + 1) * 4 * pairs
        made.append(depth_frame("BTCUSDT", b"%d" % (START_MS + at), first, last, said_bids, said_asks))
        for side, said in ((bids, said_bids), (asks, said_asks)):
            for tick, size in said.items():
                if size:
                    side[tick] = size
                else:
                    del side[tick]
    final = (
        tuple((tick / 100, size / 1000) for tick, size in bids.items()),
        tuple((tick / 100, size / 1000) for tick, size in asks.items()),
    )
    about = f"{DEEPEST} levels a side, {2 * pairs} best levels deleted and as many far ones inserted a frame"
    return DepthStream("touch removed", about, snapshot, tuple(made), _every_ms(frames), 4.0 * pairs, final)


def _every_ms(frames: int) -> tuple[int, ...]:
    return tuple((START_MS + at) * NS_PER_MS for at in range(frames))


def _texts(levels: dict[int, int]) -> bytes:
    return ("[" + ",".join(_level_texts(levels)) + "]").encode()


def _level_texts(levels: dict[int, int]) -> Iterator[str]:
    for tick, size in levels.items():
        yield f'["{tick // 100}.{tick % 100:02d}","{size / 1000:g}"]'
