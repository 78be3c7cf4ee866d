"""`TradeDays`: the trades of one book, written as days."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from libs.common.time_units import DAY_NS
from libs.history.day_file import PLAIN, DayFiles, table_of
from libs.history.layout import trades_schema

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.events import Trade
    from libs.history.columns import TradeColumns

GROUP_TRADES: Final = 65_536
_SCHEMA: Final = trades_schema(PLAIN)


class TradeDays:
    """The days of one book's trades in the making; changed in place by each trade."""

    def __init__(self, root: Path, venue: str, symbol: str, *, overwrite: bool) -> None:
        self.rows = 0
        self._files = DayFiles(root, venue, symbol, "trades", overwrite=overwrite)
        self._group: list[Trade] = []

    def write(self, trade: Trade) -> None:
        """Take the next trade; raises HistoryError if its day cannot be written."""
        self._turn(trade.received_ts)
        if len(self._group) >= GROUP_TRADES:
            self._flush()
        self._group.append(trade)

    def write_columns(self, columns: TradeColumns) -> None:
        """Take the next trades; raises HistoryError if a day cannot be written."""
        days = columns.received_ts // DAY_NS
        for first, end in pairwise([0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(columns)]):
            if end > first:
                self._turn(int(columns.received_ts[first]))
                self._flush()
                self._write(_table(columns, first, end))

    def close(self) -> None:
        """Write what is left, and give the last day its name."""
        self._flush()
        self._files.close()

    def discard(self) -> None:
        """Drop the day that is not finished."""
        self._files.discard()

    def _turn(self, ts: int) -> None:
        """Finish a day and begin another one, if this time (ns) is of a later one."""
        if ts // DAY_NS > self._files.day:
            self._flush()
            self._files.begin(ts)

    def _write(self, table: pa.Table) -> None:
        self._files.write(table)
        self.rows += table.num_rows

    def _flush(self) -> None:
        if self._group:
            self._write(table_of(self._group, _SCHEMA))
        self._group = []


def _table(columns: TradeColumns, first: int, end: int) -> pa.Table:
    """Return some of the trades as a row group."""
    count = end - first
    made = {
        "venue": pa.repeat(columns.venue, count),
        "symbol": pa.repeat(columns.symbol, count),
        "side": pa.array(np.where(columns.is_buy[first:end], "buy", "sell"), pa.string()),
    }
    for name in ("trade_id", "price", "size", "venue_ts", "received_ts"):
        made[name] = pa.array(getattr(columns, name)[first:end], _SCHEMA.field(name).type)
    return pa.table([made[name] for name in _SCHEMA.names], schema=_SCHEMA)
