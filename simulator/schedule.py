"""`Schedule`: what is due when, so that who has nothing to do costs nothing."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

Key = TypeVar("Key", bound="Hashable")

NEVER: Final = 2**63 - 1  # ns; where nothing is due


class Schedule(Generic[Key]):
    """Keys with the earliest time that was given for each, ns."""

    def __init__(self) -> None:
        self._due: dict[Key, int] = {}
        self._heap: list[tuple[int, int, Key]] = []  # with times that an earlier one has replaced
        self._added = 0  # so that keys are never compared

    def add(self, key: Key, at_ns: int) -> None:
        """Let a key be due at a time, if it is not before."""
        if key in self._due and self._due[key] <= at_ns:
            return
        self._due[key] = at_ns
        self._added += 1
        heappush(self._heap, (at_ns, self._added, key))

    @property
    def due_ns(self) -> int:
        """When the first is due; `NEVER` while none is."""
        heap, due = self._heap, self._due
        while heap and due.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def take(self, now_ns: int) -> list[Key]:
        """Remove and return what is due, the earliest first, of one time what was added first."""
        heap, due, taken = self._heap, self._due, list[Key]()
        while heap and heap[0][0] <= now_ns:
            at_ns, _, key = heappop(heap)
            if due.get(key) == at_ns:
                del due[key]
                taken.append(key)
        return taken
