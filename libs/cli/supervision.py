"""
``python -m libs.cli.supervision``: supervisor, with one log and one way out.

Four differences from plain ``supervisord``: its own lines read like those of the processes it runs, a
closed terminal stops everything (plain supervisord starts it all again), only news are told: what died, and
no process outlives the supervisor, however that one dies.

References
----------
http://supervisord.org/running.html#signal-handlers (SIGHUP restarts)
"""

import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType

from supervisor import loggers
from supervisor.options import ServerOptions
from supervisor.supervisord import go

from broker.terminal import say
from broker.tether import die_with_parent

_ROUTINE = ("received SIG", "stopped: ", "exited: ready (exit status 0")


def is_news(message: str) -> bool:
    """Whether a line of supervisor tells more than that a stop was asked for."""
    return not message.startswith(_ROUTINE)


class _Terminal(loggers.StreamHandler):  # type: ignore[misc]  # supervisor carries no types
    """Writes ``12:03:04.123 run      exited: l2 (terminated by SIGKILL; not expected)``."""

    def emit(self, record: loggers.LogRecord) -> None:
        """Write a line; what a closed terminal does not take is in the log file."""
        message = str(record.asdict()["message"])
        if is_news(message):
            say("run", message)


class _Options(ServerOptions):  # type: ignore[misc]  # supervisor carries no types
    """supervisord's options, with our log, signals and tether."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()

    def make_logger(self) -> None:
        """Log to the file as configured, and news to the terminal."""
        super().make_logger()
        self.logger.addHandler(_Terminal(sys.stdout))

    def setsignals(self) -> None:
        """Take a closed terminal for the wish to stop."""
        super().setsignals()
        signal.signal(signal.SIGHUP, self._stop)

    def execve(self, filename: str, argv: list[str], env: Mapping[str, str]) -> None:
        """Become a program, in the child that is forked for it: tethered to the supervisor."""
        die_with_parent(signal.SIGTERM)
        if os.getppid() != self._pid:  # the supervisor died before the kernel was asked
            os._exit(1)
        super().execve(filename, argv, env)

    def _stop(self, _signal: int, frame: FrameType | None) -> None:
        self.signal_receiver.receive(signal.SIGTERM, frame)


def main(arguments: list[str]) -> None:
    """Run until a signal asks for the end."""
    options = _Options()
    options.realize(arguments)
    options.first = True
    options.test = False
    go(options)
    options.close_logger()


if __name__ == "__main__":
    main(sys.argv[1:])
