"""The phases of an execution, each with the data that it has, and what else the state keeps of one.

    Choosing -> Scoring -> Working -> Ended

The phase says what was decided, and is written when it changes. What moves within a phase is the `Course`,
and each child order stands under a key of its own: a step writes what it changed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from libs.common.events import (
    AuditHead,
    Event,
    ExecutionPlan,
    ExecutionStatus,
    PaperOrder,
    PolicyChosen,
    PolicySignal,
    RecordFill,
    RewardOutcome,
    ShortfallBps,
    SizingSnapshot,
    TakerSide,
)
from libs.common.time_units import MINUTE_NS
from libs.common.venues.venue import Instrument  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.decide.saved import Elsewhere
from services.execution.saga.windows import Window  # noqa: TC001 -- as above

if TYPE_CHECKING:
    from collections.abc import Mapping

ZERO: Final = Decimal(0)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, and the market at that moment."""

    execution_id: str
    symbol: str
    urgency: float
    scope: str
    context: dict[str, float | str]
    decision_id: str
    max_venues: int = 1  # of executions that an older version began
    venues: tuple[str, ...] = ()  # that may be used; empty: any
    mids: dict[str, float]  # by venue, at the command
    created_ts: int


class Phase(Event, frozen=True, kw_only=True):
    """What all phases have."""

    request: Request

    @property
    def execution_id(self) -> str:
        """The id of the execution."""
        return self.request.execution_id

    @property
    def symbol(self) -> str:
        """Its symbol."""
        return self.request.symbol


class Choosing(Phase, frozen=True, kw_only=True):
    """The router was asked for a policy."""


class Scoring(Phase, frozen=True, kw_only=True):
    """The venues were asked where to trade."""

    policy: PolicyChosen
    signal: PolicySignal
    sizing: SizingSnapshot
    side: TakerSide


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's part of an order, as it was planned."""

    venue: str
    instrument: Instrument  # what the plan and its orders are made to, whatever the venue demands since
    quantity: Decimal  # base units, whole lots
    plan: ExecutionPlan
    taker_bps: float  # fee of the venue
    score: float | None  # of the venue, bps
    reasons: tuple[str, ...]  # what the venue's cost is made of
    why: str  # it has this part
    planned_ts: int
    planned_venue_ts: int | None  # the same by the venue's clock; None: untold
    planned_stepped_ns: int  # by how much the clock was set before


class Working(Scoring, frozen=True, kw_only=True):
    """Children are sent."""

    quantity: Decimal  # of the order, base units
    legs: tuple[Leg, ...]  # the largest first, then those that took over from one that was lost
    single_venue: str | None  # that would be the best for the whole order; None: none takes all of it
    single_bps: float | None = None  # expected there, fee included; None: of an older version
    saving_bps: float = 0.0  # of the legs against that, as expected
    split_reason: str = ""

    def leg(self, venue: str) -> Leg:
        """Return the leg at a venue."""
        return next(leg for leg in self.legs if leg.venue == venue)


class Ended(Phase, frozen=True, kw_only=True):
    """Nothing more is sent to a venue; with what had been decided until then."""

    status: ExecutionStatus
    reason: str
    policy: PolicyChosen | None = None
    signal: PolicySignal | None = None
    sizing: SizingSnapshot | None = None
    work: Working | None = None
    shortfall: ShortfallBps | None = None  # None: no child was sent
    shortfalls: dict[str, ShortfallBps] = msgspec.field(default_factory=dict)  # of each leg, by venue
    saved_bps: float | None = None  # against the best single venue, as it came out; None: not known
    void: str = ""  # why its decision teaches nothing and had no window; else empty
    reward: RewardOutcome | None = None


Saga: TypeAlias = Choosing | Scoring | Working | Ended
SAGA: Final = (Choosing, Scoring, Working, Ended)

NEXT: Final[Mapping[type[Phase], tuple[type[Phase], ...]]] = {
    Choosing: (Scoring, Ended),
    Scoring: (Working, Ended),
    Working: (Working, Ended),  # a venue that is lost is replaced by another
    Ended: (Ended,),  # its reward is told
}

STATUS: Final[Mapping[type[Phase], ExecutionStatus]] = {
    Choosing: ExecutionStatus.PLANNING,
    Scoring: ExecutionStatus.PLANNING,
    Working: ExecutionStatus.WORKING,
}


