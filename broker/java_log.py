"""Java's output: everything into a file that stays small, what matters on to the terminal."""

import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path

_FILE_BYTES = 10_000_000
_TAIL_LINES = 200

# slf4j-simple, so configured that a line reads "2026-01-31 12:00:00.000 [WARN] LogManager - message"
JAVA_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
    "-Dorg.slf4j.simpleLogger.levelInBrackets=true",
    # a page of all settings at every start, several times
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
)

_NOTABLE = re.compile(r"^\S+ \S+ \[(WARN|ERROR)\] (.*)")

# Of every first start, every stop, and each moment in which the machine is busy; they ask nothing of anyone.
_ROUTINE = re.compile(
    r"Performing controller activation"
    r"|close NetworkClient that has already been closed"
    r"|Auto topic creation failed for __\w+ with error 'TOPIC_ALREADY_EXISTS'"
    r"|controller event queue overloaded\. Timed out heartbeat"
    r"|Exceptionally slow controller event"
    r"|Unexpected error handling request RequestHeader\(apiKey=CONTROLLER_REGISTRATION"
    r"|sent a heartbeat request but received error REQUEST_TIMED_OUT"
)


class Throttle:
    """
    Lets `burst` lines pass in each window and counts the rest.

    Parameters
    ----------
    burst
        Lines a window.
    window_s
        Length of a window, seconds.
    """

    def __init__(self, burst: int = 5, window_s: float = 10.0) -> None:
        self._burst = burst
        self._window_s = window_s
        self._window_start = float("-inf")
        self._passed = 0
        self._held_back = 0

    def lines(self, line: str, now: float) -> list[str]:
        """Return what to show on arrival of `line` at monotonic time `now` (seconds)."""
        shown = []
        if now - self._window_start >= self._window_s:
            if self._held_back:
                shown.append(f"{self._held_back} more lines like these are in the log file")
            self._window_start, self._passed, self._held_back = now, 0, 0
        if self._passed < self._burst:
            self._passed += 1
            shown.append(line)
        else:
            self._held_back += 1
        return shown


def notable(line: str) -> str | None:
    """Return level and message of a warning or an error worth a look, None for all other lines."""
    match = _NOTABLE.match(line)
    if match is None or _ROUTINE.search(line):
        return None
    return f"{match[1]} {match[2]}"


class LogFile:
    """The broker's log, of at most twice 10 MB, with its last lines at hand for a diagnosis."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._file = path.open("a", encoding="utf-8")

    def write(self, line: str) -> None:
        """
        Append a line.

        Raises
        ------
        OSError
            If the disk refuses it; the tail has it nevertheless.
        """
        self._tail.append(line)
        if self._file.tell() > _FILE_BYTES:
            self._file.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("a", encoding="utf-8")
        self._file.write(line + "\n")
        self._file.flush()

    def tail(self) -> list[str]:
        """Return the last lines."""
        return list(self._tail)

    def close(self) -> None:
        """Close the file; the tail stays readable."""
        self._file.close()


def errors_in(lines: Iterable[str], limit: int = 3) -> str:
    """Return the last `limit` notable lines, or the last lines whatever they are."""
    kept = list(lines)
    worth = [text for text in map(notable, kept) if text] or [line for line in kept if line.strip()]
    return "\n  ".join(worth[-limit:])
