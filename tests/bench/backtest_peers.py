"""Others' backtest engines, each in its own process and environment, on messages that stand ready."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.report import Result
from tests.peers.environments import ENGINES, installed, python_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.report import Report

FOLDER: Final = Path(__file__).parents[1] / "peers" / "engines"
SCRIPTS: Final[Mapping[str, tuple[str, int]]] = {  # file, and how many messages
    "nautilus_trader": ("nautilus.py", 20_000),
    "hftbacktest": ("hft.py", 200_000),
}
WAIT_S: Final = 120.0


def measure(report: Report, case: str, changes: int) -> dict[str, float]:
    """Return µs of CPU a message of `changes` changes, by engine and its book; report each."""
    found: dict[str, float] = {}
    for name, (script, messages) in SCRIPTS.items():
        if not installed(ENGINES):
            report.skip(name, "not installed; `python -m tests.peers --engines` does it")
            continue
        said = json.loads(_run(script, messages, changes))
        for book, us in said["cases"].items():
            contender = f"{name} {said['version']}, {book}"
            found[contender] = us
            report.add(
                Result(
                    bench="backtest",
                    case=case,
                    contender=contender,
                    figures={"us": round(us, 2), "messages": messages},
                    assumptions={
                        "changes a message": changes,
                        "from": "objects or an array that stand ready",
                        "with": "the book, the simulated venue's, and who follows it; no decision",
                    },
                )
            )
    return found


def _run(script: str, messages: int, changes: int) -> str:
    command = (str(python_of(ENGINES)), "-I", str(FOLDER / script), str(messages), str(changes))
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_S).stdout