class LegCourse(msgspec.Struct, frozen=True, kw_only=True):
    """How far a leg is: ``quantity = filled + open + unscheduled``."""

    quantity: Decimal  # base units: what it is to fill, with what it took over and without what it gave away
    next: int = 0  # the place of the planned slice that is sent next
    retry_ts: int | None = None  # when the next child is sent instead; None: as planned
    child: int | None = None  # the place of the one that is at the venue, or on its way
    open: Decimal = ZERO  # base units of that child that are not filled
    filled: Decimal = ZERO  # base units
    paid: Decimal = ZERO  # for them or earned, quote units
    fees: Decimal = ZERO  # quote units
    volume_seen: float = 0.0  # POV: of the minutes since the plan, when the last child was sent
    arrival_px: Decimal | None = None  # mid at its first child
    last_px: Decimal  # mid of the last book used
    waiting: str = ""  # for what its next child waits
    waits_from_ts: int = 0  # since when; moves with the clock
    over: str | None = None  # why it sends no more, "" if all is filled; None: it goes on

    @property
    def unscheduled(self) -> Decimal:
        """Base units that are in no open child: still to be sent, or given up."""
        return self.quantity - self.filled - self.open


class Course(Event, frozen=True, kw_only=True):
    """What moves within a phase."""

    execution_id: str
    audit: AuditHead
    stepped_ns: int = 0  # by how much the clock was set since it began
    children: int = 0  # sent so far
    legs: dict[str, LegCourse] = msgspec.field(default_factory=dict)  # by venue
    cost: Decimal = ZERO  # of the fills against the reference mid, fees included, quote units
    elsewhere: Elsewhere = Elsewhere()  # the children of other venues at the best single one
    told_waiting: bool = False  # there is a progress of no child

    @property
    def filled(self) -> Decimal:
        """Base units, of all legs."""
        return sum((leg.filled for leg in self.legs.values()), ZERO)

    @property
    def open(self) -> Decimal:
        """Base units at venues or on their way, of all legs."""
        return sum((leg.open for leg in self.legs.values()), ZERO)

    @property
    def unscheduled(self) -> Decimal:
        """Base units in no open child, of all legs."""
        return sum((leg.unscheduled for leg in self.legs.values()), ZERO)

    @property
    def waiting(self) -> str:
        """For what it waits, in words; "" for nothing."""
        return "; ".join(dict.fromkeys(leg.waiting for leg in self.legs.values() if leg.waiting))


class ChildTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a child was submitted on; what its fills are compared with."""

    depth: float  # D, base units
    spread_bps: float
    predicted_bps: float  # beyond half the spread


class Child(Event, frozen=True, kw_only=True):
    """A child order, as it stands."""

    execution_id: str
    n: int  # its place among the children, from 0
    order: PaperOrder
    terms: ChildTerms | None  # None: it is over, or an older version sent it
    fills: tuple[RecordFill, ...] = ()
    filled_at: int = 0  # entries of the audit chain before these: what came first, however the clock was set
    told: bool = False  # there is a progress of it


class DecisionWindow(Event, frozen=True, kw_only=True):
    """The window in which a decision is paid."""

    execution_id: str
    symbol: str
    horizon_ts: int  # when it is closed at the latest; moves with the clock
    window: Window


class Asked(Event, frozen=True, kw_only=True):
    """A command that waits for its answer; under the key of its id."""

    execution_id: str


def saga_key(execution_id: str) -> bytes:
    """Return the state's key of an execution's phase."""
    return b"saga/" + execution_id.encode()


def course_key(execution_id: str) -> bytes:
    """Return the state's key of an execution's course."""
    return b"course/" + execution_id.encode()


def child_key(execution_id: str, n: int) -> bytes:
    """Return the state's key of a child."""
    return f"child/{execution_id}/{n:04d}".encode()


def window_key(execution_id: str) -> bytes:
    """Return the state's key of a decision's window."""
    return b"window/" + execution_id.encode()


def asked_key(command_id: str) -> bytes:
    """Return the state's key of a command on its way."""
    return b"asked/" + command_id.encode()


def elapsed_ns(saga: Phase, course: Course, now: int) -> int:
    """Return how long an execution has taken at `now` (ns), however the clock was set meanwhile."""
    return now - saga.request.created_ts - course.stepped_ns


def since_plan_ns(course: Course, leg: Leg) -> int:
    """Return by how much the clock was set since a leg was planned."""
    return course.stepped_ns - leg.planned_stepped_ns


def volume_from_ts(course: Course, leg: Leg) -> int:
    """From when the venue's minutes count for POV, ns: those of the plan and of the minute before it."""
    planned_ts = leg.planned_venue_ts
    if planned_ts is None:
        planned_ts = leg.planned_ts + since_plan_ns(course, leg)
    return planned_ts - MINUTE_NS
