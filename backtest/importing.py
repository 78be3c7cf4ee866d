"""`bookrunner history import`: files of any origin into days of history.

Each source is a file or a folder. A folder of history is copied; of another folder all files are taken. A
file is of the foreign format that its name or its first bytes fit, else a recording: recordings go through
l2's own feeds and book keeping, so their days say what l2 would have told, all of them in one run and in the
order in which they are given.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backtest.bus import Bus
from backtest.delays import Immediate
from backtest.sources.frames import Frames
from libs.cli.errors import FAILED, INTERRUPTED
from libs.cli.progress import RowsProgress
from libs.cli.screen import complain, screen
from libs.common.counted import counted
from libs.common.events import BookHealth, BookState
from libs.common.time_units import MINUTE_NS
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH
from libs.history.copying import copy_history, is_history
from libs.history.errors import HistoryError
from libs.history.fault_file import fault_file
from libs.history.faults import FaultKind
from libs.history.formats import HEADS, formats
from libs.history.formats.lines import bare, head_of
from libs.history.records import DAYS, RecordWriter
from simulator.recordings import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.bus import Record
    from libs.history.faults import FaultReport
    from libs.history.formats import Format

SLICE_NS: Final = MINUTE_NS  # of a recording, between two looks at the progress
HEAD_SHOWN: Final = 200  # characters of a head that fits nothing
TABLE: Final = re.compile(rb"[\w .-]+(,[\w .-]*){2,}")
FAULTS: Final = {BookState.GAP: FaultKind.GAP, BookState.CHECKSUM_FAILED: FaultKind.CHECKSUM}


class Sources:
    """What is to be imported, by what it is."""

    def __init__(self, paths: Sequence[Path], named: str | None) -> None:
        known = {each.name: each for each in formats()}
        if named is not None and named not in known:
            raise HistoryError(f"--format {named!r} is none; there are {', '.join(known)}")
        self.folders: list[Path] = []
        self.recordings: list[Path] = []
        self.of_formats: dict[str, list[Path]] = {}
        self._formats = [known[named]] if named else list(known.values())
        self._by_name = named is None
        for path in paths:
            self._add(path)

    def format(self, name: str) -> Format:
        """Return the format of a name."""
        return next(each for each in self._formats if each.name == name)

    def _add(self, path: Path) -> None:
        if path.is_dir() and is_history(path):
            self.folders.append(path)
        elif path.is_dir():
            files = sorted(each for each in path.rglob("*") if each.is_file() and each.name[0] != ".")
            if not files:
                raise HistoryError(f"{path} is empty; give files, or a folder that has some")
            for file in files:
                self._add_file(file)
        else:
            self._add_file(path)

    def _add_file(self, path: Path) -> None:
        if not self._by_name:
            fitting: Format | None = self._formats[0]
        else:
            fitting = next((each for each in self._formats if path.exists() and each.fits(path)), None)
        if fitting is None and path.exists() and (head := _table_head(path)) is not None:
            right = "; ".join(f"of {name} {names}" for name, names in HEADS.items())
            raise HistoryError(
                f"{path} is of no known format: its head is {head[:HEAD_SHOWN]!r}. Right are, in any order,"
                f" {right}; files of Binance and Bybit are known by names like"
                " BTCUSDT-aggTrades-2024-01-01.zip and 2024-01-01_BTCUSDT_ob500.data.zip"
            )
        if fitting is None:
            self.recordings.append(path)  # which may be named without its ending
        else:
            self.of_formats.setdefault(fitting.name, []).append(path)


def _table_head(path: Path) -> str | None:
    """Return the first line of a file that is a table of comma-separated values, None if it is none."""
    line = bare(head_of(path).partition(b"\n")[0])
    if not line or (".csv" not in path.suffixes and TABLE.fullmatch(line) is None):
        return None
    return line.decode("utf-8", "replace")


def bring(paths: Sequence[Path], root: Path, named: str | None, *, overwrite: bool) -> FaultReport:
    """Import all sources, and return what was wrong with them.

    Raises
    ------
    HistoryError
        If a source cannot be read, or a day cannot be written; days that were finished stay.
    """
    sources = Sources(paths, named)
    with fault_file(root) as faults:
        for folder in sources.folders:
            writer = RecordWriter(root, faults, source=folder.name, overwrite=overwrite)
            with writer, RowsProgress(folder.name, 0) as progress:
                copy_history(folder, writer, lambda w=writer, p=progress: p.tell(w.rows, 0))  # type: ignore[misc]
            _done(folder.name, writer, faults)
        for name, files in sources.of_formats.items():
            writer = RecordWriter(root, faults, source=name, overwrite=overwrite)
            before = faults.read_bytes
            with writer, RowsProgress(name, sum(map(_unpacked_bytes, files))) as progress:
                for columns in sources.format(name).columns(files, faults):
                    writer.days.write_columns(columns)
                    progress.tell(writer.rows, faults.read_bytes - before)
            _done(f"{name}, {counted(len(files), 'file')}", writer, faults)
        if sources.recordings:
            _play(sources.recordings, root, faults, overwrite=overwrite)
    return faults


def _play(paths: Sequence[Path], root: Path, faults: FaultReport, *, overwrite: bool) -> None:
    """Let l2 hear recordings, and write what it says."""
    try:
        source = Frames(paths)
    except RecordingError as error:
        raise HistoryError(
            f"{error}; it is none of the formats {', '.join(each.name for each in formats())} either"
        ) from error
    begin, end = source.provenance.begin_ts, source.provenance.end_ts
    writer = RecordWriter(root, faults, source=paths[0].name, overwrite=overwrite)
    bus = Bus(1, Immediate(), begin)
    bus.tap(_Listener(writer, faults, paths[0].name).take)
    with writer, RowsProgress("recordings", end - begin) as progress:
        try:
            source.start(bus)
            while bus.now < end:
                bus.run(min(end, bus.now + SLICE_NS))
                progress.tell(writer.rows, bus.now - begin)
        except RecordingError as error:
            raise HistoryError(str(error)) from error
    _done(f"recordings, {counted(len(paths), 'file')}", writer, faults)


class _Listener:
    """Writes what l2 says of a market, and notes what it finds wrong."""

    def __init__(self, writer: RecordWriter, faults: FaultReport, source: str) -> None:
        self._writer, self._faults, self._source = writer, faults, source
        self._states: dict[bytes, tuple[BookState, int]] = {}  # and since when, as said last

    def take(self, record: Record) -> None:
        """Take a record of any topic."""
        if record.topic.name in DAYS:
            if record.event is not None:
                self._writer.days.write(record.event)  # type: ignore[arg-type]  # of these topics it is one
        elif record.topic is L2_BOOK_HEALTH and isinstance(record.event, BookHealth):
            self._judge(record.key, record.event)
        elif record.topic is DEAD_LETTERS:
            reason = dict(record.headers).get("reason", b"").decode("utf-8", "replace")
            self._faults.note(FaultKind.UNREADABLE, self._source, None, record.ts, reason)

    def _judge(self, key: bytes, health: BookHealth) -> None:
        said = (health.state, health.since_ts)
        if said != self._states.get(key) and health.state in FAULTS:
            what = f"{key.decode()}: {health.reason}"
            self._faults.note(FAULTS[health.state], self._source, None, health.ts, what)
        self._states[key] = said


def _unpacked_bytes(path: Path) -> int:
    """Return about how many bytes a file has when it is unpacked: what its packer says of it."""
    size = path.stat().st_size
    if path.suffix == ".gz":  # RFC 1952: the last four bytes say it, modulo 2^32
        with path.open("rb") as file:
            file.seek(max(0, size - 4))
            said = int.from_bytes(file.read(4), "little")
        return said + -(-max(0, size - said) >> 32 << 32)
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return sum(member.file_size for member in archive.infolist())
        except zipfile.BadZipFile:
            return size  # whoever reads it says what is wrong with it
    return size


def _done(what: str, writer: RecordWriter, faults: FaultReport) -> None:
    faults.used_rows += writer.rows
    repeated = counted(writer.days.keyframes, "repeated keyframe")
    left_out = f", {repeated} left out" if writer.days.keyframes else ""
    screen().print(f"{what}: {counted(writer.rows, 'row')}{left_out}", soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Import, and return the exit code."""
    parser = argparse.ArgumentParser(prog="bookrunner history import", description=__doc__)
    parser.add_argument("sources", type=Path, nargs="+", help="files or folders")
    parser.add_argument("--out", type=Path, required=True, help="the folder of history")
    parser.add_argument("--format", help="of the files, where their names do not tell")
    parser.add_argument("--force", action="store_true", help="write days that are there anew")
    chosen = parser.parse_args(arguments)
    try:
        faults = bring(chosen.sources, chosen.out, chosen.format, overwrite=chosen.force)
    except HistoryError as error:
        complain("bookrunner history import", str(error))
        return FAILED
    except KeyboardInterrupt:
        complain("bookrunner history import", "stopped; days that were finished stay")
        return INTERRUPTED
    for line in faults.lines():
        screen().print(line, soft_wrap=True)
    if not faults.used_rows:
        complain("bookrunner history import", "nothing of what was given could be used: no day was written")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
