"""The execution service's shell: its wiring, for the exactly-once processor."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import (
    AuditEntry,
    ChoosePolicy,
    CommandRejected,
    ExecutionCanceled,
    ExecutionPlanned,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionSimulated,
    LimitsSet,
    LimitsUsed,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PaperOrderPlaced,
    RewardPolicy,
    ScoreVenues,
    SizingSnapshot,
    TradingControlled,
    TradingHalted,
    TradingResumed,
)
from libs.common.handling import Output, Wiring
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_COMMANDS,
    EXECUTION_CONTROLS,
    EXECUTION_FILLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    EXECUTION_SIZINGS,
    EXECUTION_STATE,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    VENUES_SCORES,
    limits_key,
    limits_used_key,
    progress_key,
)
from services.execution.broker.holdings import Held
from services.execution.broker.own_order import OwnOrder
from services.execution.broker.self_impact import SelfImpact
from services.execution.clock_steps import step_clock
from services.execution.decide.cost_history import CostCurve, CostSeen
from services.execution.decide.volume_days import VolumeDays
from services.execution.early import early
from services.execution.handlers import handle
from services.execution.kept import ExecutionState
from services.execution.limits.controlling import ControlDone, ControlKept
from services.execution.limits.counters import LimitCounts, LimitSymbols
from services.execution.limits.watch import LimitWatch
from services.execution.market_data import MarketData
from services.execution.progress import ProgressEnded
from services.execution.registration import announcements, limits_announced
from services.execution.saga.forgetting import Done
from services.execution.saga.older import OlderSaga, migrate
from services.execution.saga.phases import SAGA, Asked, Child, Course, DecisionWindow

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.handling import State, WakeAt
    from services.execution.settings import ExecutionSettings

SERVICE: Final = "execution"
STATE: Final = (
    *SAGA,
    OlderSaga,
    Course,
    Child,
    DecisionWindow,
    Asked,
    OwnOrder,
    Done,
    SelfImpact,
    CostCurve,
    CostSeen,
    Held,
    VolumeDays,
    LimitCounts,
    LimitSymbols,
    LimitWatch,
    ControlKept,
    ControlDone,
)


def wiring(settings: ExecutionSettings, service: str = SERVICE) -> Wiring[Any]:
    """Return the whole service; `service` names its group and transactions."""
    market = MarketData(settings)

    def handle_with_views(state: State[Any], message: Any, now: int) -> list[Event | WakeAt]:  # noqa: ANN401 -- the processor decodes only what the inputs' topics name
        return handle(state, message, now, market)

    answer = partial(Output, EXECUTION_PLANS, answers=True)
    control = partial(Output, EXECUTION_CONTROLS)
    order = Output(EXECUTION_ORDERS, lambda event: event.order.symbol.encode())
    by_symbol = _symbol
    return Wiring(
        service=service,
        inputs=(EXECUTION_COMMANDS, VENUES_SCORES, ROUTER_CHOICES),
        state=replace(EXECUTION_STATE, events=STATE),
        outputs={
            ChoosePolicy: Output(ROUTER_COMMANDS, lambda command: command.scope.encode()),
            RewardPolicy: Output(ROUTER_COMMANDS, lambda command: command.scope.encode()),
            ScoreVenues: Output(VENUES_COMMANDS, by_symbol),
            ExecutionPlanned: answer(lambda event: event.record.symbol.encode()),
            ExecutionCanceled: answer(lambda event: event.record.symbol.encode()),
            ExecutionSimulated: answer(by_symbol),
            PaperOrderPlaced: answer(lambda event: event.order.symbol.encode()),
            TradingControlled: answer(lambda event: event.scope.encode()),
            TradingHalted: control(lambda event: event.scope.encode()),
            TradingResumed: control(lambda event: event.scope.encode()),
            LimitsSet: control(lambda event: limits_key(event.scope)),
            LimitsUsed: control(lambda event: limits_used_key(event.symbol)),
            CommandRejected: answer(lambda event: event.key.encode()),
            OrderSubmitted: order,
            OrderAccepted: order,
            OrderRejected: order,
            OrderCanceled: order,
            OrderFilled: Output(EXECUTION_FILLS, by_symbol),
            ExecutionRecord: Output(EXECUTION_RECORDS, _execution),
            ExecutionProgress: Output(EXECUTION_RECORDS, _progress),
            ProgressEnded: Output(EXECUTION_RECORDS, _progress, tombstone=True),
            SizingSnapshot: Output(EXECUTION_SIZINGS, by_symbol),
            AuditEntry: Output(EXECUTION_AUDIT, _execution),
        },
        handle=handle_with_views,
        views=market.views,
        step_clock=step_clock,
        new_state=ExecutionState,
        migrate=migrate,
        early=partial(early, market=market),
        announce=lambda: [
            *announcements(market.policies.items),
            *limits_announced(market.controls.items, settings.limits()),
        ],
    )


def _symbol(event: Any) -> bytes:  # noqa: ANN401 -- any event with a symbol
    symbol: str = event.symbol
    return symbol.encode()


def _execution(event: Any) -> bytes:  # noqa: ANN401 -- any event of an execution
    execution_id: str = event.execution_id
    return execution_id.encode()


def _progress(event: ExecutionProgress | ProgressEnded) -> bytes:
    return progress_key(event.execution_id, event.n)
