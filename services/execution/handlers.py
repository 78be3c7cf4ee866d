"""The execution service's table of contents: a message in, events and wishes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from libs.common.events import (
    CancelExecution,
    CommandRejected,
    Event,
    ExecutionPlanned,
    OrdStatus,
    PlanAndExecute,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    SimulateExecution,
    SubmitPaperOrder,
    VenueScored,
    VerifyExecution,
)
from libs.common.handling import Tick, WakeAt
from services.execution import refusals
from services.execution.broker import paper_orders
from services.execution.decide.simulation import simulate
from services.execution.saga import deciding as router
from services.execution.saga import rewarding, working
from services.execution.saga.record import record_of
from services.execution.saga.remembered import done_already, forget, sweep
from services.execution.saga.state import Asked, Done, OwnOrder, Saga, asked_key, order_key, saga_key
from services.execution.saga.unit_of_work import Turn, step_id

if TYPE_CHECKING:
    from libs.common.handling import State
    from services.execution.market_data import MarketData
    from services.execution.refusals import Request

Answer: TypeAlias = PolicyChosen | PolicyRewarded | VenueScored | CommandRejected
Effects: TypeAlias = list[Event | WakeAt]


def handle(
    state: State[Any], message: Request | Answer | PoliciesChanged | Tick, now: int, market: MarketData
) -> Effects:
    """Return what follows from `message` at `now` (ns UTC), given what the views show."""
    match message:
        case PlanAndExecute():
            return _plan_and_execute(state, message, market, now)
        case SimulateExecution():
            return [*simulate(state, message, market, now)]
        case SubmitPaperOrder():
            return _submit_order(state, message, market, now)
        case CancelExecution():
            return _cancel(state, message, market, now)
        case VerifyExecution():
            return [_not_verified(message, now)]
        case PolicyChosen() | PolicyRewarded() | VenueScored() | CommandRejected():
            return _answer(state, message, market, now)
        case PoliciesChanged():
            return []  # stands on the topic of the router's answers, and answers nothing that was asked here
        case Tick():
            return _tick(state, message, market, now)
        case _ as unreachable:
            assert_never(unreachable)


def _plan_and_execute(state: State[Any], command: PlanAndExecute, market: MarketData, now: int) -> Effects:
    known = state.get(saga_key(command.command_id))
    if isinstance(known, Done):
        return [done_already(command, now)]
    if not isinstance(known, Saga):
        return router.begin(state, command, market, now)
    if not known.answered:
        return []  # its answer is on its way
    return [ExecutionPlanned(command_id=command.command_id, record=record_of(known, now), ts=now)]


def _submit_order(state: State[Any], command: SubmitPaperOrder, market: MarketData, now: int) -> Effects:
    known = state.get(order_key(command.command_id))
    if isinstance(known, Done):
        return [done_already(command, now)]
    if not isinstance(known, OwnOrder):
        return paper_orders.submit(state, command, market, now)
    if known.order.ord_status is OrdStatus.PENDING_NEW:
        return []  # its answer is on its way
    return [paper_orders.placed(known, command.command_id, now)]


def _cancel(state: State[Any], command: CancelExecution, market: MarketData, now: int) -> Effects:
    saga = state.get(saga_key(command.execution_id))
    if isinstance(saga, Saga):
        turn = Turn(state, saga, market, now)
        router.on_cancel(turn, command)
        return turn.finish()
    order = state.get(order_key(command.execution_id))
    if isinstance(order, OwnOrder):
        return paper_orders.cancel(state, order, command, market, now)
    detail = (
        f"No execution or order {command.execution_id} of {command.symbol} is known, or it ended long ago."
    )
    return [refusals.unknown(command, now, "execution_id", detail)]


def _not_verified(command: VerifyExecution, now: int) -> CommandRejected:
    detail = (
        "An audit is read from its log, not asked for: GET /api/audit of a gateway of this version, or"
        f" `bookrunner verify {command.execution_id}`."
    )
    return refusals.invalid(command, now, "entries", "are read from the log, not sent", detail)


def _answer(state: State[Any], answer: Answer, market: MarketData, now: int) -> Effects:
    asked = state.get(asked_key(answer.command_id))
    if not isinstance(asked, Asked):
        return []  # somebody else's, or no more awaited
    saga = state.get(saga_key(asked.execution_id))
    if not isinstance(saga, Saga):
        state.remove(asked_key(answer.command_id))
        return []  # it came after its execution was forgotten
    turn = Turn(state, saga, market, now)
    match answer:
        case PolicyChosen():
            router.on_chosen(turn, answer)
        case VenueScored():
            router.on_scored(turn, answer)
        case PolicyRewarded():
            router.on_rewarded(turn, answer)
        case CommandRejected():
            router.on_refused(turn, answer)
        case _ as unreachable:
            assert_never(unreachable)
    return turn.finish()


def _tick(state: State[Any], tick: Tick, market: MarketData, now: int) -> Effects:
    kind, identifier, purpose, *names = tick.key.decode().split("/")
    if purpose == "sweep":
        return [*sweep(state, now)]
    if purpose == "forget":
        key = order_key(identifier) if kind == "order" else saga_key(identifier)
        if kind != "order":
            state.remove(asked_key(step_id(identifier, rewarding.REWARD)))
        return [*forget(state, key, market.settings.part_of(market.settings.ids_most), now)]
    if kind == "order":
        return _order_tick(state, identifier, purpose, market, now)
    saga = state.get(saga_key(identifier))
    if not isinstance(saga, Saga):
        return []
    turn = Turn(state, saga, market, now)
    if purpose == "timeout":
        router.on_timeout(turn, names[0])
    elif purpose == "slice":
        working.on_slice(turn)
    elif purpose == "arrive":
        working.on_arrival(turn, names[0])
    else:
        rewarding.on_horizon(turn)
    return turn.finish()


def _order_tick(state: State[Any], identifier: str, purpose: str, market: MarketData, now: int) -> Effects:
    kept = state.get(order_key(identifier))
    if not isinstance(kept, OwnOrder):
        return []
    if purpose == "arrive":
        return paper_orders.on_arrival(state, kept, market, now)
    return paper_orders.on_check(state, kept, market, now)
