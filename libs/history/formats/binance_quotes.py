"""Binance futures' ``bookTicker`` and ``bookDepth``.

``bookTicker`` has the best bid and ask, each time one of them changes: as a book it has one level a side, and
nothing is known below. Its update ids rise, but by any step, so a loss cannot be seen. A row is a whole
quote: what follows a bad one begins a new epoch.

``bookDepth`` has no prices: every half a minute, how much is offered within so many per cent of the mid, with
its value. No book can be made of that without inventing its levels, and it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_MS
from libs.history.columns import BookColumns
from libs.history.faults import FaultKind
from libs.history.formats.binance import Notes, market_of, named, tables
from libs.history.formats.format import UnreadableSourceError
from libs.history.formats.sequence import AHEAD, out_of_order
from libs.history.formats.stamps import from_ms_or_us
from libs.history.formats.table import is_amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from libs.history.columns import Bools, Columns, Floats, Ints
    from libs.history.faults import FaultReport
    from libs.history.formats.table import Kind, Table

_QUOTES: Final[Mapping[str, Kind]] = {
    "update_id": "int",
    "best_bid_price": "float",
    "best_bid_qty": "float",
    "best_ask_price": "float",
    "best_ask_qty": "float",
    "transaction_time": "int",
    "event_time": "int",
}


class BinanceQuotes:
    """``bookTicker``."""

    name = "binance-bookticker"

    def fits(self, path: Path) -> bool:
        """Return whether a file's name says so."""
        said = named(path)
        return said is not None and said.what == "bookTicker"

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield stretches of such books."""
        books: dict[tuple[str, str], _Quotes] = {}
        for path in sorted(paths):
            market = market_of(path, futures=True)
            quotes = books.setdefault(market, _Quotes(*market))
            quotes.begin(Notes(path, faults))
            for table in tables(path, _QUOTES, faults, AHEAD):
                yield quotes.columns(table)


class _Quotes:
    """One market's best quotes; changes in place."""

    def __init__(self, venue: str, symbol: str) -> None:
        self._venue, self._symbol = venue, symbol
        self._notes: Notes
        self._row = 0  # the last one that was used
        self._id = self._ts = self._epoch = self._seq = 0
        self._quote = np.zeros(4)  # bid, its size, ask, its size

    def begin(self, notes: Notes) -> None:
        """Go on with another file."""
        self._notes, self._row = notes, 0
        self._quote = np.zeros(4)

    def columns(self, table: Table) -> BookColumns:
        """Return a block as a book of one level a side."""
        names = ("best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty")
        quotes = np.stack([table.numbers(name) for name in names], axis=1)
        venue_ts, sent = from_ms_or_us(table.numbers("transaction_time"))
        ts, timed = from_ms_or_us(table.numbers("event_time"))
        update = table.numbers("update_id")
        good = timed & sent & (update >= 0) & is_amount(quotes, positive=True).all(axis=1)
        sure = table.sure
        tell = self._notes.tell
        tell(FaultKind.UNREADABLE, table.rows, ts, ~good & sure, "a time, price or size that cannot be")
        late = np.zeros(len(good), bool)
        late[good] = out_of_order(update[good], self._id) | out_of_order(ts[good], self._ts)
        tell(
            FaultKind.ORDER, table.rows, ts, late & sure, "its id or time lies before that of the row before"
        )
        good &= ~late & sure
        again = np.zeros(len(good), bool)
        again[good] = np.diff(update[good], prepend=self._id) == 0
        tell(FaultKind.DUPLICATE, table.rows, ts, again, "its update id is that of the row before")
        good &= ~again
        crossed = good & (quotes[:, 0] >= quotes[:, 2])
        tell(FaultKind.CROSSED, table.rows, ts, crossed, "the best bid reaches the best ask")
        good &= ~crossed
        twice = np.cumsum(again)  # of what comes twice there is no hole
        anew = np.diff((table.rows - twice)[good], prepend=self._row) > 1
        if len(anew):
            anew[0] |= not self._quote.any()
        made = self._made(update[good], venue_ts[good], ts[good], quotes[good], anew)
        self._row = self._after(table, good, again)
        return made

    def _after(self, table: Table, good: Bools, again: Bools) -> int:
        """Return the last row that was used, as if those that come twice behind it were it."""
        row = int(table.rows[good].max(initial=self._row))
        return row + int(again[table.rows > row].sum())

    def _made(self, update: Ints, venue_ts: Ints, ts: Ints, quotes: Floats, anew: Bools) -> BookColumns:
        """Return rows as snapshots where they begin anew, else as what changed since the row before."""
        count = len(update)
        before = np.concatenate((self._quote[None], quotes))[:-1]
        moved = quotes[:, ::2] != before[:, ::2]  # bid, ask
        changed = moved | (quotes[:, 1::2] != before[:, 1::2]) | anew[:, None]
        gone = moved & ~anew[:, None]
        told = np.stack([gone[:, 0], changed[:, 0], gone[:, 1], changed[:, 1]], axis=1)
        price = np.stack([before[:, 0], quotes[:, 0], before[:, 2], quotes[:, 2]], axis=1)
        size = np.stack([np.zeros(count), quotes[:, 1], np.zeros(count), quotes[:, 3]], axis=1)
        is_bid = np.broadcast_to([True, True, False, False], (count, 4))
        epoch, seq = self._places(ts, anew)
        if count:
            self._quote, self._id, self._ts = quotes[-1].copy(), int(update[-1]), int(ts[-1])
        return BookColumns(
            venue=self._venue,
            symbol=self._symbol,
            epoch=epoch,
            seq=seq,
            snapshot=anew,
            venue_seq=update,
            venue_ts=venue_ts,
            received_ts=ts,
            first=np.append(0, np.cumsum(told.sum(axis=1))),
            is_bid=is_bid[told],
            price=price[told],
            size=size[told],
        )

    def _places(self, ts: Ints, anew: Bools) -> tuple[Ints, Ints]:
        """Return epoch and seq of each row."""
        count = len(ts)
        starts = np.flatnonzero(anew)
        epochs = [self._epoch]
        for start in starts.tolist():
            epochs.append(max(int(ts[start]) // NS_PER_MS, epochs[-1] + 1))
        run = np.cumsum(anew)
        begins = np.append(-self._seq, starts)  # where the run before this block began
        seq = np.arange(count) - begins[run] + 1
        self._epoch = epochs[-1]
        self._seq = int(seq[-1]) if count else self._seq
        return np.array(epochs, np.int64)[run], seq.astype(np.int64)


class BinanceBands:
    """``bookDepth``: it is known, to be refused by its name."""

    name = "binance-bookdepth"

    def fits(self, path: Path) -> bool:
        """Return whether a file's name says so."""
        said = named(path)
        return said is not None and said.what == "bookDepth"

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:  # noqa: ARG002 -- as of the others
        """Raise UnreadableSourceError: it cannot become a book."""
        raise UnreadableSourceError(
            f"{paths[0].name if paths else self.name}: bookDepth has sums within per cents of the mid and no"
            " prices, so no book can be made of it"
        )
