"""Measures depth profiles of recordings, and of days of books.

``python -m backtest.sources.depth_measuring FOLDER`` prints those of the books of a folder of history,
``... FILE...`` those of recordings, as `FEED=replay:` takes them; both in the form of `depth_table`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backtest.bus import Bus
from backtest.delays import Immediate
from backtest.sources.depth import DepthMeasure, TooFewBooksError
from backtest.sources.frames import Frames
from libs.common.events import BookDelta, BookSnapshot, Trade
from libs.common.order_book import OrderBook, SequenceGapError
from libs.common.time_units import MINUTE_NS, NS_PER_S
from libs.common.topics import L2_BOOK_DELTAS, L2_TRADES
from libs.history.layout import book_folders, date_of
from libs.history.reader import read_book, read_trades

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backtest.bus import Record
    from backtest.sources.depth import DepthProfile

EVERY_NS: Final = NS_PER_S
_EVER: Final = 1 << 62


class _Sampler:
    """Follows one book, and measures it a second apart; changes in place."""

    def __init__(self, venue: str, symbol: str) -> None:
        self.measure = DepthMeasure(venue, symbol)
        self._book = OrderBook()
        self._known = (0.0, 0.0)
        self._due = 0
        self.begin_ts = self.end_ts = 0
        self.traded = 0.0  # quote units

    def hear(self, event: BookSnapshot | BookDelta) -> None:
        """Take a message; the book is measured as it was before it, once a second."""
        ts = event.received_ts
        if ts >= self._due:
            if self._due and self._book.epoch is not None:
                self.measure.add(self._book, self._known)
            self._due = ts - ts % EVERY_NS + EVERY_NS
        self.begin_ts = self.begin_ts or ts
        self.end_ts = ts
        try:
            self._book.follow(event)
        except SequenceGapError:
            self._book = OrderBook()
        if isinstance(event, BookSnapshot) and event.reason == "resync" and event.bids and event.asks:
            self._known = (event.bids[-1][0], event.asks[-1][0])

    def profile(self, source: str) -> DepthProfile:
        """Return the profile; raises TooFewBooksError."""
        minutes = (self.end_ts - self.begin_ts) / MINUTE_NS
        traded = self.traded / minutes if self.traded and minutes else None
        span = f"{(self.end_ts - self.begin_ts) / NS_PER_S:.0f} s of {date_of(self.begin_ts)}"
        return self.measure.profile(f"{source}, {span}", traded)


def of_recordings(paths: Sequence[Path]) -> list[DepthProfile]:
    """Return the profiles of the books of recordings, through l2's own feeds; of those with enough books."""
    frames = Frames(paths)
    bus = Bus(8, Immediate(), frames.provenance.begin_ts)
    samplers: dict[tuple[str, str], _Sampler] = {}

    def take(record: Record) -> None:
        if record.topic not in {L2_BOOK_DELTAS, L2_TRADES}:
            return
        event = record.event
        if isinstance(event, BookSnapshot | BookDelta | Trade):
            place = (event.venue, event.symbol)
            sampler = samplers.setdefault(place, _Sampler(*place))
            if isinstance(event, Trade):
                sampler.traded += event.price * event.size
            else:
                sampler.hear(event)

    bus.tap(take)
    frames.start(bus)
    bus.run(frames.provenance.end_ts)
    return _profiles(samplers.values(), "a recording")


def of_days(root: Path) -> list[DepthProfile]:
    """Return the profiles of the books of a folder of history; raises HistoryError if it cannot be read."""
    samplers = []
    for folder in book_folders(root):
        sampler = _Sampler(*folder)
        for event in read_book(root, folder, 0, _EVER):
            sampler.hear(event)
        for trade in read_trades(root, folder, sampler.begin_ts, sampler.end_ts):
            sampler.traded += trade.price * trade.size
        samplers.append(sampler)
    return _profiles(samplers, "days of books")


def _profiles(samplers: Iterable[_Sampler], source: str) -> list[DepthProfile]:
    found = []
    for sampler in samplers:
        try:
            found.append(sampler.profile(source))
        except TooFewBooksError as error:
            print(error, file=sys.stderr)  # noqa: T201 -- told to who measures
    return found


def main(given: Sequence[str]) -> None:
    """Print the profiles of what is given."""
    paths = [Path(each) for each in given]
    profiles = of_days(paths[0]) if len(paths) == 1 and paths[0].is_dir() else of_recordings(paths)
    for profile in profiles:
        print(f"# {profile.words()}\n{profile!r},")  # noqa: T201 -- its output


if __name__ == "__main__":
    main(sys.argv[1:])
