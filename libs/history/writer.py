"""`DayWriter`: market events in, day files out; each is there whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeAlias

from libs.common.events import BookDelta, BookSnapshot, Candle, Trade
from libs.history.book_days import BookDays
from libs.history.candle_days import CandleDays
from libs.history.columns import BookColumns, TradeColumns
from libs.history.trade_days import TradeDays

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from libs.history.columns import Columns
    from libs.history.faults import FaultReport

MarketEvent: TypeAlias = BookSnapshot | BookDelta | Trade | Candle


class DayWriter:
    """Writes the days of any number of books; a context manager.

    Of each book the messages come in their order, and so do the trades. Leaving it without an error gives
    the last days their names; leaving it with one drops them, and keeps those that are whole.

    Parameters
    ----------
    source
        Of what the faults are that are found while writing: the name of a file, or of a topic.
    overwrite
        Whether days that are there are written anew; candles are always added to theirs.
    """

    def __init__(self, root: Path, faults: FaultReport, *, source: str, overwrite: bool = False) -> None:
        self._root, self._faults, self._overwrite, self._source = root, faults, overwrite, source
        self._books: dict[tuple[str, str], BookDays] = {}
        self._trades: dict[tuple[str, str], TradeDays] = {}
        self._candles: dict[tuple[str, str], CandleDays] = {}

    @property
    def rows(self) -> int:
        """How many were written."""
        return sum(each.rows for each in self._streams())

    @property
    def keyframes(self) -> int:
        """How many repeated ones said nothing new, and so were left out."""
        return sum(each.keyframes for each in self._books.values())

    def write(self, event: MarketEvent) -> None:
        """Take the next message.

        Raises
        ------
        FileExistsAlreadyError
            If its day is there already, and is not to be overwritten.
        HistoryError
            If its day cannot be written.
        """
        place = (event.venue, event.symbol)
        if isinstance(event, BookDelta | BookSnapshot):
            self._book(place).write(event)
        elif isinstance(event, Trade):
            self._trades_of(place).write(event)
        else:
            self._candles_of(place).write(event)

    def write_columns(self, columns: Columns) -> None:
        """Take the next messages in bulk; raises what `write` raises."""
        place = (columns.venue, columns.symbol)
        if isinstance(columns, BookColumns):
            self._book(place).write_columns(columns)
        elif isinstance(columns, TradeColumns):
            self._trades_of(place).write_columns(columns)
        else:
            candles = self._candles_of(place)
            for candle in columns.events():
                candles.write(candle)

    def _book(self, place: tuple[str, str]) -> BookDays:
        if (book := self._books.get(place)) is None:
            book = self._books[place] = BookDays(
                self._root, *place, self._faults, overwrite=self._overwrite, source=self._source
            )
        return book

    def _trades_of(self, place: tuple[str, str]) -> TradeDays:
        if (trades := self._trades.get(place)) is None:
            trades = self._trades[place] = TradeDays(self._root, *place, overwrite=self._overwrite)
        return trades

    def _candles_of(self, place: tuple[str, str]) -> CandleDays:
        if (candles := self._candles.get(place)) is None:
            candles = self._candles[place] = CandleDays(self._root, *place, self._faults, source=self._source)
        return candles

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for stream in self._streams():
                    stream.close()
        finally:
            for stream in self._streams():
                stream.discard()

    def _streams(self) -> list[BookDays | TradeDays | CandleDays]:
        return [*self._books.values(), *self._trades.values(), *self._candles.values()]
