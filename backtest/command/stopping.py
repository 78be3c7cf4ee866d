"""Ctrl-C: the first ends a run at its next slice, with what there is until then; the second at once."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


STOPS: Final = (signal.SIGINT, signal.SIGTERM)


class Flag(Protocol):
    """Whether to end; one of `threading` or `multiprocessing`."""

    def is_set(self) -> bool:
        """Whether it was set."""

    def set(self) -> None:
        """Set it."""


@contextmanager
def stopping(flag: Flag) -> Iterator[None]:
    """Set the flag at the first SIGINT or SIGTERM; a second one ends what runs here at once."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- as `signal` calls it
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()
        sys.stderr.write("\nending with what there is; once more ends at once\n")

    before = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
