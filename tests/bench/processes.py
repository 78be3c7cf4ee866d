"""The processes a benchmark starts, each tethered to this one, and what of the CPU they used."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from broker.native import NativeBroker
from broker.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
TETHER: Final = ROOT / "broker" / "tether.py"
STOP_S: Final = 15.0
POLL_S: Final = 0.02


class ProcessEndedError(RuntimeError):
    """A process of the benchmark ended by itself, or did not become ready in time."""


class Process:
    """One ``python -m MODULE``, with its output in a file."""

    def __init__(
        self, module: str, arguments: list[str], environment: dict[str, str], folder: Path, tree: Path
    ) -> None:
        self.module = module
        self._log = folder / f"{module}.log"
        python = sys.executable if tree == ROOT else str(tree / ".venv" / "bin" / "python")
        command = [
            python,
            str(TETHER),
            "SIGKILL",
            str(os.getpid()),
            python,
            "-m",
            module,
            *arguments,
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=tree, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def require_running(self) -> None:
        """Refuse to go on without it.

        Raises
        ------
        ProcessEndedError
            With the last words of its output.
        """
        code = self._process.poll()
        if code is not None:
            raise ProcessEndedError(f"{self.module} ended with exit code {code}:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of its output."""
        return self._log.read_text(errors="replace")[-2000:]

    def wait(self) -> None:
        """Wait until it ends by itself.

        Raises
        ------
        ProcessEndedError
            If its exit code is not 0.
        """
        code = self._process.wait(STOP_S)
        if code:
            raise ProcessEndedError(f"{self.module} ended with exit code {code}:\n{self.last_words()}")

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextmanager
def started(module: str, folder: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    """Run a module while the context lasts."""
    with started_in(ROOT, module, folder, *arguments, **environment) as process:
        yield process


@contextmanager
def started_in(
    tree: Path, module: str, folder: Path, *arguments: str, **environment: str
) -> Iterator[Process]:
    """Run a module of a checkout, by its own ``.venv`` unless it is this one."""
    process = Process(module, list(arguments), environment, folder, tree)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def folder_and_broker(say: Callable[[str], None]) -> Iterator[tuple[Path, NativeBroker]]:
    """Start a Kafka of its own on a free port and in a new folder, with the options of `make run`."""
    with tempfile.TemporaryDirectory(prefix="bookrunner-bench-") as name:
        settings = BrokerSettings(host="127.0.0.1", port=0, controller_port=0, data_dir=Path(name) / "kafka")
        with NativeBroker(settings, lambda line: say(f"  {line}")) as broker:
            yield Path(name), broker


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        return int(drawn.getsockname()[1])


async def until(what: str, holds: Callable[[], Awaitable[bool]], patience_s: float, *needed: Process) -> None:
    """Ask until the answer is true.

    Raises
    ------
    ProcessEndedError
        If it is not within `patience_s`, or one of the `needed` processes ends.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience_s
    while not await holds():
        for process in needed:
            process.require_running()
        if clock() > deadline:
            words = "\n".join(process.last_words() for process in needed)
            raise ProcessEndedError(f"not within {patience_s:g} s: {what}\n{words}")
        await asyncio.sleep(POLL_S)


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time a process has used, user and system; None where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process's living threads; Linux only, where `cpu_seconds` is too coarse."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
