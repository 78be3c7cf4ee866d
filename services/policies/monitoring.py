"""What the host of policies tells Prometheus, folded at scrape time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.metrics import Family, Histogram, Names
from services.policies.hosting import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Seconds: a signal takes a millisecond, and the deadline is one second by default.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass
class Counts:
    """What the shell counts."""

    evaluations: Counter[str] = field(default_factory=Counter)  # by policy
    names: Names = field(default_factory=Names)
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    signals: int = 0  # told

    def evaluated(self, policy_id: str, seconds: float) -> None:
        """Count a signal that a policy gave."""
        self.evaluations[self.names.of(policy_id)] += 1
        self.seconds.observe(seconds)


def families(
    counts: Counts, phases: Mapping[str, Phase], processes: int, quarantines: int, externals: int
) -> Iterable[Family]:
    """Return every metric of this process."""
    counted = Counter(phases.values())
    text = "Policies that have a file, by phase"
    by_phase = {(phase.value,): counted[phase] for phase in Phase}
    yield Family("bookrunner_policies_hosted", text, "gauge", ("phase",), by_phase)
    text = "Processes of policies that live now"
    yield Family("bookrunner_policies_processes", text, "gauge", (), {(): processes})
    text = "Policies quarantined since this process started"
    yield Family("bookrunner_policies_quarantines_total", text, "counter", (), {(): quarantines})
    text = "Registered policies whose signals come from outside"
    yield Family("bookrunner_policies_external", text, "gauge", (), {(): externals})
    text = "Signals that policies gave when they were asked, by policy"
    by_policy = {(name,): count for name, count in counts.evaluations.items()}
    yield Family("bookrunner_policies_evaluations_total", text, "counter", ("policy",), by_policy)
    text = "From asking a policy until its signal was there"
    yield Family("bookrunner_policies_evaluation_seconds", text, "histogram", (), {(): counts.seconds})
    text = "Signals published, as their value, minute or validity was new"
    yield Family("bookrunner_policies_signals_total", text, "counter", (), {(): counts.signals})
