"""docs/security.md: each promise names the tests that hold it, and each of those is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "security.md"
TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def _promises() -> list[tuple[str, str]]:
    """Return what is promised and what is said to hold it, row by row of the section's table."""
    section = DOCUMENT.read_text().partition("\n## Promises\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [(promise.strip(), held_by.strip()) for promise, held_by in rows[2:]]


def _tests(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_promise_names_a_test() -> None:
    promises = _promises()
    assert promises, "there is no table of promises"
    without = [promise for promise, held_by in promises if not TEST.search(held_by)]
    assert not without


def test_every_test_that_is_named_is_there() -> None:
    named = [match for _, held_by in _promises() for match in TEST.findall(held_by)]
    gone = [f"{path}::{name}" for path, name in named if name not in _tests(ROOT / path)]
    assert not gone
