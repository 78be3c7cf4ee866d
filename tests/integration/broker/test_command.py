"""``python -m broker`` as the supervisor and a person at a terminal meet it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker import ports, readiness
from broker.data_folder import DataFolder

REPOSITORY = Path(__file__).parents[3]
PATIENCE_S = 60.0


@pytest.fixture
def port() -> int:
    return ports.draw("127.0.0.1", 1)[0]


@contextmanager
def a_broker(folder: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    given = {
        "KAFKA_PORT": str(port),
        "KAFKA_DATA_DIR": str(folder),
        "KAFKA_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "broker"],
        cwd=REPOSITORY,
        env=os.environ | given | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    read = ""
    assert process.stdout is not None
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"it ended without saying {text!r}:\n{read}")


def java_of(process: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    return next(int(pid) for child in children for pid in child.read_text().split())


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def test_it_says_when_it_is_ready_and_stops_cleanly_on_both_signals(tmp_path: Path, port: int) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        with a_broker(tmp_path, port) as process:
            said = read_until(process, "ready")
            assert re.search(rf"^kafka ready on 127\.0\.0\.1:{port} in \d+\.\d s$", said, re.MULTILINE)
            assert readiness.answers("127.0.0.1", port)
            process.send_signal(stop)
            read_until(process, "kafka stopped")
            assert process.wait(PATIENCE_S) == 0
        assert not readiness.answers("127.0.0.1", port)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can signal a parent's death")
def test_java_does_not_outlive_a_killed_wrapper_and_the_next_start_works(tmp_path: Path, port: int) -> None:
    with a_broker(tmp_path, port) as process:
        read_until(process, "ready")
        java = java_of(process)
        process.kill()
        wait_until_gone(java)
    with a_broker(tmp_path, port) as process:
        read_until(process, "ready")


@pytest.mark.skipif(sys.platform != "linux", reason="finds Java in /proc")
def test_a_killed_java_ends_the_wrapper_with_a_failure_for_the_supervisor(tmp_path: Path, port: int) -> None:
    with a_broker(tmp_path, port) as process:
        read_until(process, "ready")
        os.kill(java_of(process), signal.SIGKILL)
        read_until(process, "kafka ended by itself with exit code -9")
        assert process.wait(PATIENCE_S) == 1


def test_what_java_refuses_is_told_with_its_words(tmp_path: Path, port: int) -> None:
    with a_broker(tmp_path, port, KAFKA_JAVA_OPTIONS="-XX:NoSuchOption") as process:
        said = read_until(process, "Unrecognized VM option 'NoSuchOption'")
        assert "cannot run: Kafka ended with exit code 1 before it answered" in said
        assert process.wait(PATIENCE_S) == 1


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"KAFKA_PORT": "many"}, "cannot run: KAFKA_PORT is wrong"),
        ({"KAFKA_HOST": "0.0.0.0"}, "cannot run: KAFKA_HOST is wrong"),  # noqa: S104 - refused here
        ({"KAFKA_HEAP_MB": "1"}, "cannot run: KAFKA_HEAP_MB is wrong"),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, port: int, environment: dict[str, str], complaint: str
) -> None:
    with a_broker(tmp_path, port, **environment) as process:
        read_until(process, complaint)
        assert process.wait(PATIENCE_S) == os.EX_CONFIG


def test_without_network_and_jars_the_first_start_says_what_to_do(tmp_path: Path, port: int) -> None:
    nowhere = {"KAFKA_JARS_DIR": str(tmp_path / "jars"), "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    with a_broker(tmp_path, port, **nowhere) as process:
        said = read_until(process, "cannot run: ")
        assert "connect to the network" in said
        assert process.wait(PATIENCE_S) == os.EX_CONFIG


def test_a_folder_in_use_is_told_by_the_variable_that_people_set_and_ends_it_for_good(
    tmp_path: Path, port: int
) -> None:
    folder = DataFolder(tmp_path / "kafka")
    folder.acquire()
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_DATA_DIR"}
    ended = subprocess.run(
        [sys.executable, "-m", "broker"],
        cwd=REPOSITORY,
        env=environment | {"RUN_DIR": str(tmp_path), "KAFKA_PORT": str(port), "LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    folder.release()
    assert ended.returncode == os.EX_CONFIG
    event = json.loads(ended.stdout.splitlines()[-1])["event"]
    assert event.startswith(f"cannot run: another broker (process {os.getpid()}) already runs on")
    assert event.endswith("set RUN_DIR to another folder")
