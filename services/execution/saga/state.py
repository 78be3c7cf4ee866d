"""The state of one execution, and the state's other records: private to the service."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.audit_chain import GENESIS
from libs.common.events import (
    Event,
    ExecutionStatus,
    PaperOrder,
    PolicyChosen,
    PolicySignal,
    RecordFill,
    Remembered,
    RewardOutcome,
    SizingSnapshot,
)
from libs.common.instruments import instrument_of
from libs.common.time_units import MINUTE_NS
from libs.common.venues.venue import Instrument  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.decide.calibration import (
    CostHistory,  # noqa: TC001 -- msgspec resolves annotations at run time
)
from services.execution.decide.cost import CostFit  # noqa: TC001 -- as above
from services.execution.decide.planner import Plan  # noqa: TC001 -- as above
from services.execution.decide.shortfall import Shortfall  # noqa: TC001 -- as above
from services.execution.decide.slicing import Slice  # noqa: TC001 -- as above
from services.execution.saga.parent_order import Parent  # noqa: TC001 -- as above
from services.execution.saga.windows import Window  # noqa: TC001 -- as above

if TYPE_CHECKING:
    from collections.abc import Mapping

IDS: Final = "ids"  # among what the ids of executions and orders are remembered


class Step(StrEnum):
    """Where an execution stands."""

    CHOOSING = "choosing"  # the router was asked for a policy
    SCORING = "scoring"  # the venues were asked for one
    WORKING = "working"  # the plan is made
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"
    SKIPPED = "skipped"


class Trigger(StrEnum):
    """What moves an execution on."""

    SIZED = "sized"
    NOTHING_TO_DO = "nothing_to_do"
    PLANNED = "planned"
    FILLED = "filled"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"


TRANSITIONS: Final[Mapping[tuple[Step, Trigger], Step]] = {
    (Step.CHOOSING, Trigger.SIZED): Step.SCORING,
    (Step.CHOOSING, Trigger.NOTHING_TO_DO): Step.SKIPPED,
    (Step.CHOOSING, Trigger.REFUSED): Step.FAILED,
    (Step.CHOOSING, Trigger.TIMED_OUT): Step.FAILED,
    (Step.CHOOSING, Trigger.CANCELED): Step.CANCELED,
    (Step.SCORING, Trigger.PLANNED): Step.WORKING,
    (Step.SCORING, Trigger.NOTHING_TO_DO): Step.SKIPPED,
    (Step.SCORING, Trigger.REFUSED): Step.FAILED,
    (Step.SCORING, Trigger.TIMED_OUT): Step.FAILED,
    (Step.SCORING, Trigger.CANCELED): Step.CANCELED,
    (Step.WORKING, Trigger.FILLED): Step.COMPLETED,
    (Step.WORKING, Trigger.TIMED_OUT): Step.FAILED,
    (Step.WORKING, Trigger.CANCELED): Step.CANCELED,
}

STATUS: Final[Mapping[Step, ExecutionStatus]] = {
    Step.CHOOSING: ExecutionStatus.PLANNING,
    Step.SCORING: ExecutionStatus.PLANNING,
    Step.WORKING: ExecutionStatus.WORKING,
    Step.COMPLETED: ExecutionStatus.COMPLETED,
    Step.CANCELED: ExecutionStatus.CANCELED,
    Step.FAILED: ExecutionStatus.FAILED,
    Step.SKIPPED: ExecutionStatus.SKIPPED,
}


class ChildTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a child was submitted on; what its fills are compared with."""

    depth: float  # D, base units
    spread_bps: float
    predicted_bps: float  # beyond half the spread


