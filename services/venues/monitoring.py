"""What venues tells Prometheus: what it reads and writes, whom it chose, and what it measured."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from libs.common.events import CommandRejected, Refusal, VenueMetrics, VenueScored
from libs.common.metrics import Family, Histogram
from libs.common.monitoring import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable


BOOK = ("venue", "symbol")


class VenuesMonitor:
    """Counts in plain numbers; the newest measurements are kept by book, the newest scores by venue."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._chosen: Counter[str] = Counter()
        self._refusals = Counter({refusal.value: 0 for refusal in Refusal})
        self._measured: dict[tuple[str, str], VenueMetrics] = {}
        self._scores: dict[str, float] = {}
        self._eligible: dict[str, bool] = {}
        self._answer_s = Histogram(SECONDS)
        self._age_s: dict[str, float] = {}
        self.ready_s = 0.0  # from the start until measurements and views were rebuilt; 0 until then
        self.holes = 0
        self.failures = 0
        self.left_out = 0
        self.unknown_tops = 0  # those of another version among what was left out
        self.too_large = 0

    def read(self, kind: str, topic: str, age_s: float, count: int = 1) -> None:
        """Count messages, the last of which was so old when its turn came."""
        self._read[kind] += count
        self._age_s[topic] = age_s

    def wrote(self, topic: str) -> None:
        """Count a record."""
        self._written[topic] += 1

    def measured(self, metrics: VenueMetrics) -> None:
        """Keep what is known of a book."""
        self._measured[metrics.venue, metrics.symbol] = metrics

    def forget(self, venue: str, symbol: str) -> None:
        """Forget a book that ended."""
        self._measured.pop((venue, symbol), None)

    def answered(self, answer: VenueScored | CommandRejected, seconds: float) -> None:
        """Count an answer, which came so long after its command."""
        self._answer_s.observe(seconds)
        if isinstance(answer, CommandRejected):
            self._refusals[answer.refusal.value] += 1
            return
        self._chosen[answer.venue] += 1
        for candidate in answer.candidates:
            self._eligible[candidate.venue] = candidate.eligible
            if candidate.score is not None:
                self._scores[candidate.venue] = candidate.score

    def families(self) -> Iterable[Family]:
        """Return every metric of the service."""
        prefix = "bookrunner_venues"
        for what, text, label, counts in (
            ("read_total", "Messages read, by type", "message", self._read),
            ("written_total", "Records written, by topic", "topic", self._written),
            ("chosen_total", "Venues that took an order at the least cost", "venue", self._chosen),
            ("refusals_total", "Commands refused, by reason", "refusal", self._refusals),
        ):
            samples = {(name,): count for name, count in counts.items()}
            yield Family(f"{prefix}_{what}", text, "counter", (label,), samples)
        for what, text, label, values in (
            ("input_age_seconds", "Age of the newest message when its turn came", "topic", self._age_s),
            ("score", "Minus the cost in bps, when a venue was last scored", "venue", self._scores),
            ("eligible", "1 if the venue passed the gates when last looked at", "venue", self._eligible),
        ):
            gauges = {(name,): float(value) for name, value in values.items()}
            yield Family(f"{prefix}_{what}", text, "gauge", (label,), gauges)
        yield Family(
            f"{prefix}_answer_seconds",
            "From a command's own time until Kafka has its answer",
            "histogram",
            (),
            {(): self._answer_s},
        )
        yield Family(
            f"{prefix}_restore_seconds",
            "From the start until measurements and views were rebuilt; 0 until then",
            "gauge",
            (),
            {(): self.ready_s},
        )
        yield Family(
            f"{prefix}_offset_holes_total",
            "Holes between commands that were looked into, and held markers only",
            "counter",
            (),
            {(): self.holes},
        )
        yield Family(
            f"{prefix}_left_out_total",
            "Messages left out, as only another version knows them or their venue",
            "counter",
            (),
            {(): self.left_out + self.unknown_tops},
        )
        yield Family(
            f"{prefix}_too_large_total",
            "Messages not written, as their topic takes none so large; kept in dead-letters.v1",
            "counter",
            (),
            {(): self.too_large},
        )
        yield Family(
            f"{prefix}_failures_total",
            "Messages that the handler raised on, kept in dead-letters.v1",
            "counter",
            (),
            {(): self.failures},
        )
        yield from self._measurements()

    def _measurements(self) -> Iterable[Family]:
        for what, text, name, scale in (
            ("latency_seconds", "Median from the venue's time to the receipt", "latency_p50_ms", 1e-3),
            ("request_seconds", "Median round trip of a request", "request_p50_ms", 1e-3),
            ("spread_ratio", "Best ask minus best bid, of the mid", "spread_bps", 1e-4),
            ("reliability_ratio", "Posterior mean of being LIVE and well", "reliability", 1.0),
            ("rate_remaining_ratio", "Share of the venue's rate limit that is left", "rate_remaining", 1.0),
            ("reference_cost_ratio", "All-in cost of the reference order", "reference_cost_bps", 1e-4),
        ):
            known = {book: getattr(metrics, name) for book, metrics in self._measured.items()}
            samples = {book: value * scale for book, value in known.items() if value is not None}
            yield Family(f"bookrunner_venues_{what}", text, "gauge", BOOK, samples)
