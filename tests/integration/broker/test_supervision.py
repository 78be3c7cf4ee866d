"""The supervisor of `make run`: the dead are told and started again, and nothing stays behind."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path))
    command = [sys.executable, "-m", "libs.cli.supervision", "--configuration", str(configuration)]
    with subprocess.Popen(
        [*command, "--user", str(os.getuid())],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.kill()


def line_with(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)


def sleeper_in(line: str) -> int:
    return int(line.split()[1])


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
