"""
Run a command that dies with the process that started it, however that one dies.

Used as ``python tether.py SIGNAL PARENT_PID COMMAND...``: it asks the kernel for the signal, then becomes
the command, so the command keeps this process's id. PARENT_PID is ``-`` where a configuration file cannot
know it. Linux only; elsewhere the command runs untethered.

References
----------
prctl(2), PR_SET_PDEATHSIG: survives execve; "parent" is the thread that forked.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(death_signal: signal.Signals) -> None:
    """
    Have the kernel send `death_signal` to this process when its parent dies.

    Raises
    ------
    OSError
        If the kernel refuses.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def main(arguments: list[str]) -> None:
    """Tether this process, make sure that the parent still lives, and become the command."""
    death_signal, parent, *command = arguments
    die_with_parent(signal.Signals[death_signal])
    if parent != "-" and os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming the given command is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
