"""When a book that is syncing asks for its snapshot, and how long it has waited for one."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from services.l2.arrivals import Arrival
from services.l2.messages import Fetch
from services.l2.rate_limits import Share

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed
    from services.l2.messages import Output
    from services.l2.rate_limits import VenueBudget

FIRST_DELTA_NS: Final = NS_PER_S  # a quiet stream need not speak before its snapshot is fetched


class SnapshotRequests:
    """One book's requests for snapshots, of which one is open at most; changed in place.

    A venue that sends its snapshots in the stream is asked for none, and has the same time to send one.
    """

    def __init__(self, feed: Feed, symbol: str, rest_base: str, budget: VenueBudget, now: int) -> None:
        self._feed = feed
        self._symbol = symbol
        self._key = f"{feed.venue}:{symbol}"
        self._rest_base = rest_base
        self._budget = budget
        self._cost = budget.limits.snapshot_cost
        self._share = Share(budget.rest)
        self._numbers = count(1)
        self._pending: int | None = None  # the number whose answer is awaited
        self._awaits_stream = False  # it is asked for as soon as the stream has spoken
        self._due_at: int | None = None
        self._arrival = Arrival(now)

    @property
    def due_at(self) -> int | None:
        """When the next one is to be asked for (ns), None where none is."""
        return self._due_at

    def beside(self, now: int) -> SnapshotRequests:
        """Return other requests for the same book, which draw on the same share and count on."""
        other = SnapshotRequests(self._feed, self._symbol, self._rest_base, self._budget, now)
        other._share, other._numbers = self._share, self._numbers
        return other

    def on_opened(self, now: int) -> None:
        """Begin to wait on a new line: ask once its stream has spoken, or has had its time to."""
        self._awaits_stream = self._feed.snapshot_by_rest
        self.begin(now, now + FIRST_DELTA_NS)

    def on_delta(self, now: int) -> None:
        """Ask at once, if it was the stream's first word that was awaited."""
        if self._awaits_stream:
            self._awaits_stream, self._due_at = False, now

    def begin(self, now: int, at: int) -> None:
        """Await no answer to an earlier request, but a snapshot that is to be asked for at `at` (ns)."""
        self._pending = None
        if self._feed.snapshot_by_rest:
            self.ask_at(at)
        else:
            self._due_at = None
            self._arrival.begin(now)

    def ask_at(self, at: int) -> None:
        """Ask at that time (ns), and wait from then: a pause is no delay of the venue's."""
        self._due_at = at
        self._arrival.begin(at)

    def fetch(self, now: int, *, reserve: bool = True) -> list[Output]:
        """Ask, if it is time, nothing is asked yet, and the venue's budget (see `Share.take`) allows it."""
        if self._due_at is None or now < self._due_at or self._pending is not None:
            return []
        if again_at := self._share.take(self._cost, now, reserve=reserve):
            self.ask_at(again_at)
            return []
        self._pending = next(self._numbers)
        url = self._feed.snapshot_url(self._rest_base, self._symbol)
        return [Fetch(self._key, self._pending, "snapshot", url)]

    def on_bytes(self, request: int | None, count: int, now: int) -> None:
        """Note that so many bytes came of what may be the snapshot: of a reply, or (None) of the stream."""
        if request == self._pending and (request is None) != self._feed.snapshot_by_rest:
            self._arrival.on_bytes(count, now)

    def on_reply(self, number: int) -> bool:
        """Return whether this is the answer that is awaited; then none is any more."""
        if number != self._pending:
            return False
        self._pending = None
        return True

    def overdue(self, now: int, timeout_ns: int) -> bool:
        """Return whether a snapshot that joins has been waited for too long, and does not arrive either."""
        return self._arrival.late(now, timeout_ns)

    def next_due(self, timeout_ns: int) -> int:
        """Return when one is to be asked for, or has been waited for too long (ns)."""
        overdue = self._arrival.due_at(timeout_ns) + 1
        return overdue if self._due_at is None or self._pending is not None else min(overdue, self._due_at)

    def end(self) -> None:
        """Ask for none: the book is LIVE, or its line is closed."""
        self._due_at = self._pending = None

    def wait_like(self, before: SnapshotRequests, by_ns: int) -> None:
        """Count on from the requests and the share before, whose clock was set by so many ns."""
        self._numbers = before._numbers  # so that no late answer finds a request of its number
        self._share = before._share
        self._share.step_clock(by_ns)
