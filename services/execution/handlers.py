"""The execution service's table of contents: a message in, events and wishes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from libs.common.events import (
    CancelExecution,
    CommandRejected,
    Event,
    ExecutionPlanned,
    FeaturesDeclared,
    HaltTrading,
    OrdStatus,
    PlanAndExecute,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    ResumeTrading,
    SetLimits,
    SimulateExecution,
    SubmitPaperOrder,
    VenueScored,
    VerifyExecution,
)
from libs.common.handling import Tick, WakeAt
from services.execution import refusals
from services.execution.broker import paper_orders
from services.execution.broker.own_order import OwnOrder, order_key
from services.execution.decide.simulation import simulate
from services.execution.halted import end_halted, halt_on, order_halt
from services.execution.limits.controlling import control
from services.execution.limits.gate import halted
from services.execution.limits.watch import ensure_watch, on_watch
from services.execution.saga import deciding, rewarding, working
from services.execution.saga.forgetting import Done, done_already, forget, forget_execution, sweep
from services.execution.saga.phases import Asked, Ended, Working, asked_key, saga_key
from services.execution.saga.unit_of_work import step_id, unit_of
from services.execution.timers import (
    ChildArrives,
    Forget,
    LimitsWatched,
    OrderArrives,
    OrderChecked,
    RewardDue,
    SliceDue,
    StepTimeout,
    Sweep,
    timer_of,
)

if TYPE_CHECKING:
    from libs.common.handling import State
    from services.execution.market_data import MarketData
    from services.execution.refusals import Request

Answer: TypeAlias = PolicyChosen | PolicyRewarded | VenueScored | CommandRejected
OfOthers: TypeAlias = PoliciesChanged | FeaturesDeclared
Control: TypeAlias = HaltTrading | ResumeTrading | SetLimits
SagaTimer: TypeAlias = StepTimeout | SliceDue | ChildArrives | RewardDue
Effects: TypeAlias = list[Event | WakeAt]


def handle(
    state: State[Any],
    message: Request | Control | Answer | OfOthers | Tick,
    now: int,
    market: MarketData,
) -> Effects:
    """Return what follows from `message` at `now` (ns UTC), given what the views show."""
    effects = _handle(state, message, now, market)
    return [*effects, *ensure_watch(state, now)] if len(state) else effects


def _handle(
    state: State[Any],
    message: Request | Control | Answer | OfOthers | Tick,
    now: int,
    market: MarketData,
) -> Effects:
    match message:
        case HaltTrading() | ResumeTrading() | SetLimits():
            return [*control(state, message, market, now)]
        case PolicyChosen() | PolicyRewarded() | VenueScored() | CommandRejected():
            return _answer(state, message, market, now)
        case PoliciesChanged() | FeaturesDeclared():
            return []  # stands on the topic of the router's answers, and answers nothing that was asked here
        case Tick():
            return _tick(state, message, market, now)
        case _:
            return _request(state, message, market, now)


def _request(state: State[Any], command: Request, market: MarketData, now: int) -> Effects:
    match command:
        case PlanAndExecute():
            return _plan_and_execute(state, command, market, now)
        case SimulateExecution():
            return [*simulate(state, command, market, now)]
        case SubmitPaperOrder():
            return _submit_order(state, command, market, now)
        case CancelExecution():
            return _cancel(state, command, market, now)
        case VerifyExecution():
            return [_not_verified(command, now)]
        case _ as unreachable:
            assert_never(unreachable)


def _plan_and_execute(state: State[Any], command: PlanAndExecute, market: MarketData, now: int) -> Effects:
    known = state.get(saga_key(command.command_id))
    if isinstance(known, Done):
        return [done_already(command, now)]
    unit = unit_of(state, command.command_id, market, now)
    if unit is None:
        return deciding.begin(state, command, market, now)
    if not isinstance(unit.saga, Working | Ended):
        return []  # its answer is on its way
    return [ExecutionPlanned(command_id=command.command_id, record=unit.record(), ts=now)]


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
    unit = unit_of(state, command.execution_id, market, now)
    if unit is not None:
        deciding.on_cancel(unit, command)
        return unit.finish()
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
    unit = unit_of(state, asked.execution_id, market, now)
    if unit is None:
        state.remove(asked_key(answer.command_id))
        return []  # it came after its execution was forgotten
    halt = halt_on(unit.saga, market)
    match answer:
        case _ if halt is not None:
            end_halted(unit, halt)
        case PolicyChosen():
            deciding.on_chosen(unit, answer)
        case VenueScored():
            deciding.on_scored(unit, answer)
        case PolicyRewarded():
            deciding.on_rewarded(unit, answer)
        case CommandRejected():
            deciding.on_refused(unit, answer)
        case _ as unreachable:
            assert_never(unreachable)
    return unit.finish()


def _tick(state: State[Any], tick: Tick, market: MarketData, now: int) -> Effects:
    timer = timer_of(tick.key)
    match timer:
        case StepTimeout() | SliceDue() | ChildArrives() | RewardDue():
            return _saga_tick(state, timer, market, now)
        case OrderArrives(cl_ord_id) | OrderChecked(cl_ord_id):
            return _order_tick(state, cl_ord_id, market, now)
        case Forget("saga", identifier):
            state.remove(asked_key(step_id(identifier, rewarding.REWARD)))
            forget_execution(state, identifier)
            return [*forget(state, saga_key(identifier), _ids_most(market), now)]
        case Forget(_, identifier):
            return [*forget(state, order_key(identifier), _ids_most(market), now)]
        case Sweep():
            return [*sweep(state, now)]
        case LimitsWatched():
            return on_watch(state, market, now)
        case _ as unreachable:
            assert_never(unreachable)


def _saga_tick(state: State[Any], timer: SagaTimer, market: MarketData, now: int) -> Effects:
    unit = unit_of(state, timer.execution_id, market, now)
    if unit is None:
        return []
    halt = halt_on(unit.saga, market)
    match timer:
        case RewardDue():
            rewarding.on_horizon(unit)
        case _ if halt is not None:
            end_halted(unit, halt)
        case StepTimeout(_, step):
            deciding.on_timeout(unit, step)
        case SliceDue():
            working.on_slice(unit)
        case ChildArrives(_, cl_ord_id):
            working.on_arrival(unit, cl_ord_id)
        case _ as unreachable:
            assert_never(unreachable)
    return unit.finish()


def _order_tick(state: State[Any], cl_ord_id: str, market: MarketData, now: int) -> Effects:
    kept = state.get(order_key(cl_ord_id))
    if not isinstance(kept, OwnOrder) or not kept.order.ord_status.open:
        return []
    halt = order_halt(kept, market)
    if halt is not None:
        return paper_orders.withdraw(state, kept, halted(halt), market, now)
    if kept.order.ord_status is OrdStatus.PENDING_NEW:
        return paper_orders.on_arrival(state, kept, market, now)
    return paper_orders.on_check(state, kept, market, now)


def _ids_most(market: MarketData) -> int:
    return market.settings.part_of(market.settings.ids_most)
