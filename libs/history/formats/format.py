"""What a foreign format is to the import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from libs.history.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from libs.history.columns import Columns
    from libs.history.faults import FaultReport


class Format(Protocol):
    """A format of files by somebody else."""

    @property
    def name(self) -> str:
        """What it is called, in messages and in ``--format``."""

    def fits(self, path: Path) -> bool:
        """Return whether a file looks like one of it: by its name, or by its first bytes."""

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield what the files say in stretches, of each market in the order of time; note what is wrong.

        Of one book `epoch` rises with each fresh start, a snapshot opens it with seq 1, and each delta of it
        has the seq after; changes before the first snapshot are left out, as faults. What a fault makes
        unknown is left out until the next snapshot.

        Raises
        ------
        UnreadableSourceError
            If a file is none of this format, or ends in the middle.
        """


class UnreadableSourceError(HistoryError):
    """A file of history cannot be read; the text names it, and says what is wrong."""
