"""
Run a command that dies with the process that started it, however that one dies.

Used as ``python tether.py SIGNAL PARENT_PID COMMAND...``: it asks the kernel for the signal, then becomes
the command, so the command keeps this process's id. PARENT_PID is ``-`` where a configuration file cannot
know it. Linux only; elsewhere, and with TETHER=0, the command runs untethered.

Where PROCESSES_DIR is set it also says which process this is: in a file named like the program, which holds
process id and command, and is locked until the process is gone, so that a reused id is never taken for it.

References
----------
prctl(2), PR_SET_PDEATHSIG: survives execve; "parent" is the thread that forked.
"""

import ctypes
import fcntl
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GLANCE_S = 1.0  # who looks whether the lock is held holds it for a moment


def die_with_parent(death_signal: signal.Signals) -> None:
    """
    Have the kernel send `death_signal` to this process when its parent dies.

    Raises
    ------
    OSError
        If the kernel refuses.
    """
    if not sys.platform.startswith("linux") or os.environ.get("TETHER") == "0":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def register(environment: Mapping[str, str], command: Sequence[str], suffix: str = "") -> None:
    """Say in PROCESSES_DIR, if it is set, that this process is its program, for as long as it lives."""
    folder = environment.get("PROCESSES_DIR")
    if not folder:
        return
    name = environment.get("SUPERVISOR_PROCESS_NAME", "process") + suffix
    descriptor = os.open(Path(folder) / name, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _GLANCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:  # another process says so
                os.close(descriptor)
                return
            time.sleep(_GLANCE_S / 50)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n{shlex.join(command)}".encode(), 0)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - kept open by the command


def main(arguments: list[str]) -> None:
    """Tether this process, make sure that the parent still lives, and become the command."""
    death_signal, parent, *command = arguments
    die_with_parent(signal.Signals[death_signal])
    if parent != "-" and os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)
    register(os.environ, command, "" if parent == "-" else f"-{Path(command[0]).name}")
    os.execvp(command[0], command)  # noqa: S606 - becoming the given command is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
