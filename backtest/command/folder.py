"""The folder of a run: nothing that a run did not write is ever removed from it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from libs.cli.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

TOPICS: Final = "topics"
SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"
POLICIES: Final = "policies"
POINTS: Final = "points"  # of a sweep: a folder like this one of each
DATA: Final = "data"  # what was taken out of Kafka
_PART: Final = ".part"  # of a file in the making
_OURS: Final = (TOPICS, SUMMARY, REPORT, POLICIES, POINTS, DATA)


def claim(folder: Path, *, force: bool) -> None:
    """Make the folder of a run, empty of former runs.

    Raises
    ------
    CommandError
        If it cannot be written, or holds a run and may not be overwritten, or something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(each.name for each in folder.iterdir())
        if others := [name for name in there if name.removesuffix(_PART) not in _OURS]:
            raise CommandError(f"{folder} holds {others[0]!r}, which is of no backtest: name another --out")
        if not force and any(not each.is_dir() for each in folder.rglob("*")):
            raise CommandError(f"{folder} holds a backtest: --force overwrites it, --out names another place")
        for name in there:
            old = folder / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()
    except OSError as error:
        raise CommandError(f"{folder} cannot be written ({error.strerror}): name another --out") from error


def write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    CommandError
        If it cannot be written.
    """
    part = file.with_name(f"{file.name}{_PART}")
    try:
        part.write_bytes(content)
        part.replace(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error
