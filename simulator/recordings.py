"""Recordings of exchanges: one reader for every format that replay accepts.

==============  =============================================================================================
format          a line
==============  =============================================================================================
hftbacktest     ``<local ns> <frame>``; a frame without ``stream`` that has ``lastUpdateId`` is a REST reply
cryptofeed      ``<url> <-> ts``, ``<url> <- ts: <sent>``, ``<url> -> ts: <reply>``, ``<ts>: <frame>``;
                the files ``VENUE.ws.N.0``, ``VENUE.http.N.0`` and ``VENUE.0`` of a folder are one recording
bookrunner      JSON with ``t``, ``conn``, ``ts``, ``url`` or ``addr``, ``data``: what ``bookrunner record``
                and cryptofeed 3 write, after a line ``{"t":"header",...}``
bare            one frame a line, without the time of receipt; the venue's own times stand in for it
==============  =============================================================================================
"""

from __future__ import annotations

import heapq
import re
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from simulator.recording_formats import FORMATS, Format, Frame, RestReply
from simulator.recording_lines import RecordingError, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Frame", "Record", "Recording", "RecordingError", "RestReply", "open_recording"]

Record: TypeAlias = Frame | RestReply

SORT_LIMIT_BYTES: Final = 256 * 1024 * 1024  # a file out of order is sorted in memory, up to this much of it
RECORD_BYTES: Final = 256  # that a record takes beside its text

_CRYPTOFEED_FILE: Final = re.compile(r"(?P<stem>[^.]+)\.(?:(?:ws|http)\.\d+\.)?\d+(?:\.zst|\.gz)?")


class Recording:
    """One recording: a file, or the files of one cryptofeed run."""

    def __init__(self, paths: tuple[Path, ...], kind: Format) -> None:
        self.paths = paths
        self.absolute = kind.absolute  # whether its times are those of receipt
        self._kind = kind
        self._in_order: dict[Path, bool] = {}

    def __str__(self) -> str:
        return str(self.paths[0])

    def records(self) -> Iterator[Record]:
        """Yield everything received, by time of receipt; what came at one time stays in the file's order.

        Raises
        ------
        RecordingError
            If a line is not of the format, or a file is too large to be sorted and needs it.
        """
        return heapq.merge(*map(self._of_file, self.paths), key=_time)

    def _of_file(self, path: Path) -> Iterator[Record]:
        if path not in self._in_order:
            self._in_order[path] = _is_in_order(self._kind.read(path))
        return self._kind.read(path) if self._in_order[path] else self._sorted(path)

    def _sorted(self, path: Path) -> Iterator[Record]:
        records: list[Record] = []
        size = 0
        for record in self._kind.read(path):
            size += len(record.text) + RECORD_BYTES
            if size > SORT_LIMIT_BYTES:
                raise RecordingError(
                    path, None, f"lines are by time, or have at most {SORT_LIMIT_BYTES} bytes; sort it"
                )
            records.append(record)
        records.sort(key=_time)
        yield from records


def open_recording(path: Path) -> Recording:
    """Return the recording at `path`: a file, any one of a cryptofeed run, or ``FOLDER/VENUE`` of such a run.

    Raises
    ------
    RecordingError
        If there is no such file, or its first line is of no known format.
    """
    if not path.is_file():
        members = _run_of(path.parent, path.name)
        if not members:
            raise RecordingError(path, None, "there is no such recording; give a file that exists")
        path = members[0]
    first = next(islice(lines(path), 1), None)
    if first is None:
        raise RecordingError(path, None, "the file is empty; a recording has at least one frame")
    for kind in FORMATS:
        if kind.starts(first[1]):
            named = _CRYPTOFEED_FILE.fullmatch(path.name) if kind.several_files else None
            return Recording(_run_of(path.parent, named["stem"]) if named else (path,), kind)
    known = ", ".join(kind.name for kind in FORMATS)
    raise RecordingError(path, first[0], f"starts like no known format; those are {known}")


def _run_of(folder: Path, stem: str) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    matches = ((p, _CRYPTOFEED_FILE.fullmatch(p.name)) for p in sorted(folder.iterdir()))
    return tuple(p for p, match in matches if match is not None and match["stem"] == stem)


def _is_in_order(records: Iterator[Record]) -> bool:
    last = 0
    for record in records:
        if record.ts < last:
            return False
        last = record.ts
    return True


def _time(record: Record) -> int:
    return record.ts
