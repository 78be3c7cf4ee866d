"""The topics the gateway materialises, and what it knows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common import topics
from libs.common.live_books import PATIENCE, holds_until
from libs.common.record_view import RecordView
from libs.common.time_units import NS_PER_S
from libs.common.views import BoundedView, View
from services.gateway.asking.idempotency import ReplyView
from services.gateway.http.problems import not_ready
from services.gateway.reading.book_status import BookStatus, status_of
from services.gateway.reading.fleet import Fleet
from services.gateway.reading.newest import Newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.common import events
    from services.gateway.reading.newest import Folded


class GatewayViews:
    """The newest message per key of the compacted topics it answers from; the stopwatch is monotonic, ns.

    Parameters
    ----------
    since_ms
        When they begin, ms since 1970 UTC: of what is told again and again, nothing before is seen.
    """

    def __init__(
        self, l2_silence_s: float, partitions: int, stopwatch: Callable[[], int], since_ms: int = 0
    ) -> None:
        self.subscriptions: View[events.Subscribed] = View(topics.L2_SUBSCRIPTIONS)
        self.tops: View[events.BookTop] = View(topics.L2_BOOK_TOPS)
        self.healths: View[events.BookHealth] = View(topics.L2_BOOK_HEALTH)
        self.replies = ReplyView()
        self.venues: View[events.VenueMetrics] = View(topics.VENUES_METRICS)
        self.records = RecordView()
        self.sizings: View[events.SizingSnapshot] = View(topics.EXECUTION_SIZINGS)
        self.policies: View[events.PolicyRegistered] = View(topics.POLICIES_REGISTRY)
        self.signals: View[events.PolicySignalled] = BoundedView(topics.POLICIES_SIGNALS)
        self.inputs: View[events.ContextInput] = BoundedView(topics.CONTEXT_INPUTS)
        self.input_sources: View[events.ContextSource] = View(topics.CONTEXT_SOURCES)
        self.router_snapshots: View[events.RouterSnapshot] = View(topics.ROUTER_SNAPSHOTS)
        self.positions: View[events.Position] = View(topics.PORTFOLIO_POSITIONS)
        self.risks: View[events.RiskBudget] = View(topics.PORTFOLIO_RISK)
        self.controls: View[events.Event] = View(topics.EXECUTION_CONTROLS)
        self.fleet = Fleet(partitions, stopwatch)
        # Two readers: what is told again and again is fetched together, decisions at once (`by_pace`).
        self.of_markets: tuple[View[Any], ...] = (self.tops, self.healths, self.venues, self.fleet)
        self.of_decisions: tuple[View[Any], ...] = (
            *(self.subscriptions, self.replies, self.records, self.sizings, self.policies),
            *(self.router_snapshots, self.positions, self.risks, self.controls),
            *(self.signals, self.inputs, self.input_sources),
        )
        self.all = self.of_markets + self.of_decisions
        self.newest = {
            view.topic: Newest(view, since_ms if view.topic.repeated else 0)
            for view in self.all
            if view.topic.past_ms or view is self.tops
        }
        self._noted = {topic.name: newest for topic, newest in self.newest.items()}
        self._patience = PATIENCE["showing"]._replace(silence_ns=round(l2_silence_s * NS_PER_S))
        self._ready = False

    @property
    def ready(self) -> bool:
        """Every view has once caught up with its log as it was at the start."""
        self._ready = self._ready or all(view.ready for view in self.all)
        return self._ready

    def require_ready(self) -> None:
        """Refuse to answer from state that is still being read.

        Raises
        ------
        ProblemError
            503 while a view is behind.
        """
        if not self.ready:
            behind = ", ".join(view.topic.name for view in self.all if not view.ready)
            raise not_ready(f"Still reading {behind}.")

    def note(self, records: Iterable[Folded]) -> None:
        """Take note of where records stand that were folded."""
        for record in records:
            newest = self._noted.get(record.topic.name)
            if newest is not None:
                newest.take(record)

    def is_subscribed(self, key: bytes) -> bool:
        """Tell whether a book is wanted, or still kept by l2."""
        return key in self.subscriptions.items or key in self.healths.items

    def subscribed(self) -> list[bytes]:
        """Return the keys of all such books, in order."""
        return sorted(self.subscriptions.items.keys() | self.healths.items.keys())

    def shown(self, key: bytes, now: int) -> BookStatus:
        """Return the state of the book under `key` as callers see it."""
        return status_of(self.tops.items.get(key), self.healths.items.get(key), now, self._patience)

    def shown_until(self, top: events.BookTop, health: events.BookHealth | None, now: int) -> float:
        """Return the last moment (ns UTC) at which these are shown as at `now`; see `holds_until`."""
        return holds_until(top, health, now, self._patience)
