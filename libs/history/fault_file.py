"""Where the faults of an import stand: a line of JSON each, in the folder of history itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from libs.history.errors import HistoryError
from libs.history.faults import FaultReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME: Final = "faults.jsonl"


@contextmanager
def fault_file(root: Path) -> Iterator[FaultReport]:
    """Yield a report that is written to the end of the folder's file, as the faults come.

    Raises
    ------
    HistoryError
        If the folder cannot be written.
    """
    path = root / NAME
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise HistoryError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with file:
            yield FaultReport(file)
    finally:
        if path.stat().st_size == 0:
            path.unlink()
