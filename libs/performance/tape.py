"""`Tape`: what happened, folded as it comes into no more than the numbers need; pure.

Its memory does not grow with the length of the time, but for a mark a day: see `marks`, `executions` and
`choices` for what each keeps.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from libs.common.events import (
    BOOK,
    EquityMarked,
    ExecutionProgress,
    ExecutionRecord,
    PolicyChosen,
    PolicyRewarded,
    RouterSnapshot,
)
from libs.performance import door
from libs.performance.choices import Choices
from libs.performance.executions import Executions
from libs.performance.marks import Marks

if TYPE_CHECKING:
    from libs.common.events import Event


class Tape:
    """What happened in a stretch of time; changes in place.

    Parameters
    ----------
    begin_ts, end_ts
        What is before or after is passed by, ns UTC; both included, None: whatever comes. An execution counts
        where it began, a reward where its choice did.
    scope
        Of the router, whose choices count.
    """

    def __init__(
        self,
        begin_ts: int | None = None,
        end_ts: int | None = None,
        *,
        scope: str = "default",
    ) -> None:
        self.begin_ts, self.end_ts = begin_ts, end_ts
        self.marks = Marks()
        self.executions = Executions()
        self.choices = Choices(scope)
        self.left_out = 0  # messages that hold what cannot be

    def take(self, event: Event | None) -> None:
        """Take the next message of any topic, in the order of its log; those that tell nothing are passed by.

        Progress counts where its execution began in the time: the next whole record holds all of it.
        """
        match event:
            case EquityMarked() if event.book == BOOK and self._inside(event.ts):
                mark = door.mark_of(event)
                if self._has(mark is not None) and mark is not None:
                    self.marks.take(mark)
            case ExecutionRecord() | ExecutionProgress():
                self._execute(event)
            case PolicyChosen() if self._inside(event.ts):
                if self._has(door.is_choice(event)):
                    self.choices.choose(event)
            case PolicyRewarded():
                if self._has(door.is_reward(event)):
                    self.choices.reward(event)
            case RouterSnapshot():
                self.choices.told(event)
            case _:
                pass

    def _execute(self, event: ExecutionRecord | ExecutionProgress) -> None:
        if isinstance(event, ExecutionProgress):
            if event.order is not None and self._has(door.is_order(event.order)):
                self.executions.step(event)
        elif self._inside(event.created_ts) and self._has(door.is_record(event)):
            self.executions.take(event)

    def _has(self, it: bool) -> bool:  # noqa: FBT001 -- it is what is counted
        self.left_out += not it
        return it

    def finished_executions(self) -> Executions:
        """Return the executions, those still under way as they stand; the tape stays as it is."""
        found = deepcopy(self.executions)
        for done in found.pending.values():
            found.add(done)
        found.pending = {}
        return found

    def _inside(self, ts: int) -> bool:
        after = self.begin_ts is None or ts >= self.begin_ts
        return after and (self.end_ts is None or ts <= self.end_ts)
