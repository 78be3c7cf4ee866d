"""RUN_DIRs in which something runs: processes that hold the locks of a supervisor and of its programs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from libs.cli.run_folder import Addresses, RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

TETHER = Path(__file__).parents[4] / "broker" / "tether.py"
SUPERVISOR = """
import sys
from pathlib import Path
from libs.cli.run_folder import RunFolder, RunFolderError
try:
    lock = RunFolder(Path(sys.argv[1])).acquire()
except RunFolderError as error:
    print(error, flush=True)
else:
    print("runs", flush=True)
    sys.stdin.read()
"""


def some_addresses(**changes: object) -> Addresses:
    fields: dict[str, object] = {
        "checkout": "/checkout",
        "feed": "simulator",
        "gateway_host": "127.0.0.1",
        "gateway_port": 5250,
        "kafka_bootstrap_servers": "127.0.0.1:19250",
        "simulator_host": "127.0.0.1",
        "simulator_port": 5350,
    }
    return Addresses(**(fields | changes))  # type: ignore[arg-type]  # a test's own words


@contextmanager
def a_supervisor(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock of a folder in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        yield process
        process.kill()


@contextmanager
def a_program(folder: RunFolder, name: str, *script: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program as the supervisor of the folder would start it, without a tether; it has begun."""
    folder.processes.mkdir(parents=True, exist_ok=True)
    command = [*script] or ["sh", "-c", "echo; exec cat"]
    environment = os.environ | {"PROCESSES_DIR": str(folder.processes), "SUPERVISOR_PROCESS_NAME": name}
    with subprocess.Popen(
        [sys.executable, str(TETHER), "SIGTERM", "-", *command],
        env=environment | {"TETHER": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()
