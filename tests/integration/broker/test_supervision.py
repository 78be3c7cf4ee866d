"""The supervisor of `make run`: the dead are told and started again, and nothing stays behind."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.cli.run_folder import RunFolder
from libs.cli.stop import stop

REPOSITORY = Path(__file__).parents[3]
CONFIGURATION = """
[supervisord]
nodaemon=true
silent=true
loglevel=warn
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid

[program:sleeper]
command=sh -c "echo up $$; exec sleep 600"
startsecs=0
autorestart=true
stdout_logfile=NONE
stdout_events_enabled=true
redirect_stderr=true
{more}
"""
REFUSING = """
[program:refusing]
command={python} -c "import sys; print('cannot run: set X to 1'); sys.stdout.flush(); sys.exit(78)"
startsecs={startsecs}
startretries=1000000
autorestart=true
stdout_logfile=NONE
stdout_events_enabled=true
"""
REFUSING_AFTER_A_CRASH = """
[program:refusing]
command=sh -c 'echo >> {folder}/starts; n=$(wc -l < {folder}/starts); echo "cannot run: port 1 is taken";
    [ $n = 1 ] && exit 1; [ $n -le {until} ] && exit 78; echo runs; exec sleep 600'
startsecs=0
autorestart=true
stdout_logfile=NONE
stdout_events_enabled=true
"""


@contextmanager
def a_supervisor(folder: Path, more: str = "", **environment: str) -> Iterator[subprocess.Popen[str]]:
    configuration = folder / "supervisord.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, python=sys.executable, more=more))
    command = [sys.executable, "-m", "libs.cli.supervision", "--configuration", str(configuration)]
    with subprocess.Popen(
        [*command, "--user", str(os.getuid())],
        cwd=REPOSITORY,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.kill()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with a_supervisor(tmp_path) as process:
        yield process


def line_with(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)


def sleeper_in(line: str) -> int:
    return int(line.rpartition(" ")[2])


def test_a_killed_process_is_told_with_its_signal_and_started_again(
    supervisor: subprocess.Popen[str],
) -> None:
    first = sleeper_in(line_with(supervisor, "up "))
    os.kill(first, signal.SIGKILL)
    told = line_with(supervisor, "exited: sleeper")
    assert "run      exited: sleeper (terminated by SIGKILL; not expected)" in told
    assert sleeper_in(line_with(supervisor, "up ")) != first


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_to_ask_for_the_end_ends_all_processes_without_noise(
    supervisor: subprocess.Popen[str], stop: signal.Signals
) -> None:
    line_with(supervisor, "up ")
    supervisor.send_signal(stop)
    assert supervisor.stdout is not None
    assert supervisor.stdout.read() == ""
    assert supervisor.wait(60) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can signal a parent's death")
def test_nothing_outlives_a_killed_supervisor(supervisor: subprocess.Popen[str]) -> None:
    sleeper = sleeper_in(line_with(supervisor, "up "))
    ended = os.pidfd_open(sleeper)
    supervisor.kill()
    readable, _, _ = select.select([ended], [], [], 60.0)
    os.close(ended)
    assert readable, f"process {sleeper} is still there"


@pytest.mark.parametrize("startsecs", [0, 5], ids=["once it ran", "at its start"])
def test_a_program_that_no_restart_can_help_ends_everything_with_its_words(
    tmp_path: Path, startsecs: int
) -> None:
    refusing = REFUSING.format(python=sys.executable, startsecs=startsecs)
    with a_supervisor(tmp_path, refusing) as process:
        assert process.wait(60) == os.EX_CONFIG
        assert process.stdout is not None
        *_, last = process.stdout
    assert last == "make run: set X to 1\n"


def test_a_restart_that_is_refused_for_a_moment_ends_nothing(tmp_path: Path) -> None:
    refusing = REFUSING_AFTER_A_CRASH.format(folder=tmp_path, until=4)
    with a_supervisor(tmp_path, refusing) as process:
        line_with(process, "refusing runs")
        process.terminate()
        assert process.wait(60) == 0


def test_a_program_whose_every_restart_is_refused_ends_everything(tmp_path: Path) -> None:
    refusing = REFUSING_AFTER_A_CRASH.format(folder=tmp_path, until=1000)
    with a_supervisor(tmp_path, refusing) as process:
        assert process.wait(60) == os.EX_CONFIG
        assert process.stdout is not None
        *_, last = process.stdout
    assert last == "make run: port 1 is taken\n"


def test_in_json_every_line_is_an_object_also_the_supervisors_own(tmp_path: Path) -> None:
    with a_supervisor(tmp_path, LOG_FORMAT="json") as process:
        os.kill(sleeper_in(json.loads(line_with(process, "up "))["event"]), signal.SIGKILL)
        told = json.loads(line_with(process, "exited: sleeper"))
    assert told["service"] == "run"
    assert told["event"] == "exited: sleeper (terminated by SIGKILL; not expected)"


def test_what_a_killed_supervisor_leaves_where_nothing_is_tethered_is_named_and_ended(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.processes.mkdir()
    untethered = {"TETHER": "0", "PROCESSES_DIR": str(folder.processes)}
    with a_supervisor(tmp_path, **untethered) as process:
        sleeper = sleeper_in(line_with(process, "up "))
        process.kill()
        process.wait(60)
        assert [(left.name, left.pid) for left in folder.left_behind()] == [("sleeper", sleeper)]
        said: list[str] = []
        assert stop(folder, said.append) == 0
    assert said == [f"ended what a killed run left in {tmp_path}: sleeper (process {sleeper})"]
    assert folder.left_behind() == []
