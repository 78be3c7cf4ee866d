"""What a stateful service tells people of what it has committed: counts for Prometheus, lines for the log.

The processor counts what all services have in common; what only one knows, its `Monitor` says.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from libs.common import log
from libs.common.events import CommandRejected, Refusal
from libs.common.metrics import Family, Histogram

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from libs.common.handling import State, Wiring
    from libs.common.partition import Effects, Step

# Seconds: a transaction of few records takes 3 ms (docs/performance.md), an optimisation up to seconds.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

_COUNTS: Final = {
    "transactions": "Transactions committed",
    "handled": "Messages and ticks handled",
    "stale": "Records dropped because they were handled before",
    "dead_letters": "Messages that could not be decoded, kept in dead-letters.v1",
    "failures": "Commands that the handler raised on, refused as internal and kept in dead-letters.v1",
    "clock_steps": "Times that the machine's clock was set; what was due moved with it",
    "expired": "Messages that retention took before they were read",
    "left_out": "Messages left out, as only another version knows them",
    "too_large": "Messages not written, as their topic takes none so large; kept in dead-letters.v1",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log, at INFO or at ERROR: the event's name, and its facts."""

    event: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: bool = False  # somebody must do something about it


def refused(event: CommandRejected) -> Line:
    """Return the line of a refusal."""
    facts = {"command": event.command, "refusal": event.refusal.value, "detail": event.detail}
    return Line("command_refused", facts)


class Monitor(Protocol):
    """What one service counts and tells of what was committed."""

    def saw(self, step: Step) -> Iterable[Line]:
        """Count one handled message and what it caused; return what the log should say of it."""

    def families(self, states: Collection[State[Any]]) -> Iterable[Family]:
        """Return the service's own metrics; `states` are those of the partitions owned now."""


class Unmonitored:
    """Counts and tells nothing."""

    def saw(self, _step: Step) -> Iterable[Line]:
        """Tell nothing."""
        return ()

    def families(self, _states: Collection[State[Any]]) -> Iterable[Family]:
        """Return nothing."""
        return ()


class Meter:
    """The counts of one process, whatever partitions it has had."""

    def __init__(self, wiring: Wiring[Any], monitor: Monitor) -> None:
        self._service = wiring.service
        self._monitor = monitor
        self._events = Counter({event.__name__: 0 for event in wiring.outputs})
        self._refusals = Counter({refusal.value: 0 for refusal in Refusal})
        self.transaction_s = Histogram(SECONDS)
        self.handling_s = Histogram(SECONDS)
        self.restore_s = Histogram(SECONDS)

    def committed(self, effects: Effects) -> None:
        """Count what a transaction has written, and say it, each line under its correlation id."""
        for step in effects.steps:
            for event in step.events:
                self._events[type(event).__name__] += 1
                if isinstance(event, CommandRejected):
                    self._refusals[event.refusal.value] += 1
            lines = self._monitor.saw(step)
            with log.correlated(step.correlation_id):
                for line in lines:
                    level = logging.ERROR if line.error else logging.INFO
                    log.tell(_log, line.event, line.facts, effects.now, level)

    def families(
        self, counts: Mapping[str, int], lags: Mapping[str, int], states: Collection[State[Any]]
    ) -> Iterable[Family]:
        """Return what is common to all services, then the service's own.

        Parameters
        ----------
        counts
            The processor's own, by name.
        lags
            Offsets not handled yet, by topic.
        """
        for name, text in _COUNTS.items():
            yield self._family(f"{name}_total", text, "counter", {(): counts.get(name, 0)})
        yield self._family("events_total", "Events committed, by type", "counter", self._events, "event")
        yield self._family(
            "refusals_total", "Commands refused, by reason", "counter", self._refusals, "refusal"
        )
        yield self._family("input_lag_messages", "Offsets not handled yet", "gauge", lags, "topic")
        for what, text, seconds in (
            ("transaction_seconds", "Of one transaction, from its begin to its commit", self.transaction_s),
            ("handling_seconds", "Of the handling of one batch, before its transaction", self.handling_s),
            ("restore_seconds", "From owning a partition until its state was rebuilt", self.restore_s),
        ):
            yield self._family(what, text, "histogram", {(): seconds})
        yield from self._monitor.families(states)

    def _family(
        self,
        what: str,
        text: str,
        kind: Literal["counter", "gauge", "histogram"],
        values: Mapping[Any, Any],
        *labels: str,
    ) -> Family:
        samples = {(self._service, *((key,) if labels else ())): value for key, value in values.items()}
        return Family(f"bookrunner_processor_{what}", text, kind, ("service", *labels), samples)
