"""`Follower`: a book followed through a source's messages in bulk, so that what comes out is a true book.

After each whole message the best bid must lie below the best ask, and where a venue tells of each level a
delete must meet one. Nothing is repaired: the message that breaks a rule, and all after it until the next
snapshot, are left out; the snapshot opens a new epoch.

A stretch of messages is judged at once. Sorted by price, and among equal prices by time, each size holds from
its message to that of the next one of its price: an interval. The best bid after a message is the highest
price whose interval holds it: a maximum over intervals, found for all messages with a table of powers of two
in N log M steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from libs.common.time_units import NS_PER_MS
from libs.history.columns import BookColumns
from libs.history.faults import FaultKind

if TYPE_CHECKING:
    from libs.history.columns import Bools, Floats, Ints
    from libs.history.faults import FaultReport

UNTIL_SNAPSHOT: Final = "the book is unknown until the next snapshot"


class Messages(NamedTuple):
    """Messages of one book as a source has them; `broken` are those that cannot be used."""

    row: Ints  # of the first row of each; shape (messages,), as the next four
    snapshot: Bools
    broken: Bools
    venue_ts: Ints
    received_ts: Ints
    venue_seq: Ints | None
    first: Ints  # shape (messages + 1,)
    is_bid: Bools  # shape (levels,), as the next two
    price: Floats
    size: Floats


class _Stretch(NamedTuple):
    """What a run of messages does to a book."""

    bad: int | None  # the first one that breaks a rule, from the stretch's first
    kind: FaultKind | None
    what: str
    keys: Floats  # the book after it, if none does
    sizes: Floats


class Follower:
    """One book; changes in place.

    Parameters
    ----------
    tells_each
        Whether the venue deletes only what it told of before, so that another delete proves a loss.
    """

    def __init__(self, venue: str, symbol: str, faults: FaultReport, *, tells_each: bool) -> None:
        self._venue, self._symbol = venue, symbol
        self._faults, self._tells_each = faults, tells_each
        self._file = ""
        self._epoch = self._seq = self._last_seq = 0
        self._last_ts = 0  # received, of the last message that was let through
        self._live = self._begun = False
        self._keys = self._sizes = np.empty(0)  # bids by minus price, asks by price

    def begin(self, file: str) -> None:
        """Go on with another file: its book is unknown until its first snapshot."""
        self._file = file
        self._live = self._begun = False

    def follow(self, given: Messages) -> BookColumns:
        """Return those messages that are a true book, under their epochs."""
        count = len(given.row)
        epoch, seq = np.zeros(count, np.int64), np.zeros(count, np.int64)
        snapshots = np.flatnonzero(given.snapshot & ~given.broken)
        ends = np.flatnonzero(given.snapshot | given.broken)
        at = 0
        while at < count:
            if not self._live:
                at = self._start(given, at, snapshots)
                if at == count:
                    break
            elif given.broken[at]:
                self._live, at = False, at + 1
                continue
            elif given.snapshot[at]:
                self._note_restart(given, at)
                self._live = False
                continue
            following = ends[np.searchsorted(ends, at, side="right") :][:1]
            end = int(following[0]) if len(following) else count
            at = self._run(given, at, end, epoch, seq)
        return self._kept(given, epoch, seq)

    def _start(self, given: Messages, at: int, snapshots: Ints) -> int:
        """Go to the next snapshot that can open an epoch, and open it; return where it is, or the end."""
        if not self._begun and not given.snapshot[at]:
            what = f"a change before the first snapshot; {UNTIL_SNAPSHOT}"
            self._note(FaultKind.UNJOINED, given, at, what)
        self._begun = True
        for each in snapshots[np.searchsorted(snapshots, at) :].tolist():
            if given.received_ts[each] >= self._last_ts:
                self._live = True
                self._epoch = max(int(given.received_ts[each]) // NS_PER_MS, self._epoch + 1)
                self._seq = 0
                self._keys = self._sizes = np.empty(0)
                return int(each)
            self._note(
                FaultKind.ORDER, given, each, f"a snapshot from before what was read; {UNTIL_SNAPSHOT}"
            )
        return len(given.row)

    def _note_restart(self, given: Messages, at: int) -> None:
        if given.venue_seq is not None and given.venue_seq[at] == self._last_seq + 1:
            return
        what = "a new snapshot: what happened since the message before it is not there; a new epoch begins"
        self._note(FaultKind.GAP, given, at, what)

    def _run(self, given: Messages, at: int, end: int, epoch: Ints, seq: Ints) -> int:
        """Let messages through from `at` on, up to the first that breaks a rule; return where to go on."""
        stretch = _judge(given, at, end, self._keys, self._sizes, tells_each=self._tells_each)
        good = end if stretch.bad is None else at + stretch.bad
        if good > at:
            epoch[at:good] = self._epoch
            seq[at:good] = np.arange(self._seq + 1, self._seq + 1 + good - at)
            self._seq += good - at
            self._last_ts = int(given.received_ts[good - 1])
            if given.venue_seq is not None:
                self._last_seq = int(given.venue_seq[good - 1])
        if stretch.kind is None:
            self._keys, self._sizes = stretch.keys, stretch.sizes
            return end
        self._note(stretch.kind, given, good, f"{stretch.what}; {UNTIL_SNAPSHOT}")
        self._live = False
        return good + 1

    def _note(self, kind: FaultKind, given: Messages, at: int, what: str) -> None:
        self._faults.note(kind, self._file, int(given.row[at]), int(given.received_ts[at]), what)

    def _kept(self, given: Messages, epoch: Ints, seq: Ints) -> BookColumns:
        kept = seq > 0
        counts = np.diff(given.first)
        levels = np.repeat(kept, counts)
        self._faults.leave_out(self._file, len(levels) - int(levels.sum()), len(levels))
        first = np.concatenate(([0], np.cumsum(counts[kept])))
        return BookColumns(
            venue=self._venue,
            symbol=self._symbol,
            epoch=epoch[kept],
            seq=seq[kept],
            snapshot=given.snapshot[kept],
            venue_seq=None if given.venue_seq is None else given.venue_seq[kept],
            venue_ts=given.venue_ts[kept],
            received_ts=given.received_ts[kept],
            first=first,
            is_bid=given.is_bid[levels],
            price=given.price[levels],
            size=given.size[levels],
        )


def _judge(given: Messages, at: int, end: int, keys: Floats, sizes: Floats, *, tells_each: bool) -> _Stretch:
    """Apply messages ``at`` to ``end`` to a book; only the first of them may be a snapshot."""
    low, high = int(given.first[at]), int(given.first[end])
    count = end - at
    held = len(keys)
    signed = np.where(given.is_bid[low:high], -given.price[low:high], given.price[low:high])
    message = np.repeat(np.arange(count), np.diff(given.first[at : end + 1]))
    key = np.concatenate((keys, signed))
    order = np.argsort(key, kind="stable")
    key = key[order]
    size = np.concatenate((sizes, given.size[low:high]))[order]
    since = np.concatenate((np.zeros(held, np.int64), message))[order]
    last = np.append(key[1:] != key[:-1], True) if len(key) else np.empty(0, bool)
    until = np.where(last, count, np.append(since[1:], count)[: len(key)])
    rests = size > 0
    crossed, what = _first_cross(key, size, since, until, count)
    if tells_each:
        before = np.append(0.0, np.where(last, 0.0, size)[:-1]) if len(key) else size
        orphans = (size == 0) & (before == 0) & (order >= held)
        if given.snapshot[at]:
            orphans &= since > 0
        if orphans.any():
            orphan = int(since[orphans].min())
            if crossed is None or orphan <= crossed:
                price = float(abs(key[orphans & (since == orphan)][0]))
                what = f"deletes the level at {price:.12g}, which is not there"
                return _Stretch(orphan, FaultKind.ORPHAN, what, keys, sizes)
    if crossed is not None:
        return _Stretch(crossed, FaultKind.CROSSED, what, keys, sizes)
    alive = last & rests
    return _Stretch(None, None, "", key[alive], size[alive])


def _first_cross(key: Floats, size: Floats, since: Ints, until: Ints, count: int) -> tuple[int | None, str]:
    """Return the first message after which the best bid reaches the best ask, and both in words."""
    stands = (size > 0) & (until > since)
    bids, asks = stands & (key < 0), stands & (key > 0)
    if not (bids.any() and asks.any()):
        return None, ""
    lowest_ask, highest_bid = key[asks].min(), -key[bids].min()
    if highest_bid < lowest_ask:
        return None, ""
    # A bid below every ask of the stretch crosses none of them.
    bids &= key <= -lowest_ask
    asks &= key <= highest_bid
    best_bid = _highest(since[bids], until[bids], -key[bids], count)
    best_ask = -_highest(since[asks], until[asks], -key[asks], count)
    crossed = np.flatnonzero(best_bid >= best_ask)
    if not len(crossed):
        return None, ""
    at = int(crossed[0])
    return at, f"the best bid {best_bid[at]:.12g} reaches the best ask {best_ask[at]:.12g}"


def _highest(since: Ints, until: Ints, value: Floats, count: int) -> Floats:
    """Return for each of `count` moments the highest value whose interval [since, until) holds it.

    An interval is the union of two of the power of two below its length; each value is put there, and goes
    down to the halves of its power, as in a sparse table read backwards.
    """
    power = np.frexp((until - since).astype(np.float64))[1].astype(np.int64) - 1
    top = int(power.max()) + 1
    table = np.full(top * count, -np.inf)
    np.maximum.at(table, power * count + since, value)
    np.maximum.at(table, power * count + until - (1 << power), value)
    rows = table.reshape(top, count)
    for level in range(top - 1, 0, -1):
        half = 1 << (level - 1)
        np.maximum(rows[level - 1], rows[level], out=rows[level - 1])
        np.maximum(rows[level - 1, half:], rows[level, : count - half], out=rows[level - 1, half:])
    highest: Floats = rows[0]
    return highest
