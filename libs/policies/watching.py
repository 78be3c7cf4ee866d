"""What `bookrunner policy check` adds to a policy's process: another clock, and no files while it is asked.

A signal follows from its market alone. One that follows from the clock differs under another clock; one that
reads a file could read what nobody knew at the market's time.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CODE: Final = (".py", ".pyc", ".so", ".pyd", ".dylib")  # a module may be imported late
_CLOCKS: Final = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")


def move_clock(by_s: int) -> None:
    """Let Python's clocks differ by so many seconds, in all modules that are imported from now on."""
    for name in _CLOCKS:
        step = by_s * (1_000_000_000 if name.endswith("_ns") else 1)
        setattr(time, name, _moved(getattr(time, name), step))
    by = dt.timedelta(seconds=by_s)
    real = dt.datetime

    class Moved(dt.datetime):
        """The same type, whose present is another."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:  # noqa: ANN401 -- the class is replaced below
            return real.now(tz) + by

        @classmethod
        def utcnow(cls) -> Any:  # noqa: ANN401 -- likewise
            return real.now(dt.timezone.utc).replace(tzinfo=None) + by  # noqa: UP017 -- `real` hides dt.UTC

    dt.datetime = Moved  # type: ignore[misc]


def _moved(clock: Callable[[], Any], step: int) -> Callable[[], Any]:
    return lambda: clock() + step


class FileWatch:
    """Refuses to open what is no code, while `asked`."""

    def __init__(self) -> None:
        self.asked = False
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.asked or event != "open" or isinstance(arguments[0], int):
            return
        path = os.fsdecode(arguments[0])
        if not path.endswith(CODE):
            raise PermissionError(errno.EPERM, "a policy reads no files when it is asked", path)
