"""`make run` as a newcomer meets it: one command, one curl, one Ctrl-C, and again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.e2e.system import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]


def wait_for(what: str, holds: Callable[[], Any], patience_s: float = 120) -> Any:
    deadline = time.monotonic() + patience_s
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(0.1)
    return answer


class Run:
    """One `make run` with ports and a folder of its own, as the foreground job of a terminal has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        ports = {"GATEWAY_PORT": self.port, "KAFKA_PORT": free_port(), "SIMULATOR_PORT": free_port()}
        self.arguments = [f"{name}={port}" for name, port in ports.items()] + [f"RUN_DIR={folder}"]
        self.log = folder.parent / "make-run.log"

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        with self.log.open("ab") as log:
            self.make = subprocess.Popen(
                ["make", "run", *self.arguments], cwd=ROOT, env=kept, stdout=log, stderr=log, process_group=0
            )
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.make.wait(30)

    def ready(self) -> bool:
        return self.log.read_text().count("bookrunner is ready") > 0

    def get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
                return json.loads(reply.read())
        except OSError:
            return None

    def all_live(self) -> list[dict[str, Any]]:
        books = self.get("/api/l2") or []
        return books if books and all(book["state"] == "LIVE" for book in books) else []

    def processes(self, module: str = "") -> list[int]:
        """Return the processes that belong to this run, by the folder in their environment."""
        return [pid for pid in _pids() if _belongs(pid, f"RUN_DIR={self.folder}", module)]

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to the whole foreground group."""
        os.killpg(self.make.pid, signal.SIGINT)
        self.make.wait(60)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _belongs(pid: int, setting: str, module: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return (
            setting.encode() in environment and module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_one_command_runs_everything_heals_and_leaves_nothing_behind(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with run:
        wait_for("ready", run.ready, 180)
        book = run.get("/api/l2/binance/BTCUSDT")
        assert book["bids"][0][0] < book["asks"][0][0]
        assert book["seq"] >= 1
        epochs = {(b["venue"], b["symbol"]): b["epoch"] for b in run.all_live()}
        (l2,) = run.processes("services.l2")
        os.kill(l2, signal.SIGKILL)

        def back() -> bool:
            live = run.all_live()
            return bool(live) and all(b["epoch"] > epochs[b["venue"], b["symbol"]] for b in live)

        wait_for("the supervisor brings l2 back and its books LIVE", back)
        run.interrupt()
        assert run.processes() == []
        run.log.write_text("")
    with run:
        wait_for("a second run is ready", run.ready, 180)
        assert run.all_live()
        run.interrupt()
        assert run.processes() == []
