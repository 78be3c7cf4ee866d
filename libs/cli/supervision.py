"""
``python -m libs.cli.supervision``: supervisor, with one log and one way out.

Differences from plain ``supervisord``: its own lines and those of its programs are one log, a closed terminal
stops everything (plain supervisord starts it all again), only news are told (what died), a program that says
that no restart can help (exit code `os.EX_CONFIG`) ends everything with its words, and no program outlives
the supervisor, however that one dies.

References
----------
http://supervisord.org/running.html#signal-handlers (SIGHUP restarts)
http://supervisord.org/events.html (PROCESS_LOG_STDOUT, PROCESS_STATE)
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import FrameType

from supervisor import events, loggers, poller
from supervisor.options import ServerOptions
from supervisor.supervisord import go

from broker import terminal, tether
from broker.secret_variables import environment_of
from libs.cli.program_output import ProgramOutput
from libs.common.printable import indented_lines

_ENDED = (events.ProcessStateExitedEvent, events.ProcessStateStoppedEvent, events.ProcessStateBackoffEvent)
_BELIEVED = 5  # refusals in a row of a program that ran before; some 10 s apart in all
_ROUTINE = ("received SIG", "stopped: ", "exited: ready (exit status 0")


def is_news(message: str) -> bool:
    """Whether a line of supervisor tells more than that a stop was asked for."""
    return not message.startswith(_ROUTINE)


def _write(lines: Iterable[str]) -> None:
    """Write lines at once; what a closed terminal does not take is lost."""
    with suppress(OSError):
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


class _Terminal(loggers.StreamHandler):  # type: ignore[misc]  # supervisor carries no types
    """Writes ``12:03:04.123 run      exited: l2 (terminated by SIGKILL; not expected)``."""

    def emit(self, record: loggers.LogRecord) -> None:
        """Write a line."""
        message = str(record.asdict()["message"])
        if is_news(message):
            _write([terminal.line("run", message)])


class _Poller(poller.Poller):  # type: ignore[misc]  # supervisor carries no types
    """Starts the programs at once: the plain one first waits a second for something to happen."""

    _began = False

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Wait up to `timeout` seconds, but for the first time."""
        began, self._began = self._began, True
        readable, writable = super().poll(timeout if began else 0)
        return readable, writable


class Options(ServerOptions):  # type: ignore[misc]  # supervisor carries no types
    """supervisord's options, with our log, signals, tether and end."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()
        self.poller = _Poller(self)
        self.output = ProgramOutput(as_json=os.environ.get("LOG_FORMAT") == "json")
        self.refused: str | None = None  # the program that no restart can help
        self._ends: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()  # in a row

    def make_logger(self) -> None:
        """Log to the file as configured, and news to the terminal."""
        super().make_logger()
        self.logger.addHandler(_Terminal(sys.stdout))

    def setsignals(self) -> None:
        """Take a closed terminal for the wish to stop; and from here on hear of the programs."""
        super().setsignals()
        signal.signal(signal.SIGHUP, self._stop)
        events.subscribe(events.ProcessLogStdoutEvent, self._on_output)
        events.subscribe(events.ProcessStateEvent, self._on_state)

    def waitpid(self) -> tuple[int | None, int | None]:
        """Reap a program; ask for the end of all if it said that no restart can help.

        Said at its first start that is believed at once. Said later it may pass: a port or a folder is not
        free again as soon as its holder was killed.
        """
        pid, status = super().waitpid()
        if pid and pid in self.pidhistory:
            name = str(self.pidhistory[pid].config.name)
            self._ends[name] += 1
            refuses = os.WIFEXITED(status) and os.WEXITSTATUS(status) == os.EX_CONFIG
            self._refusals[name] = self._refusals[name] + 1 if refuses else 0
            if refuses and (self._ends[name] == 1 or self._refusals[name] == _BELIEVED):
                self.refused = self.refused or name
                self._stop(signal.SIGTERM, None)
        return pid, status

    def _on_output(self, event: events.ProcessLogStdoutEvent) -> None:
        _write(self.output.lines(event.process.config.name, event.data))

    def _on_state(self, event: events.ProcessStateEvent) -> None:
        if isinstance(event, _ENDED):
            _write(self.output.rest(event.process.config.name))

    def execve(self, filename: str, argv: list[str], env: Mapping[str, str]) -> None:
        """Become a program, in the child that is forked for it: tethered to us, and registered.

        Of the secrets it gets those that it needs.
        """
        tether.die_with_parent(signal.SIGTERM)
        if os.getppid() != self._pid:  # the supervisor died before the kernel was asked
            os._exit(1)
        tether.register(env, argv)
        super().execve(filename, argv, environment_of(env["SUPERVISOR_PROCESS_NAME"], env))

    def _stop(self, _signal: int, frame: FrameType | None) -> None:
        self.signal_receiver.receive(signal.SIGTERM, frame)


def main(arguments: list[str]) -> int:
    """Run until a signal asks for the end, or a program for which there is no use in going on."""
    options = Options()
    options.realize(arguments)
    options.first = True
    options.test = False
    go(options)
    options.close_logger()
    if options.refused is None:
        return 0
    words = options.output.last_words(options.refused) or f"{options.refused} cannot run as it is set up"
    sys.stderr.write(f"make run: {indented_lines(words)}\n")
    return os.EX_CONFIG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
