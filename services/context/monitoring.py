"""What the context service tells Prometheus, folded from how its sources stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.events import SourceState
from libs.common.metrics import Family

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from libs.common.events import ContextSource


def families(sources: Collection[ContextSource]) -> Iterable[Family]:
    """Return every metric of this process."""
    label = ("source",)
    yield Family(
        "bookrunner_context_requests_total",
        "Requests to a source of context inputs",
        "counter",
        label,
        {(each.source,): each.requests for each in sources},
    )
    yield Family(
        "bookrunner_context_failures_total",
        "Polls of a source that gave nothing",
        "counter",
        label,
        {(each.source,): each.failures for each in sources},
    )
    yield Family(
        "bookrunner_context_inputs",
        "Inputs that a source's newest answer gave",
        "gauge",
        label,
        {(each.source,): each.inputs for each in sources},
    )
    yield Family(
        "bookrunner_context_source_state",
        "1 for the state a source is in",
        "gauge",
        (*label, "state"),
        {(each.source, state.value): float(each.state is state) for each in sources for state in SourceState},
    )
