"""Counts of what was asked and answered, in plain numbers, folded for Prometheus when it asks."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

# Seconds; hot answers take microseconds, commands milliseconds to seconds.
BUCKETS: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
UNROUTED: Final = "unrouted"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Latencies:
    """A histogram of seconds."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one answer."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total_s += seconds


class Traffic(Collector):
    """Answers by method, route template and status, with the seconds until their first byte."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], Latencies] = {}

    def of(self, method: str, route: str, status: int) -> Latencies:
        """Return the histogram of these answers; a method HTTP does not know is counted as ``other``."""
        label = (method if method in _METHODS else "other", route, status)
        try:
            return self._answers[label]
        except KeyError:
            return self._answers.setdefault(label, Latencies())

    def collect(self) -> Iterable[Metric]:
        """Yield the histogram; its ``_count`` is the number of requests."""
        family = HistogramMetricFamily(
            "bookrunner_gateway_request_seconds",
            "From request to the first byte of its answer",
            labels=("method", "route", "status"),
        )
        bounds = [str(bound) for bound in BUCKETS] + ["+Inf"]
        for (method, route, status), latencies in self._answers.items():
            cumulative = [float(count) for count in accumulate(latencies.counts)]
            family.add_metric(
                (method, route, str(status)),
                list(zip(bounds, cumulative, strict=True)),
                sum_value=latencies.total_s,
            )
        yield family

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is counted shows at the first scrape."""
        return ()
