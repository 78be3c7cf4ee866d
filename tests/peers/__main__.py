"""``python -m tests.peers [--seconds 30] [CLIENT|VENUE ...]``: others' clients against the simulator."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.peers.environments import ENGINES, NAMES, install, lock
from tests.peers.report import failures, show, write
from tests.peers.run import run


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 for a client that is not equal and whose fault is not a known one."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the clients run")
    parser.add_argument("--rate", type=float, default=600.0, help="messages per second of the exchanges")
    parser.add_argument("--lock", action="store_true", help="resolve the clients' locks anew, and exit")
    parser.add_argument(
        "--engines",
        action="store_true",
        help="install the backtest engines of `tests.bench backtest`, and exit",
    )
    parser.add_argument("only", nargs="*", metavar="CLIENT|VENUE", help="instead of all")
    asked = parser.parse_args(arguments)
    if asked.seconds <= 0 or asked.rate <= 0:
        parser.error("seconds and rate are above 0")
    console = Console(highlight=False, width=max(160, Console().width))

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    if asked.lock:
        lock(say)
        return 0
    install(say, [ENGINES] if asked.engines else NAMES)
    if asked.engines:
        return 0
    folder = (
        Path(os.environ.get("RUN_DIR", ".run")).resolve()
        / "peers"
        / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    )
    folder.mkdir(parents=True, exist_ok=True)
    say(f"logs in {folder}")
    try:
        results, refused = asyncio.run(
            run(folder, seconds=asked.seconds, rate=asked.rate, only=asked.only, say=say)
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted; every process has ended")
        return 130
    show(results, refused, console)
    write(results, refused, folder / "peers.json")
    failed = failures(results)
    for line in failed:
        say(f"FAILED {line}")
    say("FAILED" if failed else "PASSED")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
