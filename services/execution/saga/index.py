"""Which executions are under way, wait for a book, or have an open window, found without a search; pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import TYPE_CHECKING

from services.execution.saga.phases import (
    SAGA,
    ZERO,
    Choosing,
    Course,
    DecisionWindow,
    Ended,
    Scoring,
    Working,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import TakerSide
    from services.execution.saga.phases import Saga


class SagaIndex:
    """The index; changes in place as the state does."""

    def __init__(self) -> None:
        self.running: defaultdict[str, dict[str, Choosing | Scoring | Working]] = defaultdict(dict)
        self.courses: dict[str, Course] = {}  # by execution
        self.waiting: dict[str, None] = {}  # executions of which a leg waits for a book
        self.closing: list[tuple[int, str]] = []  # open windows: when they end at the latest, next first
        self.deciding: dict[str, str] = {}  # the execution whose window is open, by symbol
        self.kept = 0  # executions that are kept whole

    @property
    def under_way(self) -> int:
        """How many executions are under way."""
        return sum(map(len, self.running.values()))

    def note(self, before: object, after: object) -> None:
        """Note that what was `before` is `after` now; None is nothing."""
        if isinstance(before, SAGA):
            self._drop(before)
        elif isinstance(before, DecisionWindow):
            self._shut(before)
        elif isinstance(before, Course) and not isinstance(after, Course):
            del self.courses[before.execution_id]
            self.waiting.pop(before.execution_id, None)
        if isinstance(after, SAGA):
            self._add(after)
        elif isinstance(after, DecisionWindow):
            self._open(after)
        elif isinstance(after, Course):
            self.courses[after.execution_id] = after
            if after.waiting:
                self.waiting[after.execution_id] = None
            else:
                self.waiting.pop(after.execution_id, None)

    def left(self, symbol: str, side: TakerSide) -> list[tuple[Scoring | Working, Decimal]]:
        """Return the executions of a symbol that mean to trade that side, each with how much is left."""
        return [
            (saga, self.left_of(saga))
            for saga in self.running.get(symbol, {}).values()
            if not isinstance(saga, Choosing) and saga.side == side
        ]

    def left_of(self, saga: Scoring | Working) -> Decimal:
        """Return what an execution may still trade, base units."""
        if isinstance(saga, Working):
            return saga.quantity - self.courses[saga.execution_id].filled
        return saga.sizing.qty

    def open(self, symbol: str, side: TakerSide, but: str = "") -> Decimal:
        """Return what children of a symbol's executions, except of one, may fill on that side, base units."""
        running = self.running.get(symbol, {})
        return sum(
            (
                self.courses[execution_id].open
                for execution_id, saga in running.items()
                if isinstance(saga, Working) and saga.side == side and execution_id != but
            ),
            ZERO,
        )

    def _add(self, saga: Saga) -> None:
        self.kept += 1
        if not isinstance(saga, Ended):
            self.running[saga.symbol][saga.execution_id] = saga

    def _drop(self, saga: Saga) -> None:
        self.kept -= 1
        if not isinstance(saga, Ended):
            del self.running[saga.symbol][saga.execution_id]
            if not self.running[saga.symbol]:
                del self.running[saga.symbol]

    def _open(self, kept: DecisionWindow) -> None:
        if kept.window.end is None:
            self.deciding[kept.symbol] = kept.execution_id
            insort(self.closing, (kept.horizon_ts, kept.execution_id))

    def _shut(self, kept: DecisionWindow) -> None:
        if kept.window.end is None:
            del self.closing[bisect_left(self.closing, (kept.horizon_ts, kept.execution_id))]
            if self.deciding.get(kept.symbol) == kept.execution_id:
                del self.deciding[kept.symbol]
