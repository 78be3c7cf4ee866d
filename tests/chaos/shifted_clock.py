"""``python -m tests.chaos.shifted_clock MODULE``: a service on a wall clock that the run sets.

The clock is the machine's and an offset that stands in a file of eight bytes, which all processes of a run
map, so that all jump at once. Only the wall clock moves: the monotonic one is a machine's, too.
"""

from __future__ import annotations

import mmap
import os
import runpy
import struct
import sys
import time
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "CHAOS_CLOCK"  # names the file in the environment
_OFFSET: Final = struct.Struct("<q")  # ns


class ShiftedClock:
    """The clock of a run's services, as the run sets and reads it."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(_OFFSET.pack(0))
        self.environment = {FILE: str(path)}
        self.offset_s = 0.0
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), _OFFSET.size)

    def jump(self, by_s: float) -> None:
        """Set it, for all at once."""
        self.offset_s += by_s
        self._map[:] = _OFFSET.pack(round(self.offset_s * NS_PER_S))

    def now(self) -> int:
        """Return what it shows, ns UTC."""
        return time.time_ns() + round(self.offset_s * NS_PER_S)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        self._file.close()


def shift(path: str) -> None:
    """Let this process read its wall clock with the offset in the file."""
    with open(path, "rb") as file:  # noqa: PTH123 -- its descriptor is what is mapped
        offset = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    read, true_ns = _OFFSET.unpack_from, time.time_ns

    def time_ns() -> int:
        return true_ns() + int(read(offset)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / NS_PER_S


if __name__ == "__main__":
    shift(os.environ[FILE])
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
