"""One Java process: started tethered to this one, its output read line by line until it ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from broker.secret_variables import environment_of

_TETHER = Path(__file__).with_name("tether.py")


class JavaProcess:
    """
    A running command and the thread that reads its output.

    The thread that reads also starts the process: Linux kills a tethered process when the *thread* that
    forked it ends, and this one ends with the process.

    Parameters
    ----------
    command
        Program and arguments.
    on_line
        Called in the reading thread with each line of output.
    pass_fd
        A file descriptor the process inherits.

    Raises
    ------
    OSError
        If the process cannot be started.
    """

    def __init__(self, command: Sequence[str], on_line: Callable[[str], None], pass_fd: int) -> None:
        self._command = [sys.executable, "-ISE", str(_TETHER), "SIGKILL", str(os.getpid()), *command]
        self._on_line = on_line
        self._pass_fd = pass_fd
        self._process: subprocess.Popen[bytes] | None = None
        self._refusal: OSError | None = None
        started = threading.Event()
        self._reader = threading.Thread(target=self._run, args=(started,), name="java-output", daemon=True)
        self._reader.start()
        started.wait()
        if self._refusal is not None:
            raise self._refusal

    @property
    def pid(self) -> int:
        """Process id of Java."""
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._running.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """
        Wait for the end of the process and of its output.

        Raises
        ------
        subprocess.TimeoutExpired
            If it still runs after `timeout_s`.
        """
        code = self._running.wait(timeout_s)
        self._reader.join()
        return code

    def terminate(self, timeout_s: float) -> bool:
        """Ask for a clean end, and kill after `timeout_s`; true if the end was clean."""
        self._running.send_signal(signal.SIGTERM)
        try:
            self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End it, and what it started, with SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the process was never started")
        return self._process

    def _run(self, started: threading.Event) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(self._pass_fd,),
                env=environment_of("java", os.environ),  # what it needs stands in server.properties
                process_group=0,  # Ctrl-C at the terminal is for the wrapper, which then asks Java
            )
        except OSError as error:
            self._refusal = error
            return
        else:
            self._process = process
        finally:
            started.set()
        with process:
            for line in process.stdout or ():
                self._on_line(line.decode(errors="replace").rstrip())
