"""What stands and waits in the state, found without a search: open orders, executions under way; pure.

The state holds all that the partition remembers. What is asked of it again and again, at every change of a
book, is indexed here as it changes, so that it costs what stands and not what is remembered.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from libs.common.answered import Memory
from libs.common.events import OrdStatus
from services.execution.broker import paper_broker
from services.execution.saga.state import OwnOrder, Saga, impact_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from libs.common.events import BookTop, PaperOrder, TakerSide
    from libs.common.handling import State
    from services.execution.broker.paper_broker import SelfImpact

HELD: Final = b"held/"  # what the keys of what is held begin with
RESTS: Final = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)

Place: TypeAlias = "tuple[Decimal, int, str, bytes]"
"""An order in the queue of its side: price, best first; when it arrived; its id; its key in the state."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A book as it was last looked at, and what was taken of it as it shows that."""

    top: BookTop
    base: SelfImpact  # what the state holds, from which this is followed
    impact: SelfImpact


class Standing:
    """The index; changes in place as the state does."""

    def __init__(self) -> None:
        self.resting: dict[tuple[str, str], dict[TakerSide, list[Place]]] = {}  # by venue and symbol
        self.open: defaultdict[str, dict[bytes, OwnOrder]] = defaultdict(dict)  # by symbol
        self.running: defaultdict[str, dict[bytes, Saga]] = defaultdict(dict)  # by symbol
        self.waiting: dict[bytes, Saga] = {}  # whose next child waits for a book
        self.closing: list[tuple[int, bytes]] = []  # open windows: when they end at the latest, next first
        self.deciding: dict[str, Saga] = {}  # whose window is open, by symbol: that of the newest decision
        self.held: set[str] = set()  # symbols
        self.remembered = 0  # orders and executions that are kept whole

    @property
    def orders(self) -> int:
        """How many orders on their own are open."""
        return sum(map(len, self.open.values()))

    @property
    def executions(self) -> int:
        """How many executions are under way."""
        return sum(map(len, self.running.values()))

    def note(self, key: bytes, before: object, after: object) -> None:
        """Note that `key` holds something else; None is nothing."""
        if isinstance(before, OwnOrder | Saga):
            self._drop(key, before)
        if isinstance(after, OwnOrder | Saga):
            self._add(key, after)
        if key.startswith(HELD):
            symbol = key.removeprefix(HELD).decode()
            self.held.discard(symbol) if after is None else self.held.add(symbol)

    def _add(self, key: bytes, kept: OwnOrder | Saga) -> None:
        self.remembered += 1
        if isinstance(kept, Saga):
            if not kept.ended:
                self.running[kept.symbol][key] = kept
            if kept.window_open:
                self.deciding[kept.symbol] = kept
                insort(self.closing, (kept.horizon_ts, key))
            if kept.child_waits:
                self.waiting[key] = kept
            return
        order = kept.order
        if order.ord_status.open:
            self.open[order.symbol][key] = kept
        if order.ord_status in RESTS:
            sides = self.resting.setdefault((order.venue, order.symbol), {"buy": [], "sell": []})
            insort(sides[order.side], _place(key, order))

    def _drop(self, key: bytes, kept: OwnOrder | Saga) -> None:
        self.remembered -= 1
        self.waiting.pop(key, None)
        if isinstance(kept, Saga):
            _out(self.running, kept.symbol, key)
            if kept.window_open:
                del self.closing[bisect_left(self.closing, (kept.horizon_ts, key))]
            if self.deciding.get(kept.symbol) is kept:
                del self.deciding[kept.symbol]
            return
        order = kept.order
        _out(self.open, order.symbol, key)
        if order.ord_status in RESTS:
            book = (order.venue, order.symbol)
            queue, place = self.resting[book][order.side], _place(key, order)
            del queue[bisect_left(queue, place)]
            if not any(self.resting[book].values()):
                del self.resting[book]


class ExecutionState(Memory[Any]):
    """The state of one partition, with the index of what stands in it."""

    def __init__(self) -> None:
        super().__init__()
        self.standing = Standing()
        self.looked: dict[bytes, Looked] = {}  # by the keys of what was taken

    def _set(self, key: bytes, value: Any) -> None:  # noqa: ANN401 -- whatever the state holds
        self.standing.note(key, self.get(key), value)
        super()._set(key, value)


def standing_of(state: State[Any]) -> Standing:
    """Return the index of a state.

    Raises
    ------
    TypeError
        If it has none.
    """
    return _indexed(state).standing


def open_orders(state: State[Any], symbol: str | None = None) -> Iterator[OwnOrder]:
    """Yield the open orders on their own, of a symbol or all."""
    of = standing_of(state).open
    for orders in list(of.values()) if symbol is None else [of.get(symbol, {})]:
        yield from orders.values()


def running(state: State[Any], symbol: str | None = None) -> Iterator[Saga]:
    """Yield the executions under way, of a symbol or all."""
    of = standing_of(state).running
    for sagas in list(of.values()) if symbol is None else [of.get(symbol, {})]:
        yield from sagas.values()


def impact_of(state: State[Any], top: BookTop) -> SelfImpact | None:
    """Return what our orders have taken of a book, as it shows now, given all that it was seen to show.

    What looks alone have changed of it is followed in memory, and is written with what is filled next.
    """
    key = impact_key(top.venue, top.symbol)
    base: SelfImpact | None = state.get(key)
    if base is None:
        return None
    looked = _indexed(state).looked
    last = looked.get(key)
    before = last.impact if last is not None and last.base is base else base
    if last is None or last.base is not base or last.top is not top:
        before = paper_broker.seen(before, top)
        looked[key] = Looked(top, base, before)
    return before


def move_looked(
    state: State[Any], key: bytes, base: SelfImpact, move: Callable[[SelfImpact], SelfImpact]
) -> None:
    """Move what is followed of a book from `base` as the state's own was, when the clock was set."""
    looked = _indexed(state).looked
    if (last := looked.get(key)) is not None and last.base is base:
        looked[key] = Looked(last.top, state[key], move(last.impact))


def _indexed(state: State[Any]) -> ExecutionState:
    if not isinstance(state, ExecutionState):
        raise TypeError(f"a {type(state).__name__} has no index: take an ExecutionState")
    return state


def _place(key: bytes, order: PaperOrder) -> Place:
    assert order.price is not None  # noqa: S101 -- only a limit order rests
    price = -order.price if order.side == "buy" else order.price
    return price, order.arrives_ts, order.cl_ord_id, key


def _out(of: defaultdict[str, dict[bytes, Any]], symbol: str, key: bytes) -> None:
    of[symbol].pop(key, None)
    if not of[symbol]:
        del of[symbol]
