"""What the programs of a running system write, made lines of one log: each bears a clock and who speaks.

Most lines are so already. The others (tracebacks of the interpreter, libraries that print) get both, in JSON
as objects of their own, so that a reader of ``LOG_FORMAT=json`` meets nothing else.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Final

from broker import terminal
from broker.terminal import CANNOT_RUN
from libs.common.printable import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_LINE: Final = 1024 * 1024  # bytes; what is longer is cut there
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")  # cursors, backspaces
_CLOCK: Final = re.compile(r"\d\d:\d\d:\d\d\.\d{3} ")


class ProgramOutput:
    """Cuts the output of each program into lines; `clock` gives, in seconds UTC, the time of bare ones."""

    def __init__(self, *, as_json: bool, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._as_json = as_json
        self._begun: dict[str, bytes] = {}
        self._last_words: dict[str, str] = {}

    def lines(self, program: str, data: bytes) -> list[str]:
        """Return the lines that are whole with these bytes."""
        *whole, begun = (self._begun.get(program, b"") + data).split(b"\n")
        if len(begun) > LONGEST_LINE:
            whole, begun = [*whole, begun], b""
        self._begun[program] = begun
        return [line for raw in whole if (line := self._shaped(program, raw))]

    def rest(self, program: str) -> list[str]:
        """Return what a program that has ended wrote without ending the line."""
        line = self._shaped(program, self._begun.pop(program, b""))
        return [line] if line else []

    def last_words(self, program: str) -> str | None:
        """Return why a program said that it cannot run; None if it said nothing of the kind."""
        return self._last_words.get(program)

    def _shaped(self, program: str, raw: bytes) -> str:
        line = _CONTROL.sub("", raw.decode("utf-8", "backslashreplace")).rstrip().expandtabs()
        line = printable_json(line) if line.startswith("{") else printable(line, None)
        if CANNOT_RUN in line:
            self._last_words[program] = (_event(line) or line).partition(CANNOT_RUN)[2] or line
        if not line.strip():
            return ""
        if self._as_json:
            return line if _event(line) is not None else terminal.as_json(program, line, self._clock())
        if _CLOCK.match(line) or line[0].isspace():  # or of a traceback that the line before began
            return line
        return terminal.prefixed(program, line, self._clock())


def _event(line: str) -> str | None:
    """Return what a line in JSON says; None if it is no JSON object."""
    if not line.startswith("{"):
        return None
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return str(facts.get("event", ""))
