from __future__ import annotations

from libs.common.metrics import MAX_VALUES, OTHER
from services.policies.hosting import Phase
from services.policies.monitoring import Counts, families
from tests.monitored import numbers


def test_policies_are_counted_by_phase_and_evaluations_by_policy() -> None:
    counts = Counts(signals=2)
    counts.evaluated("a", 0.002)
    counts.evaluated("a", 0.2)
    told = numbers(families(counts, {"a": Phase.LIVE, "b": Phase.QUARANTINED, "c": Phase.LIVE}, 2, 1, 4))
    assert told["bookrunner_policies_hosted"] == {
        ("waiting",): 0,
        ("starting",): 0,
        ("live",): 2,
        ("quarantined",): 1,
    }
    assert told["bookrunner_policies_evaluations_total"] == {("a",): 2}
    assert told["bookrunner_policies_signals_total"] == {(): 2}
    assert told["bookrunner_policies_processes"] == {(): 2}
    assert told["bookrunner_policies_quarantines_total"] == {(): 1}
    assert told["bookrunner_policies_external"] == {(): 4}


def test_names_of_policies_are_bounded_labels() -> None:
    counts = Counts()
    for n in range(MAX_VALUES + 5):
        counts.evaluated(f"p{n}", 0.001)
    assert counts.evaluations[OTHER] == 5
