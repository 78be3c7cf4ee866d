"""Prometheus metrics: a registry per service, families computed at scrape time, and their HTTP endpoint.

Services count in plain ints on their event loop; a function folds these into families when Prometheus asks.
It is called on that same loop, so it never sees a half-made change. Units are base units, said in the name.

Where no port is set, a process takes a free one and says it in a file that Prometheus reads: so processes of
one machine never collide and are found all the same.

References
----------
https://prometheus.io/docs/practices/naming/, https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config
"""

from __future__ import annotations

import os
from bisect import bisect_left
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from libs.common import log, scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from libs.common.settings import ServiceSettings

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MAX_SERIES: Final = 10_000  # of one family; more means that a label is not bounded
MAX_VALUES: Final = 50  # of a label that users choose; what comes later is counted as `OTHER`
OTHER: Final = "other"


class UnboundedLabelsError(ValueError):
    """A family has so many series that one of its labels must be an id or free text."""


class Histogram:
    """Observations counted in buckets, in plain numbers."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and cumulative counts, as Prometheus has them."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, (float(count) for count in accumulate(self.counts)), strict=True))


class Names:
    """Bounds a label whose values users choose: the first so many keep their name, the others share one."""

    def __init__(self, most: int = MAX_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, name: str) -> str:
        """Return the label's value for `name`."""
        if len(self._known) < self._most:
            self._known.add(name)
        return name if name in self._known else OTHER


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name in base units, meaning, labels, and value per label values."""

    name: str  # bookrunner_<service>_<what>_<unit>; a counter's ends in _total
    documentation: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    samples: Mapping[Any, Any] = field(default_factory=dict)  # numbers or `Histogram`s by label values

    def __post_init__(self) -> None:
        if not self.name.startswith("bookrunner_"):
            raise ValueError(f"{self.name}: a metric's name starts with bookrunner_")
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and only they, end in _total")
        if len(self.samples) > MAX_SERIES:
            raise UnboundedLabelsError(f"{self.name} has {len(self.samples)} series, over {MAX_SERIES}")


_KINDS: Final[dict[str, Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class _Folded(Collector):
    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families():
            metric = _KINDS[family.kind](family.name, family.documentation, labels=family.labels)
            for values, value in family.samples.items():
                if isinstance(value, Histogram):
                    metric.add_metric(values, value.buckets, sum_value=value.total)
                else:
                    metric.add_metric(values, value)
            yield metric

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is counted yet when this is registered


def create_registry(families: Callable[[], Iterable[Family]] | None = None) -> CollectorRegistry:
    """Return a registry with the process metrics, and what `families` returns at each scrape."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    collect(registry, _logged)
    if families is not None:
        collect(registry, families)
    return registry


def collect(registry: CollectorRegistry, families: Callable[[], Iterable[Family]]) -> None:
    """Add what `families` returns at each scrape."""
    registry.register(_Folded(families))


def exposition(registry: CollectorRegistry) -> bytes:
    """Return the registry in the Prometheus text format (`CONTENT_TYPE`)."""
    return generate_latest(registry)


@asynccontextmanager
async def serve(registry: CollectorRegistry, settings: ServiceSettings, instance: str) -> AsyncIterator[None]:
    """Serve ``GET /metrics`` on this event loop while the context lasts, if the settings ask for it.

    Parameters
    ----------
    instance
        Names the process among all that share the folder: ``router`` or ``router-2``.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """
    host, port = settings.metrics_host, settings.metrics_port
    if port == 0 and not settings.metrics_targets_dir:
        yield
        return
    server = await scrape.listen(host, port, "/metrics", CONTENT_TYPE, partial(exposition, registry))
    try:
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        with announced(settings, instance, f"{bound_host}:{bound_port}"):
            yield
    finally:
        server.close()  # whoever is still connected is not waited for


@contextmanager
def announced(settings: ServiceSettings, instance: str, address: str) -> Iterator[None]:
    """Say in the targets' folder, if there is one, where this process serves its metrics."""
    if not settings.metrics_targets_dir:
        yield
        return
    service = instance.partition("-")[0]
    file = Path(settings.metrics_targets_dir) / f"{instance}.json"
    target = {"targets": [address], "labels": {"job": service}}
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")  # no target file yet: Prometheus never reads half of one
    unfinished.write_bytes(msgspec.json.encode([target]))
    unfinished.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _logged() -> Iterable[Family]:
    yield Family(
        "bookrunner_log_lines_total",
        "Lines written to the log, by level",
        "counter",
        ("level",),
        {(level,): log.written[level] for level in ("INFO", "WARNING", "ERROR", "CRITICAL")},
    )