class Saga(Event, frozen=True, kw_only=True):
    """One execution."""

    execution_id: str
    symbol: str
    urgency: float
    scope: str
    context: dict[str, float | str]
    decision_id: str
    step: Step = Step.CHOOSING
    reason: str = ""
    waiting: str = ""
    answered: bool = False  # PlanAndExecute was answered
    mids: dict[str, float]  # by venue, at the decision
    policy: PolicyChosen | None = None
    signal: PolicySignal | None = None
    sizing: SizingSnapshot | None = None
    venue: str | None = None
    instrument: Instrument | None = None  # what it was planned to; None: not planned, or to the table's
    venue_score: float | None = None
    venue_reasons: tuple[str, ...] = ()
    plan: Plan | None = None
    plan_mid: float | None = None
    plan_epoch: int = 0
    plan_seq: int = 0
    planned_ts: int = 0  # moves with the clock
    planned_venue_ts: int | None = None  # the same by the venue's clock, which nobody here sets; None: untold
    slices: tuple[Slice, ...] = ()  # still to be sent
    parent: Parent | None = None
    orders: tuple[PaperOrder, ...] = ()
    terms: dict[str, ChildTerms] = msgspec.field(default_factory=dict)  # by cl_ord_id, of open children
    fills: tuple[RecordFill, ...] = ()  # the newest, to be told; what they sum to is in `orders`
    volume_seen: float = 0.0  # POV: of the minutes since the plan, when the last child was sent
    arrival_px: Decimal | None = None  # mid at the first child
    last_px: Decimal | None = None  # mid of the last book used
    shortfall: Shortfall | None = None
    window: Window | None = None  # of its decision; None: no policy was chosen, or by an older version
    cost: Decimal = Decimal(0)  # of its fills against the reference mid, fees included, quote units
    reward: RewardOutcome | None = None
    audit_entries: int = 0
    audit_head: str = GENESIS
    created_ts: int
    stepped_ns: int = 0  # by how much the clock was set since
    planned_stepped_ns: int = 0  # of that, before the plan
    horizon_ts: int = 0  # when the window is closed at the latest; moves with the clock

    @property
    def planned_to(self) -> Instrument:
        """What the plan and its orders were made to, whatever the venue demands since."""
        assert self.venue is not None  # noqa: S101 -- of one that is planned
        return self.instrument or instrument_of(self.venue, self.symbol)

    @property
    def volume_from_ts(self) -> int:
        """From when the venue's minutes count for POV, ns: those of the plan and of the minute before it."""
        planned_ts = self.planned_ts if self.planned_venue_ts is None else self.planned_venue_ts
        return planned_ts - MINUTE_NS

    def elapsed_ns(self, now: int) -> int:
        """Return how long it has taken at `now` (ns), however the clock was set meanwhile."""
        return now - self.created_ts - self.stepped_ns

    @property
    def ended(self) -> bool:
        """Nothing more is sent to a venue."""
        return STATUS[self.step].final

    @property
    def window_open(self) -> bool:
        """What is held of the symbol earns for its decision."""
        return self.window is not None and self.window.end is None

    @property
    def child_waits(self) -> bool:
        """The next child waits for a book."""
        return self.step is Step.WORKING and self.waiting != ""

    @property
    def open_orders(self) -> tuple[PaperOrder, ...]:
        """Children at the venue, or on their way."""
        return tuple(order for order in self.orders if order.ord_status.open)


class Asked(Event, frozen=True, kw_only=True):
    """A command that waits for its answer; under the key of its id."""

    execution_id: str


class OwnOrder(Event, frozen=True, kw_only=True):
    """A paper order that belongs to no execution."""

    order: PaperOrder
    fills: tuple[RecordFill, ...] = ()  # the newest, to be told; what all sum to is in `order`
    reserved: Decimal = Decimal(0)  # of a buy: the cash it was accepted at, quote units
    instrument: Instrument | None = None  # what it was made to; None: to the table's

    @property
    def made_to(self) -> Instrument:
        """What the order was made to, whatever the venue demands since."""
        return self.instrument or instrument_of(self.order.venue, self.order.symbol)


class Done(Remembered, frozen=True, kw_only=True):
    """Stands for an execution or an order; its record, fills and audit stay on their topics."""

    among: str = IDS
    ts: int = msgspec.field(name="forgotten_ts")


class CostCurve(Event, frozen=True, kw_only=True):
    """What the fills at one venue and symbol have taught about costs."""

    history: CostHistory
    fit: CostFit


def saga_key(execution_id: str) -> bytes:
    """Return the state's key of an execution."""
    return b"saga/" + execution_id.encode()


def asked_key(command_id: str) -> bytes:
    """Return the state's key of a command on its way."""
    return b"asked/" + command_id.encode()


def order_key(cl_ord_id: str) -> bytes:
    """Return the state's key of an order on its own."""
    return b"order/" + cl_ord_id.encode()


def impact_key(venue: str, symbol: str) -> bytes:
    """Return the state's key of what we took from a book."""
    return f"impact/{venue}:{symbol}".encode()


def curve_key(venue: str, symbol: str) -> bytes:
    """Return the state's key of a cost curve."""
    return f"curve/{venue}:{symbol}".encode()
