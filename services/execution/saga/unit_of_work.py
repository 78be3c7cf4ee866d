"""One message's work on one execution: what changes, what is emitted, what is asked; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from libs.common.audit_chain import link
from libs.common.cloudevents import caused_id
from libs.common.events import AuditHead, ExecutionPlanned
from libs.common.handling import WakeAt
from libs.common.time_units import NS_PER_S
from services.execution.saga.phases import (
    NEXT,
    SAGA,
    Asked,
    Child,
    Course,
    DecisionWindow,
    Ended,
    Working,
    asked_key,
    child_key,
    course_key,
    saga_key,
    window_key,
)
from services.execution.saga.record import legs_told, progress_ended, progress_of, record_of
from services.execution.timers import Forget, StepTimeout, name_of

if TYPE_CHECKING:
    from libs.common.events import Command, Event, ExecutionRecord
    from libs.common.handling import State
    from services.execution.market_data import MarketData
    from services.execution.saga.phases import LegCourse, Saga
    from services.execution.timers import Timer


class IllegalTransitionError(Exception):
    """A phase that cannot follow the one before: a broken invariant."""


class UnitOfWork:
    """Collects what follows from one message; `finish` keeps it and hands it over."""

    def __init__(self, state: State[Any], saga: Saga, course: Course, market: MarketData, now: int) -> None:
        self.state = state
        self.saga = saga
        self.course = course
        self.market = market
        self.settings = market.settings
        self.now = now
        self._emitted: list[Event | WakeAt] = []
        self._touched: dict[int, Child] = {}
        self._whole = False  # the whole record is told, though the phase is the same
        self._saga_before = state.get(saga_key(saga.execution_id))
        self._course_before = state.get(course_key(saga.execution_id))

    @property
    def execution_id(self) -> str:
        """The id of the execution."""
        return self.saga.execution_id

    @property
    def symbol(self) -> str:
        """Its symbol."""
        return self.saga.symbol

    @property
    def work(self) -> Working:
        """The phase in which children are sent.

        Raises
        ------
        IllegalTransitionError
            If it is in another one.
        """
        if not isinstance(self.saga, Working):
            raise IllegalTransitionError(f"{self.execution_id}: a child's step in {type(self.saga).__name__}")
        return self.saga

    @property
    def window(self) -> DecisionWindow | None:
        """The window of its decision; None: no policy was chosen, or by an older version."""
        found: DecisionWindow | None = self.state.get(window_key(self.execution_id))
        return found

    def move(self, saga: Saga) -> None:
        """Go to that phase.

        Raises
        ------
        IllegalTransitionError
            If it cannot follow this one.
        """
        if type(saga) not in NEXT[type(self.saga)]:
            names = f"{type(self.saga).__name__} to {type(saga).__name__}"
            raise IllegalTransitionError(f"{self.execution_id}: from {names}")
        self.saga = saga

    def go(self, **changes: Any) -> None:  # noqa: ANN401 -- msgspec checks what is read back
        """Change the course."""
        self.course = replace(self.course, **changes)

    def put_leg(self, venue: str, **changes: Any) -> LegCourse:  # noqa: ANN401 -- as above
        """Change the course of a leg; return it."""
        after = replace(self.course.legs[venue], **changes)
        self.go(legs={**self.course.legs, venue: after})
        return after

    def child(self, n: int) -> Child:
        """Return a child."""
        found: Child = self._touched.get(n) or self.state[child_key(self.execution_id, n)]
        return found

    def children(self) -> tuple[Child, ...]:
        """Return all children, oldest first."""
        return tuple(self.child(n) for n in range(self.course.children))

    def put_child(self, child: Child) -> None:
        """Change a child."""
        self._touched[child.n] = child

    def tell_whole(self) -> None:
        """Tell the whole record: more has changed than a child."""
        self._whole = True

    def audit(self, kind: str, **payload: object) -> None:
        """Add an entry to the execution's chain."""
        head = self.course.audit
        entry = link(self.execution_id, head.entries, self.now, kind, payload, head.head)
        self._emitted.append(entry)
        self.go(audit=AuditHead(entries=entry.seq + 1, head=entry.hash))

    def emit(self, *events: Event) -> None:
        """Send these."""
        self._emitted += events

    def also(self, effects: list[Event | WakeAt]) -> None:
        """Send what another unit of work returned."""
        self._emitted += effects

    def answer(self) -> None:
        """Answer PlanAndExecute with the record as it stands."""
        self.emit(ExecutionPlanned(command_id=self.execution_id, record=self.record(), ts=self.now))

    def ask(self, command: Command, timeout_s: float | None = None) -> None:
        """Send a command whose answer is awaited, for so long; None: for as long as it takes."""
        self.state.put(asked_key(command.command_id), Asked(execution_id=self.execution_id))
        self._emitted.append(command)
        if timeout_s is not None:
            step = type(self.saga).__name__.lower()
            self.wake(self.now + round(timeout_s * NS_PER_S), StepTimeout(self.execution_id, step))

    def stop_asking(self, command_id: str) -> None:
        """Await that answer no longer; one that comes later is nobody's."""
        self.state.remove(asked_key(command_id))

    def wake(self, ts: int, timer: Timer) -> None:
        """Ask for a tick."""
        self._emitted.append(WakeAt(ts, name_of(timer)))

    def forget_later(self) -> None:
        """Ask for the tick at which the execution is forgotten but for its id."""
        remember_ns = round(self.settings.remember_s * NS_PER_S)
        self.wake(self.now + remember_ns, Forget("saga", self.execution_id))

    def id_of(self, step: str) -> str:
        """Return the id of this execution's command or order of that name: the same whenever it is asked."""
        return step_id(self.execution_id, step)

    def record(self) -> ExecutionRecord:
        """Return the execution as it stands."""
        return record_of(self.saga, self.course, self.children(), self.now)

    def finish(self) -> list[Event | WakeAt]:
        """Keep what changed and return what is emitted: last the record, or what of it changed."""
        whole = self._whole or self.saga is not self._saga_before
        told: list[Event] = [self.record()] if whole else self._progress()
        if isinstance(self.saga, Ended) and not isinstance(self._saga_before, Ended):
            told += progress_ended(self.course, self.children())
        if self.saga is not self._saga_before:
            self.state.put(saga_key(self.execution_id), self.saga)
        if self.course != self._course_before:
            self.state.put(course_key(self.execution_id), self.course)
        for n, child in self._touched.items():
            self.state.put(child_key(self.execution_id, n), child)
        return [*self._emitted, *told]

    def _progress(self) -> list[Event]:
        """Return what is told of the children that changed, and of legs that changed without one."""
        if not isinstance(self.saga, Working):
            return []
        alone = self._legs_changed_alone(self.saga)
        if alone:
            self.go(told_waiting=True)
        self._touched = {n: replace(child, told=True) for n, child in self._touched.items()}
        told = [*self._touched.values(), *([None] if alone else [])]
        return [progress_of(self.saga, self.course, each, self.now) for each in told]

    def _legs_changed_alone(self, work: Working) -> bool:
        """Tell whether a leg is told otherwise than before, and no child of it says so."""
        if self._course_before is None:
            return False
        before, after = (legs_told(work, course, {}) for course in (self._course_before, self.course))
        by_child = {child.order.venue for child in self._touched.values()}
        pairs = zip(before, after, strict=True)
        return any(was != now and now.venue not in by_child for was, now in pairs)


def unit_of(state: State[Any], execution_id: str, market: MarketData, now: int) -> UnitOfWork | None:
    """Return the work on an execution; None if there is none, or it is forgotten but for its id."""
    saga = state.get(saga_key(execution_id))
    if not isinstance(saga, SAGA):
        return None
    return UnitOfWork(state, saga, state[course_key(execution_id)], market, now)


def step_id(execution_id: str, step: str) -> str:
    """Return the id of what an execution does under that name."""
    return str(caused_id(UUID(execution_id), step))
