"""`OrderBook`: price levels of one instrument, applied in place, read best first.

Each side is a dict of levels and the sorted list of its keys: a changed size is one look-up, and a delta's
levels are kept as they came. The best key comes last: nearly all changes happen near the touch, so inserts
and deletes move few elements and the top k is a slice. Bids are kept by price, asks by minus price. Prices
are floats as keys: equal digits give equal floats, and the feeds admit finite positive ones only.

Anybody who reads ``l2.book-deltas.v1`` rebuilds the exact book with `OrderBook.follow`, from any keyframe on.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from libs.common.events import BookSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.events import BookDelta, Level

BookSide: TypeAlias = Literal["bid", "ask"]
BPS: Final = 1e-4
EVERYWHERE: Final = (-math.inf, math.inf)
_size_of: Final = itemgetter(1)  # of a level
MANY_LEVELS: Final = 256  # of one message: from here on sorting once is cheaper than placing each


class SequenceGapError(ValueError):
    """A delta does not follow the book; only a keyframe can heal it."""


class KeyframeMismatchError(ValueError):
    """A keyframe of the same epoch and seq shows another book."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Size near the mid; a lower bound if `truncated`: what is known of the book ends inside the band."""

    size: float  # base units
    truncated: bool


class OrderBook:
    """Bids and asks of one instrument.

    Attributes
    ----------
    epoch, seq, venue_seq
        Where this book stands on its topic; None before the first keyframe. `follow` moves them, a writer
        sets them itself.
    known
        The lowest bid and the highest ask up to which every level is known; infinite where all are. Beyond,
        only those levels are held that changed. `load` makes them infinite, a writer narrows them.
    """

    __slots__ = ("_ask_keys", "_asks", "_bid_keys", "_bids", "epoch", "known", "seq", "venue_seq")

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.seq: int | None = None
        self.venue_seq: int | None = None
        self.known = EVERYWHERE
        self._bid_keys: list[float] = []  # prices, ascending
        self._bids: dict[float, Level] = {}
        self._ask_keys: list[float] = []  # minus prices, ascending
        self._asks: dict[float, Level] = {}

    def load(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Replace both sides by levels in any order; of equal prices the last counts, size 0.0 is none."""
        self._bid_keys, self._bids = _sorted(bids, sign=1.0)
        self._ask_keys, self._asks = _sorted(asks, sign=-1.0)
        self.known = EVERYWHERE

    def apply(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Set or delete (size 0.0) levels; return how many deletes met no level."""
        orphans = _change(self._bid_keys, self._bids, bids, sign=1.0)
        return orphans + _change(self._ask_keys, self._asks, asks, sign=-1.0)

    def truncate(self, depth: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Drop what lies below the best `depth` levels; return it as deletes of bids and of asks."""
        return _cut(self._bid_keys, self._bids, depth), _cut(self._ask_keys, self._asks, depth)

    def follow(self, event: BookSnapshot | BookDelta) -> bool:
        """Bring the book to `event` of its topic; return False, and change nothing, if the event is older.

        Deltas before the first keyframe are older too. After an error the book is what it was, and a later
        keyframe heals it.

        Raises
        ------
        SequenceGapError
            If deltas between the book and this one are missing.
        KeyframeMismatchError
            If a keyframe shows another book at the same epoch and seq.
        """
        if isinstance(event, BookSnapshot):
            return self._follow_keyframe(event)
        if self.epoch is None or self.seq is None or (event.epoch, event.seq) <= (self.epoch, self.seq):
            return False
        if event.epoch != self.epoch or event.seq != self.seq + 1:
            raise SequenceGapError(
                f"{event.venue} {event.symbol}: the book is at seq {self.seq} of epoch {self.epoch}, "
                f"the delta is seq {event.seq} of epoch {event.epoch}"
            )
        self.apply(event.bids, event.asks)
        self.seq = event.seq
        self.venue_seq = event.venue_seq
        return True

    @property
    def best_bid(self) -> Level | None:
        """The highest bid, None without bids."""
        return self._bids[self._bid_keys[-1]] if self._bid_keys else None

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, None without asks."""
        return self._asks[self._ask_keys[-1]] if self._ask_keys else None

    @property
    def mid(self) -> float | None:
        """The middle of the best prices, None while a side is empty."""
        if not (self._bid_keys and self._ask_keys):
            return None
        return (self._bid_keys[-1] - self._ask_keys[-1]) / 2

    @property
    def crossed(self) -> bool:
        """Whether the best bid reaches the best ask; ask only after a whole message."""
        bids, asks = self._bid_keys, self._ask_keys
        return bool(bids and asks) and bids[-1] >= -asks[-1]

    @property
    def is_beyond(self) -> bool:
        """Whether a best price lies beyond the edge of what is known: a better one may be there."""
        if self.known is EVERYWHERE:
            return False
        low, high = self.known
        best_bid = self._bid_keys[-1] if self._bid_keys else -math.inf
        best_ask = -self._ask_keys[-1] if self._ask_keys else math.inf
        return best_bid < low or best_ask > high

    @property
    def room_bps(self) -> float:
        """How far the mid is from the nearer edge of what is known, in bps; infinite where there is none.

        Minus infinite once a best price is beyond.
        """
        if self.is_beyond:
            return -math.inf
        low, high = self.known
        mid = self.mid
        return math.inf if mid is None else min(mid - low, high - mid) / mid / BPS

    def bids(self, n: int | None = None) -> tuple[Level, ...]:
        """Return the best `n` bids (all by default), descending."""
        return tuple(map(self._bids.__getitem__, self._bid_keys[: None if n is None else -n - 1 : -1]))

    def asks(self, n: int | None = None) -> tuple[Level, ...]:
        """Return the best `n` asks (all by default), ascending."""
        return tuple(map(self._asks.__getitem__, self._ask_keys[: None if n is None else -n - 1 : -1]))

    def counts(self) -> tuple[int, int]:
        """Return how many bids and how many asks there are."""
        return len(self._bid_keys), len(self._ask_keys)

    def depth_within(self, side: BookSide, bps: float) -> Depth | None:
        """Return the size of `side` within `bps` of an uncrossed book's mid; None while a side is empty."""
        mid = self.mid
        if mid is None:
            return None
        keys, held = (self._bid_keys, self._bids) if side == "bid" else (self._ask_keys, self._asks)
        band = mid * bps * BPS
        inside = _first_within(keys, mid, band, mid - band if side == "bid" else -mid - band)
        ends = mid - band < self.known[0] if side == "bid" else mid + band > self.known[1]
        sizes: Iterable[float]
        if 2 * inside > len(keys):
            sizes = map(_size_of, map(held.__getitem__, keys[inside:]))
        else:  # exact in any order: all but the few outside, as a dict is cheaper to walk than to ask
            sizes = chain(map(_size_of, held.values()), [-held[key][1] for key in keys[:inside]])
        return Depth(math.fsum(sizes), truncated=ends or inside == 0)

    def _follow_keyframe(self, event: BookSnapshot) -> bool:
        here = (self.epoch, self.seq)
        if (
            self.epoch is not None
            and self.seq is not None
            and (event.epoch, event.seq) < (self.epoch, self.seq)
        ):
            return False
        if here != (event.epoch, event.seq):
            self.load(event.bids, event.asks)
            self.epoch, self.seq, self.venue_seq = event.epoch, event.seq, event.venue_seq
            return True
        shown = OrderBook()
        shown.load(event.bids, event.asks)
        if (shown.bids(), shown.asks()) != (self.bids(), self.asks()):
            raise KeyframeMismatchError(
                f"{event.venue} {event.symbol}: the keyframe at seq {event.seq} of epoch {event.epoch} "
                "is not the book that its deltas gave"
            )
        return True


def _first_within(keys: list[float], mid: float, band: float, edge: float) -> int:
    """Return where the keys begin that are within a band of the mid, `edge` being that but for rounding."""
    at = bisect_left(keys, edge)
    while at and abs(abs(keys[at - 1]) - mid) <= band:
        at -= 1
    while at < len(keys) and abs(abs(keys[at]) - mid) > band:
        at += 1
    return at


def _sorted(levels: Iterable[Level], sign: float) -> tuple[list[float], dict[float, Level]]:
    """Return one side made of these levels."""
    newest = {sign * level[0]: level for level in levels}
    held = {key: level for key, level in newest.items() if level[1]}
    return sorted(held), held


def _change(keys: list[float], held: dict[float, Level], levels: Sequence[Level], sign: float) -> int:
    """Change one side in place; return how many deletes met no level."""
    if len(levels) > MANY_LEVELS:
        return _change_many(keys, held, levels, sign)
    orphans = 0
    for level in levels:
        price, size = level
        key = sign * price
        if size:
            if key not in held:
                insort(keys, key)
            held[key] = level
        elif key in held:
            del held[key]
            del keys[bisect_left(keys, key)]
        else:
            orphans += 1
    return orphans


def _change_many(keys: list[float], held: dict[float, Level], levels: Sequence[Level], sign: float) -> int:
    """Do the same and sort once: each price put into its place would move all behind it."""
    orphans = 0
    for level in levels:
        key = sign * level[0]
        if level[1]:
            held[key] = level
        elif held.pop(key, None) is None:
            orphans += 1
    keys[:] = sorted(held)
    return orphans


def _cut(keys: list[float], held: dict[float, Level], depth: int) -> tuple[Level, ...]:
    """Drop all but the best `depth` levels of one side in place; return them as deletes."""
    if len(keys) <= depth:
        return ()
    gone = keys[:-depth]
    del keys[:-depth]
    return tuple((held.pop(key)[0], 0.0) for key in gone)
