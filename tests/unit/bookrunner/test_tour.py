"""The notebook as it is kept: without outputs, and with the public package alone."""

from __future__ import annotations

import ast

import pytest

import bookrunner
from tests.notebook import TOUR, Cell, Run, cells, document

OWN = ("backtest", "broker", "install", "libs", "services", "simulator", "tests")


def test_it_is_a_notebook_of_version_4_without_outputs() -> None:
    tour = document(TOUR)
    assert (tour["nbformat"], tour["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in tour["cells"]]
    assert len(set(names)) == len(names)
    for cell in tour["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_it_imports_nothing_of_ours_but_the_public_package() -> None:
    nodes = [node for cell in cells(TOUR) for node in ast.walk(ast.parse(cell.source))]
    whole = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    parts = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [name for name in (*whole, *(str(node.module) for node in parts)) if name.split(".")[0] in OWN]
    ours = {alias.name for node in parts if node.module == "bookrunner" for alias in node.names}
    assert ours
    assert ours <= set(bookrunner.__all__)


async def test_a_cell_may_wait_and_goes_on_with_the_names_of_those_before() -> None:
    run = Run()
    await run.run(Cell("first", "import asyncio\nn = 1"))
    await run.run(Cell("second", "await asyncio.sleep(0)\nprint(n + 1)"))
    assert run.printed == {"first": "", "second": "2\n"}


async def test_a_cell_that_fails_says_which_it_is() -> None:
    with pytest.raises(ZeroDivisionError) as failure:
        await Run().run(Cell("wrong", "print('so far')\n1 / 0"))
    assert failure.value.__notes__ == ["in the cell 'wrong', which had printed: 'so far\\n'"]
