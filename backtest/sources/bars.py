"""Candles as a market: what was traded is known, the books are made up around it, and are marked as such.

The price of a book at `t` is the close of the last minute that was over at `t`, and nothing else: from the
end of a minute to the end of the next one it stands still, and then it moves. What the minute under way
holds is seen by nobody before it is over. There is no path from its open by its low and high to its close, as
whoever looks at such a path while it lasts sees what cannot be known (at the low, that the close is not
lower), and earns what was made up. A minute's low and high are in its candle, when it is over.

Around that price stands a `Ladder`: a spread and a depth that were measured on books (`depth`), the same on
both sides. Where a market has no profile of its own it has that of its asset elsewhere, or of another asset
of its venue, its depth in proportion to what both trade a minute; the notes say so.

A book is told again when its price is another: at the first look after a minute is over, or a moment after
it where nobody looks. Its health is told to who looks, a second after the last one or later. A book whose
last minute is over for `STALE_NS` is STALE, and is not traded on: candles are missing there. Trades are not
told: what rests is filled by the books alone, once they cross it, and volumes are those of the candles.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import merge
from statistics import median
from typing import TYPE_CHECKING, Final, Protocol

from backtest.bus import SOURCE
from backtest.source import HISTORY_DAYS, Fidelity, Provenance
from backtest.sources.depth_table import profile_for
from backtest.sources.ladder import Ladder
from backtest.telling import show_books
from libs.common.events import BookHealth, BookState, Candle
from libs.common.instruments import INSTRUMENTS
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS
from libs.common.topics import (
    L2_CANDLES,
    L2_CANDLES_DAILY,
    book_key,
    candle_key,
)
from libs.history.candle_days import end_of
from libs.history.layout import BookFolder, book_folders, days_of
from libs.history.reader import read_candles
from simulator.profiles import VENUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backtest.bus import Bus
    from backtest.sources.depth import DepthProfile
    from backtest.sources.depth_table import Found
    from libs.common.events import BookTop

HISTORY_NS: Final = 2 * DAY_NS  # of minutes before it
STALE_NS: Final = 2 * MINUTE_NS + MINUTE_NS // 2
HOP_NS: Final = 40 * NS_PER_MS  # so long ago is what is told once a minute: longer than any hop
_OWNER: Final = "bars"
_RULE: Final = (
    "The books are made up: a spread and a depth that were measured elsewhere stand around the close of the"
    " last minute that was over, still until the next one is. What happened within a minute is not in them."
    " A close may be a trade at the bid or the ask: who trades against the last move earns up to half a"
    " spread that was not to be had."
)


class Candles(Protocol):
    """Candles of some books."""

    @property
    def books(self) -> Sequence[tuple[str, str]]:
        """Venue and symbol of each."""

    def between(self, book: tuple[str, str], begin: int, end: int) -> Iterator[Candle]:
        """Yield those of a book that are over from `begin` on and before `end`, ns UTC, in that order."""


class NoCandlesError(ValueError):
    """There are no candles where they are needed; the text says where."""


class DaysOfCandles:
    """The candles of a folder of history.

    Raises
    ------
    HistoryError
        If it is none.
    NoCandlesError
        If it has no candles of these symbols.
    """

    def __init__(self, root: Path, symbols: Sequence[str] | None = None) -> None:
        self._root = root
        self.books: Sequence[tuple[str, str]] = [
            (book.venue, book.symbol)
            for book in book_folders(root)
            if (symbols is None or book.symbol in symbols) and days_of(root, book, "candles")
        ]
        if not self.books:
            raise NoCandlesError(f"{root} has no candles of {', '.join(symbols or ('any symbol',))}")

    def between(self, book: tuple[str, str], begin: int, end: int) -> Iterator[Candle]:
        """Yield them; raises HistoryError if a file cannot be read."""
        return read_candles(self._root, BookFolder(*book), begin, end)


@dataclass(slots=True)
class _Book:
    """One market: what is known of its price, and its day so far; changes in place."""

    venue: str
    symbol: str
    key: bytes
    found: Found
    ladder: Ladder
    scale: float  # of the profile's depth
    place: int = 0  # its partition
    closes: deque[tuple[int, float]] = field(
        default_factory=lambda: deque(maxlen=2)
    )  # and when each was known
    told_ts: int = 0  # when the price became known that its last top was made of
    beat_ts: int = 0  # of its last health
    stale: bool = False  # as that said
    day: Candle | None = None  # of the minutes so far
    days_seen: set[int] = field(default_factory=set)  # told as candles of a day

    def take(self, candle: Candle) -> Candle | None:
        """Take a minute that is over; return the day that is over with it."""
        self.closes.append((end_of(candle), candle.close))
        before = self.day
        if before is None or candle.open_ts // DAY_NS != before.open_ts // DAY_NS:
            self.day = _day_of(candle)
            over = before
        else:
            self.day, over = _joined(before, candle), None
        if end_of(candle) % DAY_NS == 0:
            over, self.day = self.day, None
        if over is None or over.open_ts in self.days_seen:
            return None
        self.days_seen.add(over.open_ts)
        return over

    def known_at(self, ts: int) -> tuple[int, float] | None:
        """Return when the price that was known at a time became known, and it."""
        return next((each for each in reversed(self.closes) if each[0] <= ts), None)


class Bars:
    """Candles as a `Source`.

    Parameters
    ----------
    begin_ts, end_ts
        ns UTC.

    Raises
    ------
    NoProfileError
        If no profile stands for a market.
    NoCandlesError
        If one has to be borrowed from another asset, and it is not known how much both trade; or if no market
        is one that is traded here, with a tick and a lot that are known. Such markets are left out.
    """

    def __init__(self, candles: Candles, begin_ts: int, end_ts: int) -> None:
        self._candles, self._begin_ts, self._end_ts = candles, begin_ts, end_ts
        self._left_out = [book for book in candles.books if book not in INSTRUMENTS]
        traded = [book for book in candles.books if book in INSTRUMENTS]
        if not traded:
            raise NoCandlesError(f"no market of these is traded here: {_named(candles.books)}")
        self._books = [self._book(*book) for book in traded]

    @property
    def provenance(self) -> Provenance:
        """What it is."""
        return Provenance(
            Fidelity.BARS,
            synthetic=True,
            books=tuple((book.venue, book.symbol) for book in self._books),
            begin_ts=self._begin_ts,
            end_ts=self._end_ts,
            notes=(
                _RULE,
                *(_note(book) for book in self._books),
                *(
                    [f"Left out, as they are not traded here: {_named(self._left_out)}."]
                    if self._left_out
                    else []
                ),
            ),
        )

    def start(self, bus: Bus) -> None:
        """Show the candles from before the beginning, and schedule those that come."""
        self._bus = bus
        for book in self._books:
            book.place = bus.place(book.key)
            self._show_history(book)
        self._coming = merge(*(self._minutes(book) for book in self._books), key=lambda each: each[0])
        self._next = next(self._coming, None)
        self._schedule()
        bus.before_looking(self.freshen)
        self.freshen(self._begin_ts, None, 0)

    def freshen(self, ts: int, partition: int | None, old_ns: int) -> None:
        """Show the books of a partition as they were at `ts`."""
        asked = [book for book in self._books if partition is None or book.place == partition]
        show_books(self._bus, [event for book in asked for event in self._owed(book, ts, old_ns)])

    def _owed(self, book: _Book, ts: int, old_ns: int) -> Iterator[BookTop | BookHealth]:
        known = book.known_at(ts)
        if known is None:
            return
        stale = ts - known[0] > STALE_NS
        if not stale and book.told_ts != known[0]:
            book.told_ts = known[0]
            yield book.ladder.top(known[1], ts)
        if stale == book.stale and ts - book.beat_ts < old_ns:
            return
        book.stale, book.beat_ts = stale, ts
        venue = VENUES.get(book.venue)
        yield BookHealth(
            venue=book.venue,
            symbol=book.symbol,
            state=BookState.STALE if stale else BookState.LIVE,
            epoch=book.ladder.epoch,
            seq=book.ladder.seq,
            reason="candles are missing" if stale else "made up around the last candle",
            owner=_OWNER,
            since_ts=known[0] if stale else self._begin_ts,
            ts=ts,
            rate_remaining=1.0,
            requests=1,
            request_ns=None if venue is None else round(2 * venue.latency_ms * NS_PER_MS),
        )

    # What comes

    def _minutes(self, book: _Book) -> Iterator[tuple[int, _Book, Candle]]:
        for candle in self._candles.between((book.venue, book.symbol), self._begin_ts + 1, self._end_ts + 1):
            if candle.interval == "1m":
                yield end_of(candle), book, candle

    def _schedule(self) -> None:
        if self._next is not None:
            self._bus.at(self._next[0], self._pass_minute, rank=SOURCE)

    def _pass_minute(self, given: None) -> None:
        """Tell the candles that are over now, and a moment later the books around their closes."""
        bus = self._bus
        while self._next is not None and self._next[0] <= bus.now:
            _, book, candle = self._next
            bus.publish(L2_CANDLES, candle_key(candle), candle)
            day = book.take(candle)
            if day is not None:
                bus.publish(L2_CANDLES_DAILY, candle_key(day), day)
            self._next = next(self._coming, None)
        bus.at(bus.now + 2 * HOP_NS, self._tell, given, SOURCE)
        self._schedule()

    def _tell(self, _: None) -> None:
        self._bus.look()

    # What was before

    def _show_history(self, book: _Book) -> None:
        """Show the days and minutes before the beginning; days of the minutes, where they are not told."""
        told: dict[int, Candle] = {}
        place = (book.venue, book.symbol)
        first = (self._begin_ts // DAY_NS - HISTORY_DAYS) * DAY_NS
        for candle in self._candles.between(place, first + 1, self._begin_ts + 1):
            if candle.interval == "1d":
                told[candle.open_ts] = candle
                book.days_seen.add(candle.open_ts)
                continue
            day = book.take(candle)
            if day is not None:
                told.setdefault(day.open_ts, day)
            if end_of(candle) > self._begin_ts - HISTORY_NS:
                self._bus.show(L2_CANDLES, candle_key(candle), candle)
        for open_ts in sorted(told):
            self._bus.show(L2_CANDLES_DAILY, candle_key(told[open_ts]), told[open_ts])

    def _book(self, venue: str, symbol: str) -> _Book:
        found = profile_for(venue, symbol)
        scale = 1.0 if found.same_asset else self._proportion(venue, symbol, found.profile)
        epoch = self._begin_ts // NS_PER_MS
        ladder = Ladder(venue, symbol, found.profile, epoch, scale)
        return _Book(venue, symbol, book_key(venue, symbol), found, ladder, scale)

    def _proportion(self, venue: str, symbol: str, lender: DepthProfile) -> float:
        """Return how much more is traded in a market than in one of its venue that has a profile."""
        ours = self._traded((venue, symbol))
        place = (venue, lender.symbol)
        theirs = self._traded(place) if place in set(self._candles.books) else lender.minute_notional
        if not ours or not theirs:
            raise NoCandlesError(
                f"{venue} {symbol} has no depth profile of its own, and to borrow that of {lender.symbol}"
                " candles of both are needed in the two days before the beginning"
            )
        return ours / theirs

    def _traded(self, place: tuple[str, str]) -> float:
        """Return the median value of a minute in the time before the beginning, quote units."""
        begin = self._begin_ts
        history = self._candles.between(place, begin - HISTORY_NS, begin + 1)
        values = [candle.volume * candle.close for candle in history if candle.interval == "1m"]
        return median(values) if values else 0.0


def _named(books: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{venue} {symbol}" for venue, symbol in books)


def _note(book: _Book) -> str:
    words = book.found.profile.words()
    if book.found.own:
        return f"Books of {book.venue} {book.symbol} are as measured on {words}."
    much = "" if book.found.same_asset else f", depth times {book.scale:.3g} as less or more is traded"
    return f"Books of {book.venue} {book.symbol} are borrowed{much}, with an unknown error, from {words}."


def _day_of(minute: Candle) -> Candle:
    return Candle(
        venue=minute.venue,
        symbol=minute.symbol,
        interval="1d",
        open_ts=minute.open_ts // DAY_NS * DAY_NS,
        open=minute.open,
        high=minute.high,
        low=minute.low,
        close=minute.close,
        volume=minute.volume,
        trades=minute.trades,
        closed=True,
    )


def _joined(day: Candle, minute: Candle) -> Candle:
    return Candle(
        venue=day.venue,
        symbol=day.symbol,
        interval="1d",
        open_ts=day.open_ts,
        open=day.open,
        high=max(day.high, minute.high),
        low=min(day.low, minute.low),
        close=minute.close,
        volume=day.volume + minute.volume,
        trades=day.trades + minute.trades,
        closed=True,
    )
