"""How late a book's tops come: each counted as it comes, folded with the book's next health; pure.

========== ================================================================= =======
symbol     meaning                                                           unit
========== ================================================================= =======
lag        received minus venue time; its 2 % quantile is the clocks' offset  ms
step       lag in whole steps of `GRID_MS`                                   1
window     number of the `WINDOW_S` since 1970 in which a top was received   1
========== ================================================================= =======

Only the owner of a book's partition hears its healths, and only it folds. The others keep the newest arrivals
too, so whoever takes the partition over counts on from the offset that the changelog has.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import book_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from libs.common.events import BookTop

WINDOW_S: Final = 60.0
WINDOWS: Final = 5  # read together
GRID_MS: Final = 0.5
OFFSET_QUANTILE: Final = 0.02
LEAP_MS: Final = 500.0  # of a lag as a book begins anew, which its owner's clock has made
AHEAD_NS: Final = 10 * NS_PER_S  # of our clock; no venue's is, so such a stamp is wrong
ARRIVALS_KEPT: Final = 512  # of a book, the newest; l2 tells ten a second, and a health each second


class Lags(msgspec.Struct, frozen=True):
    """How often each lag of a book's tops was seen, by window of `WINDOW_S`; lags in steps of 0.5 ms."""

    offset: int = -1  # of the last top counted
    windows: dict[int, dict[int, int]] = {}  # counts by lag, by number of the window since 1970
    epoch: int = 0  # of the book, at the last top counted


class Arrival(NamedTuple):
    """One top that came."""

    offset: int
    epoch: int
    window: int
    step: int


class Arrivals:
    """The tops that came since the last health of their book; changes in place."""

    def __init__(self) -> None:
        self._newest: dict[bytes, tuple[int, int]] = {}  # epoch and seq of the last top, by book
        self._kept: defaultdict[bytes, deque[Arrival]] = defaultdict(lambda: deque(maxlen=ARRIVALS_KEPT))

    def note(self, top: BookTop, offset: int) -> None:
        """Note a top, unless nothing has come since the one before: it is told again for late readers.

        A stamp that is ahead of any clock says nothing of a lag.
        """
        key, seen = book_key(top.venue, top.symbol), (top.epoch, top.seq)
        if self._newest.get(key) == seen:
            return
        self._newest[key] = seen
        if top.venue_ts is None or top.venue_ts - top.received_ts > AHEAD_NS:
            return
        step = round((top.received_ts - top.venue_ts) / NS_PER_MS / GRID_MS)
        self._kept[key].append(Arrival(offset, top.epoch, window_of(top.received_ts), step))

    def forget(self, key: bytes) -> None:
        """Forget a book that ended."""
        self._newest.pop(key, None)
        self._kept.pop(key, None)

    def take(self, key: bytes) -> Collection[Arrival]:
        """Return what came of a book, in the order of its log, and forget it."""
        return self._kept.pop(key, ())


def fold_arrivals(lags: Lags, arrivals: Collection[Arrival]) -> Lags:
    """Count tops; one that was counted already changes nothing.

    A book whose owner's clock was set begins anew, and its lags leap by the step: those before say nothing of
    those after.
    """
    windows = {window: dict(counts) for window, counts in lags.windows.items()}
    offset, epoch, last = lags.offset, lags.epoch, None
    for each in arrivals:
        if each.offset <= offset:
            continue
        if each.epoch != epoch and _leaps(windows, each.step):
            windows.clear()
        counts = windows.setdefault(each.window, {})
        counts[each.step] = counts.get(each.step, 0) + 1
        if each.window != last:
            for window in [known for known in windows if not each.window - WINDOWS < known <= each.window]:
                del windows[window]
        offset, epoch, last = each.offset, each.epoch, each.window
    return lags if last is None else Lags(offset, windows, epoch)


def _leaps(windows: dict[int, dict[int, int]], step: int) -> bool:
    """Tell whether a lag is so far from the newest window's that a clock was set in between."""
    if not windows:
        return False
    usual = _quantile(Counter(windows[max(windows)]), 0.5)
    return abs(step - usual) * GRID_MS > LEAP_MS


def recent_lags(lags: Lags, now: int) -> Counter[int]:
    """Return the counts of the last `WINDOWS` windows."""
    newest = window_of(now)
    total: Counter[int] = Counter()
    for window, counts in lags.windows.items():
        if newest - WINDOWS < window <= newest:
            total.update(counts)
    return total


class Reading(NamedTuple):
    """What counted lags say; None and 0 without any."""

    clock_offset_ms: float | None = None  # in each lag: a low quantile, which no single stamp is
    p50_ms: float | None = None  # above that offset
    p99_ms: float | None = None  # likewise
    least_ms: float = 0.0  # the offset
    above_ms: float = 0.0  # mean of what lies above it


def read_lags(lags: Counter[int]) -> Reading:
    """Return the offset of the clocks and how far the lags lie above it."""
    if not lags:
        return Reading()
    least, p50, p99 = (_quantile(lags, q) for q in (OFFSET_QUANTILE, 0.5, 0.99))
    above = sum(max(0, step - least) * count for step, count in lags.items()) / lags.total()
    return Reading(
        clock_offset_ms=least * GRID_MS,
        p50_ms=(p50 - least) * GRID_MS,
        p99_ms=(p99 - least) * GRID_MS,
        least_ms=least * GRID_MS,
        above_ms=above * GRID_MS,
    )


def _quantile(lags: Counter[int], q: float) -> int:
    """Return the least lag with at least q of the counts behind it; there is one at least."""
    due, reached = q * lags.total(), 0
    ascending = iter(sorted(lags))
    while (reached := reached + lags[step := next(ascending)]) < due:
        pass
    return step


def window_of(ts: int) -> int:
    """Return the number of the window that holds a time (ns UTC)."""
    return ts // round(WINDOW_S * NS_PER_S)
