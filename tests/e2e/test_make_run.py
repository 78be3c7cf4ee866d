"""`make run` as a newcomer meets it: one command, one curl, one Ctrl-C, and again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from broker.settings import BrokerSettings
from libs.cli.run_folder import RunFolder
from tests.e2e.system import folder_of_policies, free_port
from tests.policies_world import alive, descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.timeout(600),  # two starts, beside other work
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
        self.cache = folder.parent / "cache"
        self.jars = str(BrokerSettings().jars_dir)
        self.with_settings()

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.make = subprocess.Popen(
                ["make", "run", *self.arguments],
                cwd=ROOT,
                env=self.settings,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        return self

    def with_settings(self, **settings: str) -> Self:
        """Start it with other settings the next time."""
        self.settings = {
            name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")
        } | {
            "XDG_CACHE_HOME": str(self.cache),
            "KAFKA_JARS_DIR": self.jars,
            "SIMULATOR_OUTAGES": "0",
            **settings,
        }
        return self

    def type(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Type a command beside the run, in the same checkout."""
        return subprocess.run(
            command, cwd=ROOT, env=self.settings, capture_output=True, text=True, check=False, timeout=120
        )

    def bookrunner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command of `bookrunner`, which is told no address."""
        return self.type(sys.executable, "-m", "libs.cli", *arguments)

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

    def hosted(self) -> list[int]:
        """Wait until a policy of one's own runs, and return the processes of all policies."""

        def runs() -> bool:
            found = self.get("/api/policies") or ()
            return any((each["policyId"], each["state"]) == ("mine", "running") for each in found)

        wait_for("the policy runs", runs)
        (host,) = self.processes("services.policies")
        return descendants(host)

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
    policies = os.path.relpath(folder_of_policies(tmp_path), ROOT)  # as it is written in a checkout
    run = Run(tmp_path / "run").with_settings(GATEWAY_TOKEN="auto", POLICIES_DIR=policies)  # noqa: S106 -- asks for one
    with run:
        wait_for("ready", run.ready, 180)
        hosted = run.hosted()
        assert alive(hosted)
        assert_quiet(run.log.read_text())
        assert_found_and_protected(run)
        assert_second_start_is_refused(run)
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
        assert alive(hosted) == []
        run.log.write_text("")
    with run.with_settings(LOG_FORMAT="json", TETHER="0", POLICIES_DIR=policies):
        wait_for("a second run is ready", run.ready, 180)
        assert run.all_live()
        hosted = run.hosted()
        supervisor = RunFolder(run.folder).supervisor()
        assert supervisor
        os.kill(supervisor, signal.SIGKILL)
        run.make.wait(60)
        assert_json(run.log.read_text())
        assert_left_behind_is_named_and_ended(run)
        assert run.processes() == []
        assert alive(hosted) == []


def test_a_folder_of_policies_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    refused = run.type("make", "run", *run.arguments, "POLICIES_DIR=not-there")
    assert f"make run: POLICIES_DIR={ROOT / 'not-there'} is not there: make it" in refused.stderr
    assert not run.folder.exists()


def assert_quiet(log: str) -> None:
    """Hold that a person can follow a start: about a dozen lines, beside what a slow machine waits for."""
    lines = [
        line for line in log.splitlines() if line[:2].isdigit()
    ]  # those of make's own set-up have no clock
    start = lines[: 1 + next(n for n, line in enumerate(lines) if "bookrunner is ready" in line)]
    told = [line for line in start if " waiting: " not in line]
    assert len(told) <= 16, "\n".join(told)
    assert not [line for line in told if "WARNING" in line or "ERROR" in line or "[^-" in line]


def assert_found_and_protected(run: Run) -> None:
    """Hold that the command finds the moved ports and bears the token, which is in no log."""
    token = (run.folder / "token").read_text().strip()
    assert stat.S_IMODE((run.folder / "token").stat().st_mode) == 0o600
    assert token not in run.log.read_text()
    shown = run.bookrunner("book", "binance", "BTCUSDT", "--once")
    assert (shown.returncode, shown.stderr) == (0, "")
    body = json.dumps({"venue": "binance", "symbol": "BTC-USDT"})
    assert run.bookrunner("ask", "l2/subscriptions", body).returncode == 0
    (run.folder / "token").rename(run.folder / "hidden")
    assert run.bookrunner("ask", "l2/subscriptions", body).stderr.startswith("bookrunner: 401: ")
    (run.folder / "hidden").rename(run.folder / "token")


def assert_second_start_is_refused(run: Run) -> None:
    """Hold that one sentence says so, and that the running system keeps all it has."""
    before = {file.name for file in (run.folder / "metrics").iterdir()}
    refused = run.type("make", "run", *run.arguments)
    said = [line for line in refused.stderr.splitlines() if line.startswith("make run: ")]
    assert len(said) == 1
    assert f"a bookrunner already runs in {run.folder} (process " in said[0]
    assert before
    assert before <= {file.name for file in (run.folder / "metrics").iterdir()}


def assert_json(log: str) -> None:
    """Hold that with LOG_FORMAT=json every line is an object, but what make itself says of the killed run."""
    lines = [line for line in log.splitlines() if not line.startswith("make")]
    assert len(lines) > 20
    assert all(isinstance(json.loads(line), dict) for line in lines)


def assert_left_behind_is_named_and_ended(run: Run) -> None:
    """Hold that the next start names what outlived the supervisor, and that `make stop` ends it."""
    (gateway,) = run.processes("services.gateway")
    refused = run.type("make", "run", *run.arguments)
    assert f"gateway (process {gateway})" in refused.stderr
    assert f"`make stop RUN_DIR={run.folder}` ends them" in refused.stderr
    stopped = run.type("make", "stop", f"RUN_DIR={run.folder}")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert f"gateway (process {gateway})" in stopped.stdout
