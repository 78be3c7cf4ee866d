"""The ticks that one partition of a service waits for, by their times and by what they are for; pure."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from libs.common.handling import RESERVED, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable

TICK: Final = RESERVED + b"tick/"  # what the keys of ticks in the state's log begin with


class Ticks:
    """Pending ticks by their keys in the state's log; changes in place."""

    def __init__(self) -> None:
        self._ticks: dict[bytes, Tick] = {}
        self._queue: list[tuple[int, bytes]] = []
        self._named: dict[bytes, dict[bytes, None]] = {}  # the keys, oldest first, of what a handler named

    def __contains__(self, key: bytes) -> bool:
        return key in self._ticks

    def add(self, key: bytes, tick: Tick) -> None:
        """Wait for a tick; one that stood under its key is replaced."""
        self._ticks[key] = tick
        heappush(self._queue, (tick.due_ts, key))
        self._named.setdefault(tick.key, {})[key] = None

    def pop(self, key: bytes) -> Tick | None:
        """Wait for a tick no longer; return it, None where there was none."""
        tick = self._ticks.pop(key, None)
        if tick is not None:
            named = self._named[tick.key]
            named.pop(key, None)
            if not named:
                del self._named[tick.key]
        return tick

    def pop_all(self) -> dict[bytes, Tick]:
        """Wait for none any more; return all."""
        ticks, self._ticks = self._ticks, {}
        self._queue.clear()
        self._named.clear()
        return ticks

    @property
    def first(self) -> bytes | None:
        """The key of the one that is due first."""
        while self._queue and self._queue[0][1] not in self._ticks:
            heappop(self._queue)
        return self._queue[0][1] if self._queue else None

    @property
    def next_due(self) -> int | None:
        """When the first is due, ns UTC."""
        first = self.first
        return None if first is None else self._ticks[first].due_ts

    def one_of(self, names: Iterable[bytes]) -> bytes | None:
        """Return the key of a tick that a handler asked for under the first of these names that has one."""
        return next((key for name in names for key in self._named.get(name, ())), None)


def tick_key(due_ts: int, name: bytes) -> bytes:
    """Return the key in the state's log of a tick that a handler asked for under `name`."""
    return TICK + b"%d/" % due_ts + name
