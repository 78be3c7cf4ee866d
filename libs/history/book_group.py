"""`BookGroup`: a row group of a book in the making, its levels packed as they come."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from libs.history.day_file import PLAIN
from libs.history.layout import book_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from libs.common.events import Level
    from libs.history.columns import BookColumns

GROUP_LEVELS: Final = 250_000  # of a row group, and a message more: what a reader holds at once
GROUP_MESSAGES: Final = 65_536
SCHEMA: Final = book_schema(PLAIN)
HEADS: Final = pa.schema([each for each in SCHEMA if each.name not in {"venue", "symbol", "bids", "asks"}])
_PACK_LEVELS: Final = 16_384  # held as Python's tuples until they are packed, seven times as small


class BookGroup:
    """A row group in the making."""

    def __init__(self) -> None:
        self.count = 0  # messages
        self._rows: list[tuple[Any, ...]] = []
        self._packed: list[pa.Table] = []
        self._sides = (_Side(), _Side())

    @property
    def full(self) -> bool:
        """Whether it is large enough."""
        bids, asks = self._sides
        return self.count >= GROUP_MESSAGES or bids.ends[-1] + asks.ends[-1] >= GROUP_LEVELS

    def add(self, row: tuple[Any, ...], bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Add a message; the row has the columns of `HEADS`."""
        self.count += 1
        self._rows.append(row)
        self._sides[0].add(bids)
        self._sides[1].add(asks)

    def add_deltas(self, deltas: BookColumns, sides: tuple[Levels, Levels]) -> None:
        """Add deltas in bulk."""
        count = len(deltas)
        self.count += count
        self._pack()
        venue_seq = pa.nulls(count, pa.int64()) if deltas.venue_seq is None else pa.array(deltas.venue_seq)
        nothing = pa.nulls(count, pa.string())
        columns = (
            *(pa.repeat("BookDelta", count), pa.array(deltas.epoch), pa.array(deltas.seq), venue_seq),
            *(pa.array(deltas.venue_ts), pa.array(deltas.received_ts), nothing, nothing),
            pa.repeat(pa.scalar(value=False), count),
        )
        self._packed.append(pa.table(columns, schema=HEADS))
        for side, levels in zip(self._sides, sides, strict=True):
            side.add_packed(levels)

    def table(self, venue: str, symbol: str) -> pa.Table:
        """Return it, its numbers as doubles."""
        self._pack()
        heads = pa.concat_tables(self._packed)
        sides = dict(zip(("bids", "asks"), self._sides, strict=True))
        names = {"venue": venue, "symbol": symbol}
        columns = []
        for field in SCHEMA:
            if field.name in sides:
                columns.append(sides[field.name].column(field.type))
            elif field.name in names:
                columns.append(pa.repeat(names[field.name], self.count))
            else:
                columns.append(heads[field.name])
        return pa.table(columns, schema=SCHEMA)

    def _pack(self) -> None:
        if self._rows:
            arrays = [
                pa.array(column, field.type)
                for column, field in zip(zip(*self._rows, strict=True), HEADS, strict=True)
            ]
            self._packed.append(pa.table(arrays, schema=HEADS))
            self._rows = []


class Levels(NamedTuple):
    """The levels of one side of several messages."""

    price: NDArray[np.float64]
    size: NDArray[np.float64]
    ends: NDArray[np.int64]  # behind the levels of each message, from 0


class _Side:
    """The levels of one side of a row group's messages."""

    def __init__(self) -> None:
        self.ends = [0]  # behind the levels of each message
        self._levels: list[Level] = []
        self._packed: list[NDArray[np.float64]] = []  # prices and sizes in turn

    def add(self, levels: Sequence[Level]) -> None:
        self._levels += levels
        self.ends.append(self.ends[-1] + len(levels))
        if len(self._levels) > _PACK_LEVELS:
            self._pack()

    def add_packed(self, levels: Levels) -> None:
        self._pack()
        self._packed.append(np.stack((levels.price, levels.size), axis=1).ravel())
        self.ends += (self.ends[-1] + levels.ends).tolist()

    def column(self, kind: pa.DataType) -> pa.Array:
        self._pack()
        pairs = np.concatenate(self._packed)
        fields = [kind.value_type.field(at) for at in range(kind.value_type.num_fields)]
        parts = [pa.array(np.ascontiguousarray(pairs[at::2])) for at in range(len(fields))]
        made = pa.StructArray.from_arrays(parts, fields=fields)
        return pa.ListArray.from_arrays(pa.array(self.ends, pa.int32()), made, type=kind)

    def _pack(self) -> None:
        count = 2 * len(self._levels)
        self._packed.append(np.fromiter(chain.from_iterable(self._levels), np.float64, count))
        self._levels = []


def sides_of(columns: BookColumns) -> tuple[Levels, Levels]:
    """Return the bids and the asks."""
    first, is_bid = columns.first - columns.first[0], columns.is_bid
    bids = np.concatenate(([0], np.cumsum(is_bid)))[first]
    return (
        Levels(columns.price[is_bid], columns.size[is_bid], bids[1:]),
        Levels(columns.price[~is_bid], columns.size[~is_bid], (first - bids)[1:]),
    )
