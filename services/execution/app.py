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
    ExecutionRecord,
    ExecutionSimulated,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PaperOrderPlaced,
    RewardPolicy,
    ScoreVenues,
    SizingSnapshot,
)
from libs.common.handling import Output, Wiring
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    EXECUTION_SIZINGS,
    EXECUTION_STATE,
    POLICIES_REGISTRY,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    VENUES_SCORES,
)
from libs.common.views import View
from services.execution.broker.holdings import Held
from services.execution.broker.paper_broker import SelfImpact
from services.execution.decide.volume_days import VolumeDays
from services.execution.handlers import handle
from services.execution.market_data import MarketData
from services.execution.registration import announcements
from services.execution.saga.clock_steps import step_clock
from services.execution.saga.early import early
from services.execution.saga.standing import ExecutionState
from services.execution.saga.state import Asked, CostCurve, Done, OwnOrder, Saga

if TYPE_CHECKING:
    from libs.common.events import Event, PolicyRegistered
    from libs.common.handling import State, WakeAt
    from services.execution.settings import ExecutionSettings

SERVICE: Final = "execution"
STATE: Final = (Saga, Asked, OwnOrder, Done, SelfImpact, CostCurve, Held, VolumeDays)


def wiring(settings: ExecutionSettings, service: str = SERVICE) -> Wiring[Any]:
    """Return the whole service; `service` names its group and transactions."""
    market = MarketData(settings)
    registry: View[PolicyRegistered] = View(POLICIES_REGISTRY)

    def handle_with_views(state: State[Any], message: Any, now: int) -> list[Event | WakeAt]:  # noqa: ANN401 -- the processor decodes only what the inputs' topics name
        return handle(state, message, now, market)

    answer = partial(Output, EXECUTION_PLANS, answers=True)
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
            CommandRejected: answer(lambda event: event.key.encode()),
            OrderSubmitted: order,
            OrderAccepted: order,
            OrderRejected: order,
            OrderCanceled: order,
            OrderFilled: Output(EXECUTION_FILLS, by_symbol),
            ExecutionRecord: Output(EXECUTION_RECORDS, _execution),
            SizingSnapshot: Output(EXECUTION_SIZINGS, by_symbol),
            AuditEntry: Output(EXECUTION_AUDIT, _execution),
        },
        handle=handle_with_views,
        views=(*market.views, registry),
        step_clock=step_clock,
        new_state=ExecutionState,
        early=partial(early, market=market),
        announce=lambda: announcements(registry.items),
    )


def _symbol(event: Any) -> bytes:  # noqa: ANN401 -- any event with a symbol
    symbol: str = event.symbol
    return symbol.encode()


def _execution(event: Any) -> bytes:  # noqa: ANN401 -- any event of an execution
    execution_id: str = event.execution_id
    return execution_id.encode()
