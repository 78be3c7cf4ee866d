"""`DayFile`: one day of one kind, written row group by row group, its numbers as decimals where they fit.

`DayFiles` are those of one book and kind, one after the other.

How many digits a file needs is known when its last row is: where a row group needs more than those before it,
what is written so far is written again, one row group at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from libs.common.time_units import DAY_NS
from libs.history.layout import Digits, Kind, book_schema, candles_schema, day_path, trades_schema
from libs.history.numbers import digits_of, number_array, numbers_of
from libs.history.parts import PartFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from libs.common.events import Candle, Trade

PLAIN: Final = Digits(None, None)
SCHEMAS: Final[Mapping[Kind, Callable[[Digits], pa.Schema]]] = {
    "book": book_schema,
    "trades": trades_schema,
    "candles": candles_schema,
}
_WORDS: Final = ("type", "venue", "symbol", "reason", "owner", "side", "interval")
_RISING: Final = ("epoch", "seq", "venue_seq", "venue_ts", "received_ts", "open_ts")
_LEVELS: Final = ("bids", "asks")


class DayFile:
    """A day in the making; its row groups come with their numbers as doubles.

    Raises
    ------
    FileExistsAlreadyError
        If the file exists and `overwrite` is false.
    HistoryError
        If it cannot be written.
    """

    def __init__(self, path: Path, kind: Kind, *, overwrite: bool) -> None:
        self.path = path
        self._kind: Kind = kind
        self._overwrite = overwrite
        self._digits: Digits | None = PLAIN if kind == "candles" else None  # None: no row yet
        self._file: PartFile = self._opened(path, self._digits or PLAIN)
        self._groups = 0

    def write(self, table: pa.Table) -> None:
        """Add a row group; of a book it begins with a whole one, where that is known."""
        digits = self._needed(table)
        if digits != self._digits:
            self._widen(digits)
        self._file.write(narrowed(table, digits, SCHEMAS[self._kind](digits)))
        self._groups += 1

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._file.close()

    def discard(self) -> None:
        """Drop what was written."""
        self._file.discard()

    def _opened(self, path: Path, digits: Digits) -> PartFile:
        schema = SCHEMAS[self._kind](digits)
        return PartFile(path, schema, overwrite=self._overwrite, options=_options(schema))

    def _needed(self, table: pa.Table) -> Digits:
        before = self._digits
        if before == PLAIN:
            return PLAIN
        price, size = before or (0, 0)
        return Digits(
            None if before and price is None else digits_of(_leaves(table, "price"), price or 0),
            None if before and size is None else digits_of(_leaves(table, "size"), size or 0),
        )

    def _widen(self, digits: Digits) -> None:
        """Go on in a file with these digits, with what was written so far."""
        before, self._digits = self._file, digits
        if not self._groups:
            before.discard()
            self._file = self._opened(self.path, digits)
            return
        before.finish()
        written = pq.ParquetFile(before.part)
        wider = self._opened(self.path.with_name(f"{self.path.name}.wider"), digits)
        schema = SCHEMAS[self._kind](digits)
        for group in range(written.num_row_groups):
            wider.write(narrowed(widened(written.read_row_group(group)), digits, schema))
        wider.take_over(before)
        self._file = wider


class DayFiles:
    """The days of one book and kind in turn: each has its name once a later one begins; changed in place.

    Attributes
    ----------
    day
        Since 1970, that is being written; -1 before the first.
    """

    def __init__(self, root: Path, venue: str, symbol: str, kind: Kind, *, overwrite: bool) -> None:
        self.day = -1
        self._root, self._venue, self._symbol, self._overwrite = root, venue, symbol, overwrite
        self._kind: Kind = kind
        self._file: DayFile | None = None

    def begin(self, ts: int) -> None:
        """Finish the day before, and begin that of a time (ns UTC); raises what `DayFile` raises."""
        path = day_path(self._root, self._venue, self._symbol, ts, self._kind)
        self.close()
        self._file, self.day = DayFile(path, self._kind, overwrite=self._overwrite), ts // DAY_NS

    def write(self, table: pa.Table) -> None:
        """Add a row group to the day."""
        if self._file is None:
            raise ValueError(f"no day of {self._venue} {self._symbol} has begun")
        self._file.write(table)

    def close(self) -> None:
        """Finish the last day, and give it its name."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Drop the day that is not finished."""
        if self._file is not None:
            self._file.discard()
            self._file = None


def table_of(events: Sequence[Trade | Candle], schema: pa.Schema) -> pa.Table:
    """Return a row group of events whose fields are the columns."""
    columns = [pa.array([getattr(event, field.name) for event in events], field.type) for field in schema]
    return pa.table(columns, schema=schema)


def narrowed(table: pa.Table, digits: Digits, schema: pa.Schema) -> pa.Table:
    """Return a table of doubles with its prices and sizes as the schema has them."""
    return _mapped(
        table, schema, lambda column, name: number_array(numbers_of(column), getattr(digits, name))
    )


def widened(table: pa.Table) -> pa.Table:
    """Return a table with its prices and sizes as doubles."""
    schema = (book_schema if "bids" in table.column_names else trades_schema)(PLAIN)
    return _mapped(table, schema, lambda column, _: pa.array(numbers_of(column)))


def _mapped(table: pa.Table, schema: pa.Schema, number: Callable[[pa.Array, str], pa.Array]) -> pa.Table:
    columns = []
    for field in schema:
        column = table[field.name]
        if field.name in _LEVELS:
            column = _levels(column.combine_chunks(), field.type, number)
        elif field.name in Digits._fields:
            column = number(column.combine_chunks(), field.name)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _levels(column: pa.Array, kind: pa.DataType, number: Callable[[pa.Array, str], pa.Array]) -> pa.Array:
    parts = column.flatten().flatten()
    fields = [kind.value_type.field(at) for at in range(kind.value_type.num_fields)]
    made = pa.StructArray.from_arrays(
        [number(part, field.name) for part, field in zip(parts, fields, strict=True)], fields=fields
    )
    offsets = column.offsets.to_numpy()
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), made, type=kind)


def _leaves(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return all prices, or all sizes, of a table of doubles."""
    if name in table.column_names:
        return numbers_of(table[name].combine_chunks())
    return np.concatenate(
        [numbers_of(table[side].combine_chunks().flatten().field(name)) for side in _LEVELS]
    )


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Return how each column is written: words and doubles by a dictionary, decimals with their bytes split.

    Of a price in whole units the upper bytes hardly change, so split they cost nearly nothing; of a double
    all bytes do.
    """
    encodings = {name: "DELTA_BINARY_PACKED" for name in _RISING if name in schema.names}
    words = [name for name in _WORDS if name in schema.names]
    for path, kind in _numbers(schema):
        if pa.types.is_decimal(kind):
            encodings[path] = "BYTE_STREAM_SPLIT"
        else:
            words.append(path)
    if "trade_id" in schema.names:
        encodings["trade_id"] = "DELTA_BYTE_ARRAY"
    return {"use_dictionary": words, "column_encoding": encodings}


def _numbers(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    found = []
    for field in schema:
        if field.name in _LEVELS:
            parts = field.type.value_type
            found += [
                (f"{field.name}.list.element.{parts.field(at).name}", parts.field(at).type)
                for at in range(parts.num_fields)
            ]
        elif pa.types.is_floating(field.type) or pa.types.is_decimal(field.type):
            found.append((field.name, field.type))
    return found
