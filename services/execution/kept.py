"""The state of a partition, with what stands and waits in it found without a search; pure.

The state holds all that the partition remembers. What is asked of it again and again, at every change of a
book, is indexed here as it changes, so that it costs what stands and not what is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from libs.common.answered import Memory
from services.execution.broker import self_impact
from services.execution.broker.order_index import OrderIndex
from services.execution.broker.own_order import OwnOrder, impact_key
from services.execution.limits.counters import Watch
from services.execution.saga.index import SagaIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libs.common.events import BookTop
    from libs.common.handling import State
    from services.execution.broker.self_impact import SelfImpact

HELD: Final = b"held/"  # what the keys of what is held begin with
CONTROL: Final = b"limits/control/"  # what the keys of controls that were done here begin with


@dataclass(frozen=True, slots=True)
class Looked:
    """A book as it was last looked at, and what was taken of it as it shows that."""

    top: BookTop
    base: SelfImpact  # what the state holds, from which this is followed
    impact: SelfImpact


class ExecutionState(Memory[Any]):
    """The state of one partition, with the indices of what stands in it."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = OrderIndex()
        self.sagas = SagaIndex()
        self.held: set[str] = set()  # symbols of which something was filled
        self.controls: dict[bytes, Any] = {}  # by the key of the topic
        self.watch = Watch()
        self.looked: dict[bytes, Looked] = {}  # by the keys of what was taken

    @property
    def kept_whole(self) -> int:
        """How many orders and executions are kept whole."""
        return self.orders.kept + self.sagas.kept

    def _set(self, key: bytes, value: Any) -> None:  # noqa: ANN401 -- whatever the state holds
        before = self.get(key)
        if isinstance(before, OwnOrder):
            self.orders.drop(key, before)
        if isinstance(value, OwnOrder):
            self.orders.add(key, value)
        if key.startswith(HELD):
            symbol = key.removeprefix(HELD).decode()
            self.held.discard(symbol) if value is None else self.held.add(symbol)
        if key.startswith(CONTROL):
            name = key.removeprefix(CONTROL)
            self.controls.pop(name, None) if value is None else self.controls.update({name: value})
        self.sagas.note(before, value)
        super()._set(key, value)


def kept_of(state: State[Any]) -> ExecutionState:
    """Return a state as one with indices.

    Raises
    ------
    TypeError
        If it has none.
    """
    if not isinstance(state, ExecutionState):
        raise TypeError(f"a {type(state).__name__} has no index: take an ExecutionState")
    return state


def open_orders(state: State[Any], symbol: str | None = None) -> Iterator[OwnOrder]:
    """Yield the open orders on their own, of a symbol or all."""
    of = kept_of(state).orders.open
    for orders in list(of.values()) if symbol is None else [of.get(symbol, {})]:
        yield from orders.values()


def impact_of(state: State[Any], top: BookTop) -> SelfImpact | None:
    """Return what our orders have taken of a book, as it shows now, given all that it was seen to show.

    What looks alone have changed of it is followed in memory, and is written with what is filled next.
    """
    key = impact_key(top.venue, top.symbol)
    base: SelfImpact | None = state.get(key)
    if base is None:
        return None
    looked = kept_of(state).looked
    last = looked.get(key)
    before = last.impact if last is not None and last.base is base else base
    if last is None or last.base is not base or last.top is not top:
        before = self_impact.seen(before, top)
        looked[key] = Looked(top, base, before)
    return before


def move_looked(
    state: State[Any], key: bytes, base: SelfImpact, move: Callable[[SelfImpact], SelfImpact]
) -> None:
    """Move what is followed of a book from `base` as the state's own was, when the clock was set."""
    looked = kept_of(state).looked
    if (last := looked.get(key)) is not None and last.base is base:
        looked[key] = Looked(last.top, state[key], move(last.impact))
