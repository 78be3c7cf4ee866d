"""Binance's ``klines`` and ``aggTrades``.

``klines`` are candles as `l2` has them; lengths of a minute and of a day are kept, others are refused. A
candle that is missing in a file is a gap.

``aggTrades`` are trades with the fills of one aggressor at one price taken together: a trade is one of them,
its id the aggregate's, which rises by one. So a hole in the ids is a gap.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.history.columns import CandleColumns, TradeColumns
from libs.history.faults import FaultKind
from libs.history.formats.binance import Notes, columns_of, has_head, market_of, named, tables
from libs.history.formats.format import UnreadableSourceError
from libs.history.formats.sequence import AHEAD, holes, out_of_order
from libs.history.formats.stamps import from_ms_or_us
from libs.history.formats.table import is_amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from libs.common.events import Interval
    from libs.history.columns import Bools, Columns, Ints
    from libs.history.faults import FaultReport
    from libs.history.formats.table import Kind, Table

_CANDLES: Final[Mapping[str, Kind]] = {
    "open_time": "int",
    "open": "float",
    "high": "float",
    "low": "float",
    "close": "float",
    "volume": "float",
    "close_time": "int",
    "quote_volume": "float",
    "count": "int",
    "taker_buy_volume": "float",
    "taker_buy_quote_volume": "float",
    "ignore": "text",
}
_FUTURES_TRADES: Final[Mapping[str, Kind]] = {
    "agg_trade_id": "int",
    "price": "float",
    "quantity": "float",
    "first_trade_id": "int",
    "last_trade_id": "int",
    "transact_time": "int",
    "is_buyer_maker": "bool",
}
_SPOT_TRADES: Final[Mapping[str, Kind]] = {**_FUTURES_TRADES, "is_best_match": "bool"}
_LENGTHS: Final[Mapping[str, tuple[Interval, int]]] = {"1m": ("1m", MINUTE_NS), "1d": ("1d", DAY_NS)}
_LENGTH_NAME: Final = re.compile(r"\d{1,2}(s|m|h|d|w|mo|M)")


class BinanceKlines:
    """``klines``."""

    name = "binance-klines"

    def fits(self, path: Path) -> bool:
        """Return whether a file's name has the length of a candle."""
        said = named(path)
        return said is not None and _LENGTH_NAME.fullmatch(said.what) is not None

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield stretches of candles."""
        series: dict[tuple[str, str, str], _Rising] = {}
        for path in sorted(paths):
            said = named(path)
            length = said and _LENGTHS.get(said.what)
            if said is None or length is None:
                raise UnreadableSourceError(
                    f"{path.name}: candles of {said.what if said else 'no known length'}; those of 1m"
                    " and 1d are kept"
                )
            venue, symbol = market_of(path, futures=has_head(path))
            rising = series.setdefault((venue, symbol, said.what), _Rising(length[1]))
            rising.begin(Notes(path, faults))
            for table in tables(path, _CANDLES, faults, AHEAD):
                yield _candles(table, venue, symbol, length, rising)


class BinanceTrades:
    """``aggTrades``."""

    name = "binance-aggtrades"

    def fits(self, path: Path) -> bool:
        """Return whether a file's name says so."""
        said = named(path)
        return said is not None and said.what == "aggTrades"

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield stretches of trades."""
        series: dict[tuple[str, str], tuple[_Rising, _Clock]] = {}
        for path in sorted(paths):
            kinds = _SPOT_TRADES if columns_of(path) == len(_SPOT_TRADES) else _FUTURES_TRADES
            venue, symbol = market_of(path, futures=kinds is _FUTURES_TRADES)
            ids, clock = series.setdefault((venue, symbol), (_Rising(1), _Clock()))
            ids.begin(Notes(path, faults))
            for table in tables(path, kinds, faults, AHEAD):
                yield _trades(table, venue, symbol, ids, clock)


class _Clock:
    """The latest time that was read, ns."""

    now = 0


class _Rising:
    """A column that rises by one step a row; changes in place."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._last: tuple[int, int] | None = None  # value and row of what was used last
        self.notes: Notes

    def begin(self, notes: Notes) -> None:
        """Go on with another file, whose rows count from one."""
        self.notes = notes
        if self._last is not None:
            self._last = (self._last[0], 0)

    def judge(self, table: Table, values: Ints, ts: Ints, usable: Bools, late: Bools | None = None) -> Bools:
        """Return which rows can be used; tell of those that come twice or too late, and of holes.

        Parameters
        ----------
        usable
            Rows whose values can be true; the others still stand for a step.
        late
            Usable rows that are too late by another clock.
        """
        rows, sure = table.rows, table.sure
        floor = self._last[0] if self._last else 0
        at = np.flatnonzero(usable)
        guilty = out_of_order(values[at], floor)
        if late is not None:
            guilty |= late[at]
        again = np.zeros(len(at), bool)
        straight = np.flatnonzero(~guilty)
        previous = np.append(floor, values[at[straight]][:-1])[: len(straight)]
        again[straight] = values[at[straight]] == previous
        for kind, which, what in (
            (FaultKind.ORDER, guilty, "its time or number lies before that of the row before"),
            (FaultKind.DUPLICATE, again, "its time or number is that of the row before"),
        ):
            self.notes.tell(kind, rows, ts, _at(at[which], len(rows)) & sure, what)
        good = at[~guilty & ~again & sure[at]]
        for hole in holes(values[good], rows[good], self._step, values[at[guilty]], self._last):
            what = f"{hole.missing} are missing before it"
            self.notes.one(FaultKind.GAP, int(rows[good[hole.at]]), int(ts[good[hole.at]]), what)
        if len(good):
            self._last = (int(values[good[-1]]), int(rows[good[-1]]))
        return _at(good, len(rows))


