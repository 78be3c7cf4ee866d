"""One message's work on one execution: what changes, what is said, what is asked; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from libs.common.audit_chain import jsonable, link
from libs.common.cloudevents import caused_id
from libs.common.events import ExecutionPlanned
from libs.common.handling import WakeAt
from libs.common.time_units import NS_PER_S
from services.execution.saga.record import record_of
from services.execution.saga.state import TRANSITIONS, Asked, asked_key, saga_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import Command, Event
    from libs.common.handling import State
    from services.execution.market_data import MarketData
    from services.execution.saga.state import Saga, Trigger


class IllegalTransitionError(Exception):
    """A trigger that the table does not know at this step: a broken invariant."""


class Turn:
    """Collects what follows from one message; `finish` hands it over."""

    def __init__(self, state: State[Any], saga: Saga, market: MarketData, now: int) -> None:
        self.state = state
        self.saga = saga
        self.market = market
        self.settings = market.settings
        self.now = now
        self._out: list[Event | WakeAt] = []
        self._before = state.get(saga_key(saga.execution_id))

    def update(self, **changes: Any) -> None:  # noqa: ANN401 -- msgspec checks what is read back
        """Change the execution."""
        self.saga = replace(self.saga, **changes)

    def move(self, trigger: Trigger, reason: str = "") -> None:
        """Go to the step that the table names.

        Raises
        ------
        IllegalTransitionError
            If it names none.
        """
        step = TRANSITIONS.get((self.saga.step, trigger))
        if step is None:
            raise IllegalTransitionError(f"{self.saga.execution_id}: {trigger} at {self.saga.step}")
        self.update(step=step, reason=reason, waiting="")

    def audit(self, kind: str, **payload: object) -> None:
        """Add an entry to the execution's chain."""
        saga = self.saga
        members: Mapping[str, Any] = {name: jsonable(value) for name, value in payload.items()}
        entry = link(saga.execution_id, saga.audit_entries, self.now, kind, members, saga.audit_head)
        self._out.append(entry)
        self.update(audit_entries=entry.seq + 1, audit_head=entry.hash)

    def say(self, *events: Event) -> None:
        """Send these."""
        self._out += events

    def also(self, effects: list[Event | WakeAt]) -> None:
        """Send what another turn returned."""
        self._out += effects

    def ask(self, command: Command, timeout_s: float | None) -> None:
        """Send a command whose answer is awaited, for so long."""
        self.state.put(asked_key(command.command_id), Asked(execution_id=self.saga.execution_id))
        self._out.append(command)
        if timeout_s is not None:
            self.wake(self.now + round(timeout_s * NS_PER_S), f"timeout/{self.saga.step}")

    def stop_asking(self, command_id: str) -> None:
        """Await that answer no longer; one that comes later is nobody's."""
        self.state.remove(asked_key(command_id))

    def wake(self, ts: int, purpose: str) -> None:
        """Ask for a tick."""
        self._out.append(WakeAt(ts, f"saga/{self.saga.execution_id}/{purpose}".encode()))

    def forget_later(self) -> None:
        """Ask for the tick at which the execution is forgotten but for its id."""
        self.wake(self.now + round(self.settings.remember_s * NS_PER_S), "forget")

    def id_of(self, step: str) -> str:
        """Return the id of this execution's command or order of that name: the same whenever it is asked."""
        return step_id(self.saga.execution_id, step)

    def answer(self) -> None:
        """Answer PlanAndExecute, once, with the record as it will stand."""
        self.update(answered=True)

    def finish(self) -> list[Event | WakeAt]:
        """Keep the execution and return what is sent: the record last, unless it stands as it stood."""
        if self.saga == self._before:
            return self._out
        self.state.put(saga_key(self.saga.execution_id), self.saga)
        record, before = record_of(self.saga, self.now), self._before
        if self.saga.answered and not (before is not None and before.answered):
            self._out.append(ExecutionPlanned(command_id=self.saga.execution_id, record=record, ts=self.now))
        if before is not None and record == record_of(before, self.now):
            return self._out  # a child was put off, say: nothing that the record tells
        return [*self._out, record]


def step_id(execution_id: str, step: str) -> str:
    """Return the id of what an execution does under that name."""
    return str(caused_id(UUID(execution_id), step))
