"""What is wrong with a source of history: each fault is told with its place, and nothing is repaired.

A fault never stops an import by itself: who reads a source says what it is, leaves the row out or takes it as
it stands (`what` says which), and goes on.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN: Final = 5  # of each kind, where they are printed


class FaultKind(StrEnum):
    """What can be wrong with a row."""

    GAP = "gap"  # rows are missing before it: a hole in the source's own numbers, or in time
    CROSSED = "crossed"  # the best bid reaches the best ask after it
    CHECKSUM = "checksum"  # the source's checksum is not that of the book, or not that of the file
    ORDER = "order"  # its time or number lies before that of the row before
    DUPLICATE = "duplicate"  # it stands there twice
    UNREADABLE = "unreadable"  # it cannot be parsed, or a value cannot be true
    MISMATCH = "mismatch"  # it says something else than what it repeats: a keyframe, a candle
    UNJOINED = "unjoined"  # a change before the first snapshot, so of a book that nobody knows
    ORPHAN = "orphan"  # it deletes a level that is not there, at a venue that tells of each


class Fault(NamedTuple):
    """One of them, and where."""

    kind: FaultKind
    file: str  # its name
    row: int | None  # from 1, the head not counted; None: the file as a whole
    ts: int | None  # ns UTC, of the row; None where it has none
    what: str  # what was wrong, with the values, and what became of the row


class FaultReport:
    """The faults of an import, counted; changed in place by each.

    Parameters
    ----------
    file
        Where each is written, a line of JSON, as it comes; None: nowhere.

    Attributes
    ----------
    counts
        How many there are of each kind.
    read_bytes
        How much of the sources was read, unpacked, for whoever waits.
    used_rows
        How many rows of history came of them.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self.counts: Counter[FaultKind] = Counter()
        self.read_bytes = self.used_rows = 0
        self._file = file
        self._unknown: dict[str, tuple[int, int]] = {}  # changes left out, and all, by file
        self._first: dict[FaultKind, list[Fault]] = {}

    def leave_out(self, file: str, left_out: int, whole: int) -> None:
        """Count how many changes of levels a file has, and how many of them are of a book that is unknown."""
        before = self._unknown.get(file, (0, 0))
        self._unknown[file] = before[0] + left_out, before[1] + whole

    def note(self, kind: FaultKind, file: str, row: int | None, ts: int | None, what: str) -> None:
        """Count a fault, and write it."""
        fault = Fault(kind, file, row, ts, what)
        self.counts[kind] += 1
        first = self._first.setdefault(kind, [])
        if len(first) < SHOWN:
            first.append(fault)
        if self._file is not None:
            self._file.write(msgspec.json.encode(fault._asdict()) + b"\n")

    @property
    def first(self) -> Mapping[FaultKind, Sequence[Fault]]:
        """The first few of each kind."""
        return self._first

    def lines(self) -> list[str]:
        """Return what a person is told: each kind with its count and its first few places."""
        if not self.counts:
            return ["no faults in the source"]
        told = []
        for kind, faults in self._first.items():
            told.append(f"{self.counts[kind]:,} {kind}")
            told += [f"  {_place(fault)}: {fault.what}" for fault in faults]
        for file, (left_out, whole) in self._unknown.items():
            if left_out:
                told.append(
                    f"{file}: {left_out:,} of {whole:,} changes of levels are left out: what is wrong makes"
                    " the book unknown until the next snapshot"
                )
        return told


def _place(fault: Fault) -> str:
    return fault.file if fault.row is None else f"{fault.file}:{fault.row}"