def _at(indices: Ints, count: int) -> Bools:
    found = np.zeros(count, bool)
    found[indices] = True
    return found


def _candles(
    table: Table, venue: str, symbol: str, length: tuple[Interval, int], rising: _Rising
) -> CandleColumns:
    ts, timed = from_ms_or_us(table.numbers("open_time"))
    opened, high, low, close = (table.numbers(name) for name in ("open", "high", "low", "close"))
    volume, count = table.numbers("volume"), table.numbers("count")
    good = timed & (ts % length[1] == 0) & is_amount(volume) & (count >= 0)
    for price in (opened, high, low, close):
        good &= is_amount(price, positive=True) & (low <= price) & (price <= high)
    rising.notes.tell(
        FaultKind.UNREADABLE, table.rows, ts, ~good & table.sure, "a time, price or volume that cannot be"
    )
    kept = rising.judge(table, ts, ts, good)
    return CandleColumns(
        venue=venue,
        symbol=symbol,
        interval=length[0],
        open_ts=ts[kept],
        open=opened[kept],
        high=high[kept],
        low=low[kept],
        close=close[kept],
        volume=volume[kept],
        trades=count[kept],
    )


def _trades(table: Table, venue: str, symbol: str, ids: _Rising, clock: _Clock) -> TradeColumns:
    ts, timed = from_ms_or_us(table.numbers("transact_time"))
    price, size, number = (table.numbers(name) for name in ("price", "quantity", "agg_trade_id"))
    good = timed & is_amount(price, positive=True) & is_amount(size) & (number >= 0)
    wrong = ~good & table.sure
    ids.notes.tell(FaultKind.UNREADABLE, table.rows, ts, wrong, "a time, id, price or size that cannot be")
    late = np.zeros(len(good), bool)
    late[good] = out_of_order(ts[good], clock.now)
    kept = ids.judge(table, number, ts, good, late)
    clock.now = int(ts[kept].max(initial=clock.now))
    return TradeColumns(
        venue=venue,
        symbol=symbol,
        trade_id=number[kept].astype(str).astype(object),
        price=price[kept],
        size=size[kept],
        is_buy=~table.numbers("is_buyer_maker")[kept],
        venue_ts=ts[kept],
        received_ts=ts[kept],
    )
