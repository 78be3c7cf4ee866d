"""``python -m tests.soak [--minutes 60] [--seed 1]``: whether anything grows while the system trades."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console

from libs.common.settings import ServiceSettings
from tests.soak.run import SoakError, soak
from tests.soak.verdict import rows, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.soak.run import Soaked
    from tests.soak.verdict import Row

GROWS: Final = 1
OPEN: Final = 3
INTERRUPTED: Final = 130
WIDTH: Final = 140  # of a table in a file


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 all is flat, 1 something grows or broke, 3 the run is too short to tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long it is looked at")
    parser.add_argument("--seed", type=int, default=1, help="of faults and kills")
    asked = parser.parse_args(arguments)
    if asked.minutes <= 0 or asked.seed < 0:
        parser.error("minutes are above 0, the seed is 0 or more")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    folder = (
        Path(os.environ.get("RUN_DIR", ".run")).absolute()
        / "soak"
        / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    )
    folder.mkdir(parents=True)
    console.print(f"soak of {asked.minutes:g} minutes, seed {asked.seed}, in {folder}", soft_wrap=True)
    try:
        soaked = asyncio.run(_soak(folder, asked.minutes, asked.seed, one_line(console)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("\ninterrupted; every process has ended")
        return INTERRUPTED
    except SoakError as error:
        console.print(f"\n{error}", markup=False, soft_wrap=True)
        return GROWS
    finally:
        shutil.rmtree(folder / "run" / "kafka", ignore_errors=True)
    console.print()
    found = rows(soaked.samples, ServiceSettings().topic_partitions)
    (folder / "rows.json").write_bytes(msgspec.json.encode(found))
    show(found, console)
    for broken in soaked.broken:
        console.print(f"broken: {broken}", markup=False, soft_wrap=True)
    said, code = verdict(found, soaked.broken)
    console.print(said)
    return code


def verdict(found: Iterable[Row], broken: Sequence[str]) -> tuple[str, int]:
    """Return what the rows and broken promises come to, and the exit code."""
    judgements = {row.judgement for row in found}
    if broken or judgements & {"grows", "over its budget"}:
        return "FAILED: what is named first grows, or a promise was broken", GROWS
    if "open" in judgements:
        return "OPEN: the interval of what is named first holds more than is allowed; run it for longer", OPEN
    return "PASSED: all is flat", 0


async def _soak(folder: Path, minutes: float, seed: int, say: Callable[[str], None]) -> Soaked:
    """Run, and end on SIGTERM as on Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await soak(folder, minutes, seed, say)


def one_line(console: Console) -> Callable[[str], None]:
    """Return what writes each line over the last; where there is no terminal, one after the other."""
    if console.is_terminal:
        return lambda line: _write_over(console, line)
    return lambda line: console.print(line, markup=False, soft_wrap=True)


def _write_over(console: Console, line: str) -> None:
    """Write past Rich, which leaves carriage returns out."""
    console.file.write(f"\r\x1b[K{line[: console.width - 1]}")
    console.file.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
