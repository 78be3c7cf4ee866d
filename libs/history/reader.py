"""Market events out of day files, by time; one row group of a file is held at once.

A time range is from `begin` on and before `end`, both ns UTC, by `received_ts`; of candles by when their
interval is over, as nobody knows a candle before.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from libs.common.events import BookSnapshot
from libs.common.order_book import KeyframeMismatchError, OrderBook, SequenceGapError
from libs.common.time_units import DAY_NS
from libs.history.candle_days import end_of
from libs.history.errors import HistoryError
from libs.history.layout import BookFolder, book_folders, days_of
from libs.history.reading import book_rows, candles_of, groups_of, groups_with, opened, trades_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libs.common.events import BookDelta, Candle, Trade

__all__ = ["BookFolder", "book_at", "book_folders", "read_book", "read_candles", "read_trades"]


def read_book(root: Path, book: BookFolder, begin: int, end: int) -> Iterator[BookSnapshot | BookDelta]:
    """Yield the book as it was at `begin`, where that is known, and the messages of the range.

    The first has the `received_ts` of the last message before, and the day of `begin` alone is asked for it.

    Raises
    ------
    HistoryError
        If a file cannot be read.
    """
    before = OrderBook()
    last: BookSnapshot | BookDelta | None = None  # message before the range
    begun = False
    for event in _messages(root, book, begin, end):
        if not begun and event.received_ts < begin:
            before, last = followed(before, event), event
            continue
        if not begun:
            yield from _as_of(before, last)
            begun = True
        if event.received_ts >= end:
            return
        yield event
    if not begun:
        yield from _as_of(before, last)


def read_trades(root: Path, book: BookFolder, begin: int, end: int) -> Iterator[Trade]:
    """Yield the trades of the range; raises HistoryError if a file cannot be read."""
    for day, path in days_of(root, book, "trades").items():
        if day < begin // DAY_NS or day * DAY_NS >= end:
            continue
        with opened(path, "trades") as file:
            for group in groups_of(file):
                if group.last_ts < begin:
                    continue
                for trade in trades_of(file.read_row_group(group.number)):
                    if begin <= trade.received_ts < end:
                        yield trade


def read_candles(root: Path, book: BookFolder, begin: int, end: int) -> Iterator[Candle]:
    """Yield the candles that are over in the range; raises HistoryError if a file cannot be read."""
    for day, path in days_of(root, book, "candles").items():
        if (day + 1) * DAY_NS < begin or day * DAY_NS >= end:
            continue
        for candle in candles_of(path):
            if begin <= end_of(candle) < end:
                yield candle


def book_at(root: Path, book: BookFolder, epoch: int, seq: int) -> OrderBook:
    """Return the book as it was with this message.

    Raises
    ------
    HistoryError
        If the message, or what came before it, is not there, or a file cannot be read.
    """
    for path in days_of(root, book, "book").values():
        with opened(path, "book") as file:
            for number in groups_with(file, epoch, seq):
                found = OrderBook()
                for row in book_rows(file.read_row_group(number)):
                    found = followed(found, row.event)
                    if (row.event.epoch, row.event.seq) == (epoch, seq) and found.epoch is not None:
                        return found
    raise HistoryError(
        f"{root}: of {book.venue} {book.symbol} there is no message {seq} of epoch {epoch}, "
        "or not what came before it"
    )


def followed(book: OrderBook, event: BookSnapshot | BookDelta) -> OrderBook:
    """Return the book after a message: an unknown one where deltas are missing before it."""
    try:
        book.follow(event)
    except SequenceGapError:
        return OrderBook()
    except KeyframeMismatchError:
        shown = OrderBook()
        shown.follow(event)
        return shown
    return book


def _messages(root: Path, book: BookFolder, begin: int, end: int) -> Iterator[BookSnapshot | BookDelta]:
    """Yield what a reader of the range needs: from the whole book before it on, to its end or further."""
    place: tuple[int, int] | None = None  # of the message before
    for day, path in days_of(root, book, "book").items():
        if day < begin // DAY_NS or day * DAY_NS >= end:
            continue
        with opened(path, "book") as file:
            groups = groups_of(file)
            first = next((group.number for group in groups if group.last_ts >= begin), len(groups) - 1)
            for group in groups[max(0, first) :]:
                for event, repeated in book_rows(file.read_row_group(group.number)):
                    here = (event.epoch, event.seq)
                    if not (repeated and here == place):
                        place = here
                        yield event


def _as_of(book: OrderBook, last: BookSnapshot | BookDelta | None) -> Iterator[BookSnapshot]:
    """Yield a keyframe of a book that is known, as it was with the last message."""
    if book.epoch is not None and book.seq is not None and last is not None:
        yield BookSnapshot(
            venue=last.venue,
            symbol=last.symbol,
            epoch=book.epoch,
            seq=book.seq,
            venue_seq=book.venue_seq,
            bids=book.bids(),
            asks=book.asks(),
            venue_ts=last.venue_ts,
            received_ts=last.received_ts,
            reason="keyframe",
        )


def span_of(root: Path, book: BookFolder) -> tuple[int, int] | None:
    """Return when the first and the last message of a book was received, ns UTC; None if none is kept.

    Raises
    ------
    HistoryError
        If a file cannot be read.
    """
    paths = list(days_of(root, book, "book").values())
    if not paths:
        return None
    with opened(paths[0], "book") as file:
        firsts = [row.event.received_ts for row in islice(book_rows(file.read_row_group(0)), 2)]
    with opened(paths[-1], "book") as file:
        last = max(group.last_ts for group in groups_of(file))
    return firsts[0], last
