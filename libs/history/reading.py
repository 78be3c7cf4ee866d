"""The events of a day's file, one row group at a time."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from libs.common.events import BookDelta, BookSnapshot, Candle, Trade
from libs.history.day_file import PLAIN, SCHEMAS
from libs.history.errors import HistoryError
from libs.history.numbers import numbers_of
from libs.history.parts import parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow.parquet as pq

    from libs.common.events import Level
    from libs.history.layout import Kind

INT64_DIGITS: Final = 18  # decimal ones
SLICE: Final = 2048  # messages made at once: what of a row group is held as events


class Group(NamedTuple):
    """What is known of a row group without reading it."""

    number: int
    rows: int
    last_ts: int  # the latest `received_ts` in it


class BookRow(NamedTuple):
    """A message of a book, and whether only the writer said it."""

    event: BookSnapshot | BookDelta
    repeated: bool


@contextmanager
def opened(path: Path, kind: Kind) -> Iterator[pq.ParquetFile]:
    """Open a file of the layout; whatever cannot be read inside raises HistoryError too.

    Raises
    ------
    HistoryError
        If it is no whole Parquet file, or its columns are not those of the layout.
    """
    with parquet(path) as file:
        _check(path, kind, file.schema_arrow)
        yield file


def groups_of(file: pq.ParquetFile) -> list[Group]:
    """Return what is known of each row group of a file of books or trades."""
    column = _leaf(file, "received_ts")
    found = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        statistics = group.column(column).statistics
        last_ts = statistics.max if statistics is not None and statistics.has_min_max else 2**63 - 1
        found.append(Group(number, group.num_rows, last_ts))
    return found


def groups_with(file: pq.ParquetFile, epoch: int, seq: int) -> list[int]:
    """Return the row groups of a book in which a message may be."""
    epochs, seqs = _leaf(file, "epoch"), _leaf(file, "seq")
    found = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        of_epoch, of_seq = group.column(epochs).statistics, group.column(seqs).statistics
        if _may_hold(of_epoch, epoch) and _may_hold(of_seq, seq):
            found.append(number)
    return found


def book_rows(table: pa.Table) -> Iterator[BookRow]:
    """Yield the messages of a row group."""
    for first in range(0, table.num_rows, SLICE):
        yield from _book_slice(table.slice(first, SLICE))


def trades_of(table: pa.Table) -> Iterator[Trade]:
    """Yield the trades of a row group."""
    for first in range(0, table.num_rows, SLICE):
        for fields in _rows(table.slice(first, SLICE)):
            yield Trade(**fields)


def candles_of(path: Path) -> list[Candle]:
    """Return the candles of a day, by when they are over."""
    with opened(path, "candles") as file:
        return [Candle(**fields) for fields in _rows(file.read())]


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield each row's fields by name."""
    names = table.column_names
    columns = [_values(table[name].combine_chunks()) for name in names]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _book_slice(part: pa.Table) -> Iterator[BookRow]:
    def column(name: str) -> Sequence[Any]:
        return _values(part[name].combine_chunks())

    venue, symbol = part["venue"][0].as_py(), part["symbol"][0].as_py()
    bids, asks = _sides(part["bids"]), _sides(part["asks"])
    kinds, repeated, reasons, owners = map(column, ("type", "repeated", "reason", "owner"))
    heads = zip(*map(column, ("epoch", "seq", "venue_seq", "venue_ts", "received_ts")), strict=True)
    for at, (epoch, seq, venue_seq, venue_ts, received_ts) in enumerate(heads):
        if kinds[at] == "BookDelta":
            yield BookRow(
                BookDelta(
                    venue=venue,
                    symbol=symbol,
                    epoch=epoch,
                    seq=seq,
                    venue_seq=venue_seq,
                    bids=bids[at],
                    asks=asks[at],
                    venue_ts=venue_ts,
                    received_ts=received_ts,
                ),
                False,  # noqa: FBT003 -- a field
            )
        else:
            snapshot = BookSnapshot(
                venue=venue,
                symbol=symbol,
                epoch=epoch,
                seq=seq,
                venue_seq=venue_seq,
                bids=bids[at],
                asks=asks[at],
                venue_ts=venue_ts,
                received_ts=received_ts,
                reason=reasons[at],
                owner=owners[at] or "",
            )
            yield BookRow(snapshot, repeated[at])


def _sides(column: pa.ChunkedArray) -> list[tuple[Level, ...]]:
    """Return the levels of each message."""
    lists = column.combine_chunks()
    prices, sizes = (numbers_of(part).tolist() for part in lists.flatten().flatten())
    levels = list(zip(prices, sizes, strict=True))
    offsets = lists.offsets.to_numpy()
    ends = (offsets - offsets[0]).tolist()
    return [tuple(levels[first:end]) for first, end in pairwise(ends)]


def _values(column: pa.Array) -> Sequence[Any]:
    """Return a column as Python's own values."""
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        numbers: list[Any] = numbers_of(column).tolist()
        return numbers
    if not pa.types.is_integer(kind):
        found: list[Any] = column.to_pylist()
        return found
    if not column.null_count:
        integers: list[Any] = column.to_numpy().tolist()
        return integers
    holes = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    values: list[Any] = column.fill_null(0).to_numpy().tolist()
    for at in holes.tolist():
        values[at] = None
    return values


def _leaf(file: pq.ParquetFile, name: str) -> int:
    """Return which of a file's leaf columns has this name."""
    return next(at for at in range(file.metadata.num_columns) if file.schema.column(at).path == name)


def _check(path: Path, kind: Kind, schema: pa.Schema) -> None:
    """Check that a file has the columns of the layout; of its numbers the digits are its own."""
    right = SCHEMAS[kind](PLAIN)
    if schema.names != right.names:
        raise HistoryError(
            f"{path} has the columns {', '.join(schema.names)}; {kind} has {', '.join(right.names)}"
        )
    for field, other in zip(schema, right, strict=True):
        if not _alike(field.type, other.type):
            raise HistoryError(f"{path}: the column {field.name} is {field.type}, and should be {other.type}")


def _alike(found: pa.DataType, right: pa.DataType) -> bool:
    if pa.types.is_list(right):
        if not pa.types.is_list(found) or not pa.types.is_struct(found.value_type):
            return False
        parts, others = found.value_type, right.value_type
        return parts.num_fields == others.num_fields and all(
            parts.field(at).name == others.field(at).name
            and _alike(parts.field(at).type, others.field(at).type)
            for at in range(others.num_fields)
        )
    return bool(found == right or (pa.types.is_floating(right) and _is_number(found)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_float64(kind) or (pa.types.is_decimal128(kind) and kind.precision <= INT64_DIGITS)
    )


def _may_hold(statistics: Any, value: int) -> bool:  # noqa: ANN401 -- pyarrow's, without types
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= value <= statistics.max)
