"""``python -m tests.chaos [--seconds 180] [--seed 1]``: a fault run over the whole system."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from tests.chaos.report import show
from tests.chaos.run import RATE, WORKERS, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.report import Outcome


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 for a wrong book, a broken promise or a fault that did not heal."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule of faults")
    parser.add_argument("--workers", type=int, default=WORKERS, help="l2 processes")
    parser.add_argument("--rate", type=float, default=RATE, help="messages per second of the exchanges")
    parser.add_argument("--levels", type=int, default=0, help="a side of their books; 0 is their own")
    asked = parser.parse_args(arguments)
    if asked.seconds <= 0 or asked.workers < 1 or asked.seed < 0:
        parser.error("seconds and workers are above 0, the seed is 0 or more")
    console = Console(highlight=False)
    results = Path(os.environ.get("RUN_DIR", ".run")) / "chaos"
    folder = results / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-seed-{asked.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    # aiokafka tells of a broker that is away, which is what the run is about.
    logging.basicConfig(filename=folder / "checker.log", level=logging.INFO)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    say(f"chaos for {asked.seconds:g} s, seed {asked.seed}; logs in {folder}")
    try:
        outcome = asyncio.run(_run(folder, asked, say))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted; every process has ended")
        return 130
    path = results / f"{folder.name}.json"
    path.write_bytes(msgspec.json.encode(outcome) + b"\n")
    show(outcome, console)
    say(f"{'PASSED' if outcome.is_good else 'FAILED'}; one JSON line: {path}")
    return 0 if outcome.is_good else 1


async def _run(folder: Path, asked: argparse.Namespace, say: Callable[[str], None]) -> Outcome:
    """Run, and end on SIGTERM as on Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(
        folder,
        seconds=asked.seconds,
        seed=asked.seed,
        say=say,
        workers=asked.workers,
        rate=asked.rate,
        levels=asked.levels,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
