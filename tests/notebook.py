"""Runs a notebook's cells in this process, as Jupyter does: in their order, with ``await`` at the top."""

from __future__ import annotations

import ast
import inspect
import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

TOUR: Final = Path(__file__).resolve().parent.parent / "docs" / "tour.ipynb"


class Cell(NamedTuple):
    """A cell of code."""

    name: str  # its id
    source: str


def document(path: Path) -> dict[str, Any]:
    """Return the notebook as it is kept."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def cells(path: Path) -> list[Cell]:
    """Return the cells of code, in their order."""
    return [
        Cell(cell["id"], "".join(cell["source"]))
        for cell in document(path)["cells"]
        if cell["cell_type"] == "code"
    ]


class Run:
    """A notebook that is being run: what its cells made, and what each of them printed."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.printed: dict[str, str] = {}

    async def run(self, cell: Cell) -> None:
        """Run a cell; what it raises names it."""
        code = compile(cell.source, f"<{cell.name}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        said = StringIO()
        try:
            with redirect_stdout(said):
                outcome = eval(code, self.names)  # noqa: S307 -- the notebook is ours
                if inspect.iscoroutine(outcome):
                    await outcome
        except Exception as failure:
            failure.add_note(f"in the cell {cell.name!r}, which had printed: {said.getvalue()!r}")
            raise
        self.printed[cell.name] = said.getvalue()
