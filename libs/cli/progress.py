"""How far a long piece of work is: a bar on a terminal, else a line now and then; on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from libs.cli.screen import Screen
from libs.common.counted import counted

if TYPE_CHECKING:
    from types import TracebackType

BAR_S: Final = 0.1  # between two pictures of a bar
LINE_S: Final = 5.0  # between two lines without a terminal
FIRST_S: Final = 1.0  # until the first of them
WORTH_S: Final = 3.0  # before the time that is left says anything


class Progress:
    """Shows one piece of work, no more often than it can be read; a context manager that clears the bar."""

    def __init__(self) -> None:
        self._screen = Screen(stderr=True)
        self._moves = sys.stderr.isatty()  # colours that are forced do not make a terminal
        self._began = time.monotonic()
        self._shown = self._began + FIRST_S - LINE_S
        self._bar = Bar(
            TextColumn("{task.fields[share]}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.description}", markup=False),
            console=self._screen,
            auto_refresh=False,
            transient=True,
            disable=not self._moves,
        )
        self._task = self._bar.add_task("", total=1.0, share="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    @property
    def elapsed_s(self) -> float:
        """How long the work has taken."""
        return time.monotonic() - self._began

    @property
    def due(self) -> bool:
        """Whether the last picture is old enough for another one."""
        return time.monotonic() - self._shown >= (BAR_S if self._moves else LINE_S)

    def show(self, share: float | None, text: str) -> None:
        """Show how much is done, 0 to 1, None where that is not known; who shows much asks `due` before."""
        self._shown = time.monotonic()
        percent = "" if share is None else f"{100 * share:3.0f} %"
        if self._moves:
            self._bar.update(
                self._task,
                completed=share or 0.0,
                total=None if share is None else 1.0,
                share=percent,
                description=text,
                refresh=True,
            )
        else:
            self._screen.print(f"{percent}  {text}" if percent else text, soft_wrap=True)


class RowsProgress(Progress):
    """How far an import or export is.

    Parameters
    ----------
    total
        How much there is to do, in whatever unit `tell` is told; 0: that is not known.
    """

    def __init__(self, what: str, total: float) -> None:
        super().__init__()
        self._what, self._total = what, total

    def tell(self, rows: int, done: float) -> None:
        """Say how many rows were written, and how much of the work that is."""
        if not self.due:
            return
        elapsed_s = self.elapsed_s
        text = f"{self._what}: {counted(rows, 'row')}, {rows / elapsed_s:,.0f}/s"
        share = min(1.0, done / self._total) if self._total > 0 else None
        if share and elapsed_s > WORTH_S:
            text += f", {clock(elapsed_s * (1 - share) / share)} left"
        self.show(share, text)


def clock(seconds: float) -> str:
    """Return a length of time in hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
