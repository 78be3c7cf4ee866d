"""What execution tells Prometheus and the log: executions by their state, fills, and what they cost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import (
    AuditEntry,
    CommandRejected,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionStatus,
    OrderFilled,
    PaperOrderPlaced,
)
from libs.common.metrics import Family, Histogram
from libs.common.monitoring import Line, refused
from libs.common.time_units import NS_PER_S
from services.execution.kept import kept_of
from services.execution.saga.phases import STATUS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from libs.common.events import Event, ShortfallBps
    from libs.common.handling import State
    from libs.common.partition import Step

BPS: Final = 1e-4
FINAL: Final = tuple(status for status in ExecutionStatus if status.final)
RUNNING: Final = tuple(status for status in ExecutionStatus if not status.final)
PARTS: Final = ("delay", "impact", "opportunity", "fees", "total")
# Of the decision price; below 0 the market came towards the order.
SHORTFALLS: Final = tuple(bps * BPS for bps in (-50, -20, -10, -5, -2, 0, 2, 5, 10, 15, 20, 30, 50, 100))
DURATIONS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)  # seconds


class ExecutionMonitor:
    """Counts executions by how they ended; those that run are counted in the state itself."""

    def __init__(self) -> None:
        self._started = 0
        self._ended = Counter({status.value: 0 for status in FINAL})
        self._duration_s = {(status.value,): Histogram(DURATIONS) for status in FINAL}
        self._fills: Counter[str] = Counter()
        self._filled: defaultdict[str, float] = defaultdict(float)  # quote units
        self._shortfall = {(part,): Histogram(SHORTFALLS) for part in PARTS}

    def saw(self, step: Step) -> Iterable[Line]:
        """Count, and tell each step of an execution in one line."""
        for event in step.events:
            if isinstance(event, OrderFilled):
                self._fills[event.venue] += 1
                self._filled[event.venue] += float(event.last_qty * event.last_px)
            elif isinstance(event, ExecutionRecord):
                self._count(event, step.events)
                yield _line(event, step.events)
            elif isinstance(event, ExecutionProgress):
                yield _line_of_progress(event, step.events)
            elif isinstance(event, PaperOrderPlaced):
                order = event.order
                facts = {"symbol": order.symbol, "venue": order.venue, "status": order.ord_status}
                yield Line("paper_order", facts | {"cum_qty": str(order.cum_qty)})
            elif isinstance(event, CommandRejected):
                yield refused(event)

    def _count(self, record: ExecutionRecord, events: Sequence[Event]) -> None:
        entries = _entries(events)
        if any(entry.seq == 0 for entry in entries):
            self._started += 1
        for ended in (entry for entry in entries if entry.kind == "ended"):
            self._ended[record.status.value] += 1
            self._duration_s[record.status.value,].observe(json.loads(ended.payload)["elapsed_ns"] / NS_PER_S)
            if record.shortfall is not None:
                self._observe(record.shortfall)

    def _observe(self, shortfall: ShortfallBps) -> None:
        for part in PARTS:
            self._shortfall[part,].observe(getattr(shortfall, f"{part}_bps") * BPS)

    def families(self, states: Collection[State[Any]]) -> Iterable[Family]:
        """Return execution's own metrics."""
        prefix = "bookrunner_execution"
        running = Counter({status.value: 0 for status in RUNNING})
        for state in states:
            for sagas in kept_of(state).sagas.running.values():
                running.update(STATUS[type(saga)].value for saga in sagas.values())
        by_status = {(status,): count for status, count in running.items()}
        yield Family(f"{prefix}_running", "Executions under way, by status", "gauge", ("status",), by_status)
        yield Family(f"{prefix}_started_total", "Executions begun", "counter", (), {(): self._started})
        yield Family(
            f"{prefix}_ended_total",
            "Executions by how they ended",
            "counter",
            ("status",),
            {(status,): count for status, count in self._ended.items()},
        )
        yield Family(
            f"{prefix}_duration_seconds",
            "Of an execution, from the command to its end, by how it ended",
            "histogram",
            ("status",),
            self._duration_s,
        )
        by_venue = {(venue,): count for venue, count in self._fills.items()}
        yield Family(f"{prefix}_fills_total", "Paper fills", "counter", ("venue",), by_venue)
        yield Family(
            f"{prefix}_filled_quote_total",
            "What was filled, quote units",
            "counter",
            ("venue",),
            {(venue,): amount for venue, amount in self._filled.items()},
        )
        yield Family(
            f"{prefix}_shortfall_ratio",
            "Implementation shortfall of ended executions and its parts, of the decision price",
            "histogram",
            ("part",),
            self._shortfall,
        )


def _entries(events: Sequence[Event]) -> list[AuditEntry]:
    return [event for event in events if isinstance(event, AuditEntry)]


def _line(record: ExecutionRecord, events: Sequence[Event]) -> Line:
    facts: dict[str, Any] = {
        "did": " ".join(entry.kind for entry in _entries(events)),
        "status": record.status.value,
        "symbol": record.symbol,
        "policy": record.policy_id,
        "venue": record.venue,
        "reason": record.reason,
        "waiting": record.waiting,
    }
    return Line("execution_step", {name: value for name, value in facts.items() if value})


def _line_of_progress(progress: ExecutionProgress, events: Sequence[Event]) -> Line:
    order = progress.order
    facts: dict[str, Any] = {
        "did": " ".join(entry.kind for entry in _entries(events)),
        "status": ExecutionStatus.WORKING.value,
        "symbol": "" if order is None else order.symbol,
        "venue": "" if order is None else order.venue,
        "order_status": "" if order is None else order.ord_status.value,
        "waiting": progress.waiting,
    }
    return Line("execution_step", {name: value for name, value in facts.items() if value})
