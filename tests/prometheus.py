"""What Prometheus sees: expositions, the metrics that the documents promise, and what PromQL asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS: Final = Path(__file__).parents[1] / "docs"
# A number of these has a unit in its name; any other counts the things that its name says.
BASE_UNITS: Final = {"seconds", "bytes", "ratio", "quote"}
COUNTED: Final = {
    *("bookrunner_context_inputs", "bookrunner_context_source_state"),
    *(
        "bookrunner_execution_running",
        "bookrunner_gateway_alerts_waiting",
        "bookrunner_gateway_commands_waiting",
        "bookrunner_gateway_partitions_missing",
        "bookrunner_gateway_places",
        "bookrunner_gateway_ready",
        "bookrunner_gateway_rebuilds",
        "bookrunner_gateway_write_addresses",
    ),
    *("bookrunner_gateway_streams", "bookrunner_gateway_view_keys", "bookrunner_gateway_view_lag_messages"),
    *("bookrunner_gateway_view_ready", "bookrunner_l2_book_state", "bookrunner_l2_queued_outputs"),
    *("bookrunner_portfolio_history_days", "bookrunner_portfolio_positions", "bookrunner_venues_eligible"),
    *("bookrunner_processor_input_lag_messages", "bookrunner_processor_partitions_owned"),
    *("bookrunner_processor_partitions_stopped", "bookrunner_venues_score"),
    *("bookrunner_policies_external", "bookrunner_policies_hosted", "bookrunner_policies_processes"),
    *("bookrunner_router_policy_registered", "bookrunner_router_scopes"),
    *("bookrunner_gateway_answers_held_up", "bookrunner_gateway_view_held_up"),
    *(
        "bookrunner_processor_partitions_held_up",
        "bookrunner_topic_budget_records",
        "bookrunner_topic_records",
    ),
}
_ABBREVIATED: Final = re.compile(
    r"_(ms|us|ns|s|sec|millis|minutes|hours|percent|pct|bps|kb|mb|mib|milliseconds)(_|$)"
)
_NAME: Final = re.compile(
    r"bookrunner_(log|context|l2|venues|router|policies|portfolio|execution|gateway|processor|topic)_[a-z0-9_]+"
)
_ROW: Final = re.compile(r"^\| `(bookrunner_\w+)` \| (counter|gauge|histogram) \| ([\w, ]*) \|", re.MULTILINE)


class Metric(NamedTuple):
    """One metric: its kind, and the names of its labels."""

    kind: str
    labels: frozenset[str]


@dataclass
class Scrape:
    """What one process exposes."""

    metrics: dict[str, str] = field(default_factory=dict)  # kinds by name
    texts: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def labels(self, name: str) -> set[frozenset[str]]:
        """Return the sets of label names that the metric's samples carry."""
        names = {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        return {
            frozenset(label for label, _ in labels if label != "le")
            for sample, labels in self.samples
            if sample in names
        }

    def total(self, name: str, **wanted: str) -> float:
        """Return the sum of all samples of that name which have these labels."""
        return sum(
            value
            for (sample, labels), value in self.samples.items()
            if sample == name and wanted.items() <= dict(labels).items()
        )


def scrape_of(text: str) -> Scrape:
    """Return what an exposition says; a counter has the name it is written under."""
    found = Scrape()
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.metrics[name] = family.type
        found.texts[name] = family.documentation
        for sample in family.samples:
            found.samples[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def promised() -> dict[str, Metric]:
    """Return every metric that docs/metrics.md lists."""
    return {
        name: Metric(kind, frozenset(filter(None, labels.strip().split(", "))))
        for name, kind, labels in _ROW.findall((DOCS / "metrics.md").read_text())
    }


def faults_of_name(name: str, kind: str) -> list[str]:
    """Return what is against Prometheus' conventions of naming.

    References
    ----------
    https://prometheus.io/docs/practices/naming/
    """
    faults = []
    if not _NAME.fullmatch(name):
        faults.append("not bookrunner_<service>_<what> in snake case")
    if (kind == "counter") != name.endswith("_total"):
        faults.append("counters, and only they, end in _total")
    if _ABBREVIATED.search(name):
        faults.append("a unit that is no base unit, or is abbreviated")
    unit = name.removesuffix("_total").rpartition("_")[2]
    if kind == "histogram" and unit not in BASE_UNITS:
        faults.append("a histogram without unit")
    if kind == "gauge" and unit not in BASE_UNITS and name not in COUNTED:
        faults.append("neither a base unit nor known to be a plain count")
    return faults


class Use(NamedTuple):
    """A metric in an expression: the labels it is matched by, and the function right around it."""

    name: str
    labels: frozenset[str]
    function: str


@dataclass
class Expression:
    """What a PromQL expression speaks of."""

    uses: list[Use] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)  # labels of by, without, on, ignoring, group_left


def parse(text: str) -> Expression:
    """Return what `text` names.

    Raises
    ------
    ValueError
        If it is no PromQL.
    """
    found = Expression()
    calls = [""]

    def enter(node: promql_parser.Expr) -> None:
        match node:
            case promql_parser.Call():
                calls.append(node.func.name)
            case promql_parser.VectorSelector():
                labels = frozenset(matcher.name for matcher in node.matchers.matchers)
                found.uses.append(Use(node.name or "", labels, calls[-1]))
            case promql_parser.AggregateExpr(modifier=by) if by:
                found.grouped.update(by.labels)
            case promql_parser.BinaryExpr(modifier=pairing) if pairing:
                found.grouped.update(pairing.matching.labels if pairing.matching else ())
                found.grouped.update(pairing.group_labels or ())

    def leave(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.Call):
            calls.pop()

    promql_parser.walk(promql_parser.parse(text), enter, leave)
    return found


def faults_of_expression(text: str, known: Mapping[str, Metric]) -> list[str]:
    """Return what an expression names that is not exposed, or is used as what it is not."""
    scraped = {"job", "instance"}  # labels that Prometheus adds
    everywhere = {
        "up": Metric("gauge", frozenset()),
        "process_cpu_seconds_total": Metric("counter", frozenset()),
        "process_resident_memory_bytes": Metric("gauge", frozenset()),
    }
    expression = parse(text)
    faults = [] if expression.uses else ["no metric"]
    grouping: set[str] = set()
    for use in expression.uses:
        base = re.sub(r"_(bucket|sum|count)$", "", use.name)
        metric = {**known, **everywhere}.get(use.name)
        if base != use.name and base in known and known[base].kind == "histogram":
            metric = Metric(
                "counter", known[base].labels | ({"le"} if use.name.endswith("_bucket") else set())
            )
        if metric is None:
            faults.append(f"{use.name} is not exposed")
            continue
        if metric.kind == "histogram":
            faults.append(f"{use.name} is a histogram: use its _bucket, _sum or _count")
        if (metric.kind == "counter") != (use.function in {"rate", "increase"}):
            faults.append(f"{use.name} is a {metric.kind}: rate and increase are for counters, and only they")
        faults += [f"{use.name} has no label {name}" for name in use.labels - metric.labels - scraped]
        grouping |= metric.labels | scraped
    return faults + [f"no metric of it has a label {name}" for name in expression.grouped - grouping]
