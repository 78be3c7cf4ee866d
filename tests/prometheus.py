"""What Prometheus sees, read by the tests' own rules: expositions, the metrics promised, and PromQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCS: Final = Path(__file__).parents[1] / "docs"
# A number of these has a unit in its name; any other counts the things that its name says.
BASE_UNITS: Final = {"seconds", "bytes", "ratio", "quote"}
COUNTED: Final = {
    *(
        "bookrunner_execution_running",
        "bookrunner_gateway_commands_waiting",
        "bookrunner_gateway_partitions_missing",
        "bookrunner_gateway_ready",
        "bookrunner_gateway_rebuilds",
        "bookrunner_gateway_write_addresses",
    ),
    *("bookrunner_gateway_streams", "bookrunner_gateway_view_keys", "bookrunner_gateway_view_lag_messages"),
    *("bookrunner_gateway_view_ready", "bookrunner_l2_book_state", "bookrunner_l2_queued_outputs"),
    *("bookrunner_portfolio_history_days", "bookrunner_portfolio_positions", "bookrunner_venues_eligible"),
    *("bookrunner_processor_input_lag_messages", "bookrunner_processor_partitions_owned"),
    *("bookrunner_processor_partitions_stopped", "bookrunner_venues_score"),
    "bookrunner_router_policy_registered",
}
_ABBREVIATED: Final = re.compile(
    r"_(ms|us|ns|s|sec|millis|minutes|hours|percent|pct|bps|kb|mb|mib|milliseconds)(_|$)"
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
    if not re.fullmatch(
        r"bookrunner_(log|l2|venues|router|portfolio|execution|gateway|processor)_[a-z0-9_]+", name
    ):
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


class PromQLError(Exception):
    """An expression that Prometheus would refuse."""


_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<range>\[[0-9smhdwy:]+\])|(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)"""
    r"""|(?P<name>[a-zA-Z_:][\w:]*)|(?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},]))"""
)
_GROUPING: Final = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_OPERATORS: Final = {"and", "or", "unless", "bool", "offset"}
_FUNCTIONS: Final = {
    *("sum", "avg", "min", "max", "count", "topk", "rate", "increase", "histogram_quantile"),
    *("absent", "time", "clamp_min", "clamp_max", "label_values"),
}


def parse(text: str) -> Expression:
    """Return what `text` names.

    Raises
    ------
    PromQLError
        If it is no PromQL, as far as this reads it: tokens, brackets, functions, selectors.
    """
    tokens = list(_tokens(text))
    found = Expression()
    opened: list[tuple[str, str]] = []  # bracket, and the function before it
    at = 0
    while at < len(tokens):
        kind, value = tokens[at]
        after = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if value in _GROUPING and kind == "name":
            if after == "(":
                end = next(n for n in range(at, len(tokens)) if tokens[n][1] == ")")
                found.grouped |= {name for sort, name in tokens[at:end] if sort == "name"} - {value}
                at = end
        elif kind == "name" and (value in _FUNCTIONS or after == "("):
            if value not in _FUNCTIONS:
                raise PromQLError(f"{value}: no function known here, in {text}")
            if after == "(":
                opened.append(("(", value))
                at += 1
        elif kind == "name" and value not in _OPERATORS:
            labels: set[str] = set()
            if after == "{":
                end = next(n for n in range(at, len(tokens)) if tokens[n][1] == "}")
                labels = {name for sort, name in tokens[at + 2 : end] if sort == "name"}
                at = end
            ranged = at + 1 < len(tokens) and tokens[at + 1][0] == "range"
            function = opened[-1][1] if opened else ""
            if ranged != (function in {"rate", "increase"}):
                raise PromQLError(f"{value}: a range belongs into rate or increase, in {text}")
            found.uses.append(Use(value, frozenset(labels), function))
        elif value == "(":
            opened.append(("(", ""))
        elif value == ")":
            if not opened:
                raise PromQLError(f"a bracket too many in {text}")
            opened.pop()
        at += 1
    if opened or not found.uses:
        raise PromQLError(f"brackets left open, or no metric, in {text}")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PromQLError(f"not understood: {text[at:]!r}")
        yield str(match.lastgroup), match[match.lastgroup or 0]
        at = match.end()


def faults_of_expression(text: str, known: Mapping[str, Metric]) -> list[str]:
    """Return what an expression names that is not exposed, or is used as what it is not."""
    scraped = {"job", "instance"}  # labels that Prometheus adds
    everywhere = {
        "up": Metric("gauge", frozenset()),
        "process_cpu_seconds_total": Metric("counter", frozenset()),
        "process_resident_memory_bytes": Metric("gauge", frozenset()),
    }
    faults = []
    expression = parse(text)
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
