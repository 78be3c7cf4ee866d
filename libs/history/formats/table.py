"""Lines of comma-separated values to typed columns in bulk, each bad row told by its number.

Columns are found by the names in a head, in any order; a byte order mark and quotation marks are nothing.

A block is read by pyarrow at once. Only where it holds a row that cannot be read is it gone through line by
line: bad rows are told and left out, and the others are read as before.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from pyarrow import csv

from libs.history.faults import FaultKind
from libs.history.formats.lines import lines_of, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from libs.history.columns import Bools, Floats, Ints
    from libs.history.faults import FaultReport

Kind: TypeAlias = Literal["int", "float", "bool", "text", "word"]

_TYPES: Final[Mapping[Kind, pa.DataType]] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "word": pa.dictionary(pa.int32(), pa.string()),  # of which there are few
}
_PATTERNS: Final[Mapping[Kind, tuple[re.Pattern[bytes], str]]] = {
    "int": (re.compile(rb"-?\d{1,18}"), "an integer"),
    "float": (re.compile(rb"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?|-?(nan|inf)", re.IGNORECASE), "a number"),
    "bool": (re.compile(rb"true|false|True|False|TRUE|FALSE|0|1"), "true or false"),
    "text": (re.compile(rb"[\x20-\x7e]*"), "plain text"),
    "word": (re.compile(rb"[\x20-\x7e]+"), "a word"),
}
LEFT_OUT: Final = "the row is left out"
_SHOWN: Final = 60  # bytes of a value that a fault quotes


class Table(NamedTuple):
    """Rows that could be read."""

    columns: Mapping[str, pa.Array]
    rows: Ints  # their numbers, from 1, the head not counted
    last: int  # number of the last row that is not ahead, readable or not

    @property
    def sure(self) -> Bools:
        """Which rows are not ahead: those are only there to be looked at, and come again."""
        return self.rows <= self.last

    def numbers(self, name: str) -> Any:  # noqa: ANN401 -- ints, floats or truth values, as the column has them
        """Return a column of numbers."""
        return self.columns[name].to_numpy(zero_copy_only=False)

    def words(self, name: str) -> tuple[Ints, list[str]]:
        """Return a column of few words: for each row which one of them, and the words."""
        column = self.columns[name]
        return column.indices.to_numpy().astype(np.int64), column.dictionary.to_pylist()


def read_tables(
    path: Path,
    kinds: Mapping[str, Kind],
    faults: FaultReport,
    is_head: Callable[[bytes], bool],
    ahead: int = 0,
    lost: str = LEFT_OUT,
) -> Iterator[Table]:
    """Yield a file's rows in blocks; a row that cannot be read is a fault, and left out.

    Parameters
    ----------
    kinds
        What each column holds, in their order where no head says another.
    is_head
        Says of the first line whether it is a head.
    ahead
        Rows that are seen ahead: see `Table.sure`.
    lost
        What becomes of a row that cannot be read.

    Raises
    ------
    UnreadableSourceError
        If the file cannot be read, or `is_head` says so.
    """
    heads, quoted = 0, False
    for lines in lines_of(path, ahead):
        faults.read_bytes += len(lines.data)
        data, first = lines.data, lines.first + 1 - heads
        if lines.first == 0:
            data = data.removeprefix(codecs.BOM_UTF8)
            head, _, rest = data.partition(b"\n")
            quoted = b'"' in head
            if is_head(head):
                heads, data, kinds = 1, rest, _in_order(kinds, names_of(head))
        if quoted:  # no value of these formats has a comma or a quotation mark in it
            data = data.replace(b'"', b"")
        if data:
            yield _table(data, kinds, first, lines.sure - heads, _Told(path.name, faults, lost))


class _Told(NamedTuple):
    """Where faults of rows are told, and how."""

    file: str
    faults: FaultReport
    lost: str


def _in_order(kinds: Mapping[str, Kind], names: Sequence[str]) -> Mapping[str, Kind]:
    """Return columns in the order of a head, where it has their names; other names are not looked at."""
    return {name: kinds[name] for name in names} if sorted(names) == sorted(kinds) else kinds


def _table(data: bytes, kinds: Mapping[str, Kind], first: int, last: int, told: _Told) -> Table:
    try:
        columns = _parsed(data, kinds)
        return Table(columns, np.arange(first, first + _count(data), dtype=np.int64), last)
    except pa.ArrowInvalid:
        good, rows, bad = _readable(data, kinds, first)
        for row, wrong in bad:
            if row <= last:
                told.faults.note(FaultKind.UNREADABLE, told.file, row, None, f"{wrong}; {told.lost}")
        return Table(_parsed(good, kinds), np.array(rows, np.int64), last)


def _count(data: bytes) -> int:
    return data.count(b"\n") + (not data.endswith(b"\n"))


def _parsed(data: bytes, kinds: Mapping[str, Kind]) -> Mapping[str, pa.Array]:
    if not data:
        return {name: pa.array([], _TYPES[kind]) for name, kind in kinds.items()}
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(use_threads=False, column_names=list(kinds), block_size=len(data) + 1),
        parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types={name: _TYPES[kind] for name, kind in kinds.items()},
            null_values=[],
            true_values=["true", "True", "TRUE", "1"],
            false_values=["false", "False", "FALSE", "0"],
        ),
    )
    return {name: _whole(table[name]) for name in kinds}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _readable(
    data: bytes, kinds: Mapping[str, Kind], first: int
) -> tuple[bytes, list[int], list[tuple[int, str]]]:
    """Return the lines that can be read, their numbers, and those of the others with what is wrong."""
    good, rows, bad = [], [], []
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), start=first):
        wrong = _wrong(line.removesuffix(b"\r"), kinds)
        if wrong is None:
            good.append(line)
            rows.append(number)
        else:
            bad.append((number, wrong))
    return b"".join(line + b"\n" for line in good), rows, bad


def _wrong(line: bytes, kinds: Mapping[str, Kind]) -> str | None:
    values = line.split(b",")
    if len(values) != len(kinds):
        return f"{len(values)} values instead of {len(kinds)}"
    for value, (name, kind) in zip(values, kinds.items(), strict=True):
        pattern, meant = _PATTERNS[kind]
        if pattern.fullmatch(value) is None:
            return f"{name} is {value[:_SHOWN]!r}, which is not {meant}"
    return None


def is_amount(values: Floats, *, positive: bool = False) -> Any:  # noqa: ANN401 -- an array of truth values
    """Return which values are finite and not negative, or, where asked for, positive."""
    return np.isfinite(values) & ((values > 0) if positive else (values >= 0))
