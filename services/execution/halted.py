"""What a halt ends at once: executions under way, and orders that rest or are on their way; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.events import OrdStatus
from libs.common.trading_limits import halt_of
from services.execution.kept import kept_of, open_orders
from services.execution.limits.gate import halted
from services.execution.saga import completion
from services.execution.saga.deciding import stop_asking
from services.execution.saga.phases import Choosing, Ended, Scoring, Working, child_key
from services.execution.timers import ChildArrives, OrderArrives, OrderChecked, SliceDue, StepTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import TradingHalted
    from libs.common.handling import State
    from services.execution.broker.own_order import OwnOrder
    from services.execution.market_data import MarketData
    from services.execution.saga.phases import Saga
    from services.execution.saga.unit_of_work import UnitOfWork
    from services.execution.timers import Timer


def halted_work(state: State[Any], market: MarketData) -> Iterator[Timer]:
    """Yield a pending tick of everything under way that a halt ends."""
    sagas = kept_of(state).sagas
    for of_symbol in list(sagas.running.values()):
        for saga in list(of_symbol.values()):
            if halt_on(saga, market) is not None:
                yield _pending(state, saga)
            elif isinstance(saga, Working):
                yield from _at_halted_venues(state, saga, market)
    for kept in open_orders(state):
        if order_halt(kept, market) is not None:
            order = kept.order
            arriving = order.ord_status is OrdStatus.PENDING_NEW
            yield OrderArrives(order.cl_ord_id) if arriving else OrderChecked(order.cl_ord_id)


def halt_on(saga: Saga, market: MarketData) -> TradingHalted | None:
    """Return the halt of all, its symbol or its policy that an execution under way is under, if any."""
    if isinstance(saga, Ended):
        return None
    policy_id = saga.policy.policy_id if isinstance(saga, Scoring) else None
    return halt_of(market.controls.halts, saga.symbol, policy_id=policy_id)


def order_halt(kept: OwnOrder, market: MarketData) -> TradingHalted | None:
    """Return the halt that an order on its own is under, if any."""
    return halt_of(market.controls.halts, kept.order.symbol, venue=kept.order.venue)


def end_halted(unit: UnitOfWork, halt: TradingHalted) -> None:
    """End an execution under way."""
    unit.audit("halted", halt=halt)
    stop_asking(unit)
    why = halted(halt)
    completion.cancel(unit, why, why)


def _pending(state: State[Any], saga: Choosing | Scoring | Working) -> Timer:
    """Return a tick that an execution under way has asked for."""
    if not isinstance(saga, Working):
        return StepTimeout(saga.execution_id, type(saga).__name__.lower())
    course = kept_of(state).sagas.courses[saga.execution_id]
    for leg in course.legs.values():
        if leg.child is not None:
            child = state[child_key(saga.execution_id, leg.child)]
            return ChildArrives(saga.execution_id, child.order.cl_ord_id)
        if leg.over is None:
            return SliceDue(saga.execution_id)
    raise AssertionError(f"{saga.execution_id} works, and no leg of it goes on")


def _at_halted_venues(state: State[Any], saga: Working, market: MarketData) -> Iterator[Timer]:
    """Yield the arrivals of children on their way to a venue that is halted: they are refused now."""
    for venue, leg in kept_of(state).sagas.courses[saga.execution_id].legs.items():
        if leg.child is not None and halt_of(market.controls.halts, saga.symbol, venue=venue) is not None:
            child = state[child_key(saga.execution_id, leg.child)]
            yield ChildArrives(saga.execution_id, child.order.cl_ord_id)
