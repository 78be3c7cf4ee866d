"""Prometheus metrics: a registry per service, families computed at scrape time, and their HTTP endpoint.

Services count in plain ints on their event loop; a function folds these into families when Prometheus asks.
It is called on that same loop, so it never sees a half-made change. Units are base units, said in the name.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from prometheus_client.core import Metric

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MAX_SERIES: Final = 10_000  # of one family; more means that a label is not bounded


class UnboundedLabelsError(ValueError):
    """A family has so many series that one of its labels must be an id or free text."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name in base units, meaning, labels, and value per label values."""

    name: str  # bookrunner_<service>_<what>_<unit>; a counter's ends in _total
    documentation: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...] = ()
    samples: Mapping[Any, float] = field(default_factory=dict)  # by tuples of label values

    def __post_init__(self) -> None:
        if not self.name.startswith("bookrunner_"):
            raise ValueError(f"{self.name}: a metric's name starts with bookrunner_")
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and only they, end in _total")
        if len(self.samples) > MAX_SERIES:
            raise UnboundedLabelsError(f"{self.name} has {len(self.samples)} series, over {MAX_SERIES}")


class _Folded(Collector):
    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families():
            make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = make(family.name, family.documentation, labels=family.labels)
            for values, value in family.samples.items():
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
async def serve(registry: CollectorRegistry, *, host: str, port: int) -> AsyncIterator[None]:
    """Serve ``GET /metrics`` on this event loop while the context lasts; port 0 serves nothing.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """
    if port == 0:
        yield
        return

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=exposition(registry), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
