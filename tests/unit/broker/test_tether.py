import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from broker import file_lock

TETHER = Path(__file__).parents[3] / "broker" / "tether.py"
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, {tether!r}, "SIGKILL", "-", "cat"], stdin=subprocess.PIPE)
child.stdin.write(b"alive\\n")
child.stdin.flush()
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can signal a parent's death")
def test_a_tethered_process_ends_when_its_parent_is_killed() -> None:
    script = PARENT.format(tether=str(TETHER))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"alive\n"  # the child has become its command
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.read() == b""  # ends only when the child, which holds the other end, is gone


def test_the_command_keeps_process_id_and_exit_code() -> None:
    command = [sys.executable, str(TETHER), "SIGTERM", "-", "sh", "-c", "echo $$; exit 3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tethered:
        assert tethered.stdout is not None
        assert int(tethered.stdout.read()) == tethered.pid
    assert tethered.returncode == 3


def test_a_process_whose_parent_is_already_gone_does_not_start() -> None:
    command = [sys.executable, str(TETHER), "SIGTERM", "1", "echo", "started"]
    result = subprocess.run(command, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (1, b"")


def test_a_tethered_program_holds_a_lock_that_says_which_process_it_is(tmp_path: Path) -> None:
    environment = os.environ | {"PROCESSES_DIR": str(tmp_path), "SUPERVISOR_PROCESS_NAME": "l2"}
    command = [sys.executable, str(TETHER), "SIGTERM", "-", "cat", "-u"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tethered:
        assert tethered.stdin is not None
        assert tethered.stdout is not None
        tethered.stdin.write(b"x")
        tethered.stdin.flush()
        assert tethered.stdout.read(1) == b"x"  # it has become its command
        assert file_lock.holder(tmp_path / "l2") == f"{tethered.pid}\ncat -u"
        tethered.stdin.close()
    assert file_lock.holder(tmp_path / "l2") is None


def test_a_program_says_which_process_it_is_though_somebody_looks_at_that_moment(tmp_path: Path) -> None:
    with (tmp_path / "l2").open("w") as glance:
        fcntl.flock(glance, fcntl.LOCK_SH)
        assert registered(
            tmp_path, f"lambda _s: fcntl.flock({glance.fileno()}, fcntl.LOCK_UN)", glance.fileno()
        )


def test_a_second_process_of_a_program_leaves_the_place_to_the_first(tmp_path: Path) -> None:
    first = file_lock.take(tmp_path / "l2", handover_s=0.0)
    file_lock.sign(first, "1\nfirst")
    assert not registered(tmp_path, "time.sleep")
    assert file_lock.holder(tmp_path / "l2") == "1\nfirst"
    os.close(first)


def registered(folder: Path, sleep: str, *descriptors: int) -> bool:
    """Return whether a process that registers as l2, and sleeps so, is then the one that says so."""
    script = (
        "import fcntl, os, sys, time; from pathlib import Path; from broker import file_lock, tether\n"
        f"time.sleep = {sleep}\n"
        "tether.register({'PROCESSES_DIR': sys.argv[1], 'SUPERVISOR_PROCESS_NAME': 'l2'}, ['cat', '-u'])\n"
        "sys.exit(file_lock.holder(Path(sys.argv[1]) / 'l2') != f'{os.getpid()}\\ncat -u')\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.run(command, cwd=TETHER.parents[1], pass_fds=descriptors, check=False).returncode == 0
