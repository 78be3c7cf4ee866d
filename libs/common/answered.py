"""The one memory of what was done under an id: it is answered again, not done again; pure.

What is remembered is a `Remembered` in the state, under a key made from its id, so that it is found without
a search. Among its like it is forgotten in the order of its number: beyond so many, or beyond an age, the
oldest first. A command costs the state's log one record, and one tombstone for what is forgotten. The order
is held here and found again from the records, whatever order the log has them in: a restart forgets as the
process before would have.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar

from msgspec.structs import replace

from libs.common.events import Event, Remembered
from libs.common.handling import State

S = TypeVar("S", bound=Event)


class Memory(State[S]):
    """The state of one partition, with the order of what is remembered in it."""

    def __init__(self) -> None:
        super().__init__()
        self.remembered = 0  # in all
        self._orders: dict[str, OrderedDict[bytes, Remembered]] = {}
        self._unsorted: set[str] = set()

    def order(self, among: str) -> OrderedDict[bytes, Remembered]:
        """Return what is remembered among its like, by key, oldest first."""
        order = self._orders.get(among, OrderedDict())
        if among in self._unsorted:
            self._unsorted.discard(among)
            order = OrderedDict(sorted(order.items(), key=lambda item: item[1].number))
            self._orders[among] = order
        return order

    def _set(self, key: bytes, value: S | None) -> None:
        before = self.get(key)
        if isinstance(before, Remembered) and before.among:
            self._leave(key, before, value)
        if isinstance(value, Remembered) and value.among:
            order = self._orders.setdefault(value.among, OrderedDict())
            if key not in order:
                if order and order[next(reversed(order))].number > value.number:
                    self._unsorted.add(value.among)
                self.remembered += 1
            order[key] = value
        super()._set(key, value)

    def _leave(self, key: bytes, before: Remembered, value: S | None) -> None:
        """Take a record out of its order, unless `value` has the same place."""
        if isinstance(value, Remembered) and (value.among, value.number) == (before.among, before.number):
            return
        self.remembered -= 1
        order = self._orders[before.among]
        del order[key]
        if not order:
            del self._orders[before.among]
            self._unsorted.discard(before.among)


def remember(state: State[Any], key: bytes, record: Remembered) -> None:
    """Keep `record` as the newest among its like."""
    order = memory_of(state).order(record.among)
    number = order[next(reversed(order))].number + 1 if order else 0
    state.put(key, replace(record, number=number))


def forget(
    state: State[Any],
    among: str,
    *,
    most: int | None = None,
    oldest_ts: int | None = None,
    at_once: int | None = None,
) -> None:
    """Forget the oldest: all but the newest `most`, and all from before `oldest_ts`; `at_once` at most."""
    order = memory_of(state).order(among)
    for _ in range(len(order) if at_once is None else min(at_once, len(order))):
        key = next(iter(order))
        too_old = oldest_ts is not None and order[key].ts < oldest_ts
        if not too_old and (most is None or len(order) <= most):
            return
        state.remove(key)


def memory_of(state: State[Any]) -> Memory[Any]:
    """Return a state as what it is.

    Raises
    ------
    TypeError
        If it holds no order of what is remembered.
    """
    if not isinstance(state, Memory):
        raise TypeError(f"a {type(state).__name__} remembers in no order: take a Memory")
    return state
