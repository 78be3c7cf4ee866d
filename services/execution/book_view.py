"""The newest top of each book, and the depth it had over the last minute; pure."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.events import BookTop
from libs.common.time_units import MINUTE_NS, NS_PER_S
from libs.common.topics import L2_BOOK_TOPS, book_key
from libs.common.views import View

if TYPE_CHECKING:
    from libs.common.events import TakerSide

WINDOW_NS: Final = MINUTE_NS
APART_NS: Final = NS_PER_S  # so that a burst of tops counts as the second it lasted


class Seen(NamedTuple):
    """The depth within 10 bps of the mid at one moment."""

    ts: int  # ns
    bid: float  # base units
    ask: float


class BookView(View[BookTop]):
    """A view that also samples each book's depth, once a second at most while it changes.

    The topic is compacted: after a restart the window begins with the newest top alone.
    """

    def __init__(self) -> None:
        super().__init__(L2_BOOK_TOPS)
        self._seen: dict[bytes, deque[Seen]] = {}

    def fold(self, partition: int, offset: int, key: bytes, event: BookTop | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        if event is None:
            self._seen.pop(key, None)
            return
        if event.features is None:
            return
        ts = event.received_ts
        seen = self._seen.setdefault(key, deque())
        if (
            seen and ts < seen[-1].ts - APART_NS
        ):  # a clock was set back: of when the older ones are, nobody knows
            seen.clear()
        if not seen or ts - seen[-1].ts >= APART_NS:
            seen.append(Seen(ts, event.features.depth_bid, event.features.depth_ask))
            while seen[0].ts <= ts - WINDOW_NS:
                seen.popleft()

    def step_clock(self, by_ns: int) -> None:
        """Let tops and samples be as old as they were; see `View.step_clock`."""
        super().step_clock(by_ns)
        for seen in self._seen.values():
            moved = [each._replace(ts=each.ts + by_ns) for each in seen]
            seen.clear()
            seen.extend(moved)

    def median_depth(self, venue: str, symbol: str, side: TakerSide) -> float | None:
        """Return the median depth of the side that `side` takes, base units; None of an unknown book."""
        seen = self._seen.get(book_key(venue, symbol))
        if not seen:
            return None
        return median(each.ask if side == "buy" else each.bid for each in seen)
