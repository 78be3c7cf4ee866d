"""What the readers of one book are owed, and by when: tops, keyframes, and its health as a heartbeat.

A top follows each change, not more often than the beat of `top_interval_ns`, and comes again where nothing
changes.
Health comes with each heartbeat, and at once where the book's state changes or its silence becomes doubtful.
Where the policy does not repeat, what has not changed is told again to who asks alone, if it is as old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from libs.common.book_features import features_of
from libs.common.events import BookHealth, BookTop
from libs.common.time_units import NS_PER_MS
from libs.common.topic import REPEATED_MS
from services.l2.policy import NEVER
from services.l2.rhythm import Rhythm

if TYPE_CHECKING:
    from libs.common.events import BookSnapshot, BookState, InstrumentTerms
    from libs.common.order_book import OrderBook
    from services.l2.features import TradeFlow
    from services.l2.maintainer import Counts
    from services.l2.messages import Output
    from services.l2.policy import Policy
    from services.l2.rate_limits import VenueBudget

TOP_LEVELS: Final = 50
REPEAT_NS: Final = REPEATED_MS * NS_PER_MS  # between two tops while nothing changes
REASON_CHARS: Final = 500  # a venue's own words may be as long as a frame


def on_beat(now: int, interval_ns: int) -> int:
    """Return the beat, common to all books, that is nearest to an interval from now.

    So what they owe at intervals goes to Kafka together, and is fetched together.
    """
    return (2 * now + 3 * interval_ns) // (2 * interval_ns) * interval_ns


def next_beat(now: int, interval_ns: int) -> int:
    """Return the first beat after now: who waits for an interval and some misses none."""
    return (now // interval_ns + 1) * interval_ns


class ToldBook(Protocol):
    """What is told of a book: of one that is kept here, or of one that somebody kept."""

    venue: str
    symbol: str
    state: BookState
    reason: str
    since: int  # ns
    epoch: int
    seq: int
    position: int | None
    venue_ts: int | None
    received_ts: int
    counts: Counts

    @property
    def book(self) -> OrderBook:
        """Its levels."""

    @property
    def live(self) -> bool:
        """Whether the book may be used."""

    @property
    def synced(self) -> bool:
        """Whether the book follows its venue, whatever there is in it."""

    def keyframe(self) -> BookSnapshot:
        """Return the whole book under the seq of the state it shows."""


class ToldTerms(Protocol):
    """What the venue demands of an order, as it said last."""

    @property
    def terms(self) -> InstrumentTerms | None:
        """None where it has not."""


class Publication:
    """The messages that one book owes its readers beside its deltas; changed in place."""

    def __init__(
        self,
        maintainer: ToldBook,
        flow: TradeFlow,
        budget: VenueBudget,
        instruments: ToldTerms,
        policy: Policy,
    ) -> None:
        self._maintainer = maintainer
        self._flow = flow
        self._budget = budget
        self._instruments = instruments
        self._policy = policy
        self._rhythm = Rhythm()
        self._in_doubt = False  # as last said
        self._state: BookState | None = None  # as last said
        self._reason = ""  # the same
        self._top_due = False
        self._top_at = 0
        self._keyframe_at = 0
        self._health_at = 0
        self._top_seq = (0, 0)  # epoch and seq of the newest top
        self._top_seq_before = (0, 0)  # the same at the heartbeat before
        self._top_seq_at = 0  # when it is taken again

    def begin(self, now: int) -> list[Output]:
        """Return the first top of a new epoch and the news that the book is LIVE."""
        self._rhythm.begin(now)
        self._flow.clear()
        return self.go_on(self._maintainer, now)

    def go_on(self, maintainer: ToldBook, now: int) -> list[Output]:
        """Return the first top and the health of a new epoch, by a maintainer that took over if need be."""
        self._maintainer = maintainer
        self._keyframe_at = now + self._policy.keyframe_ns
        return [*self._top(now), self.health(now)]

    def speak_of(self, maintainer: ToldBook) -> None:
        """Tell from here on of the book of a maintainer that stands in for the one before."""
        self._maintainer = maintainer

    def on_delta(self, now: int) -> None:
        """Owe a top: the venue sent a change."""
        self._top_due = True
        self._rhythm.beat(now)

    def turned(self, now: int) -> list[Output]:
        """Return the book's health, if its state is not the one last said: a side is empty, or is no more."""
        if self._maintainer.state is self._state and self._maintainer.reason == self._reason:
            return []
        return [self.health(now)]

    def changed_top(self, now: int) -> list[Output]:
        """Return the top that a change is owed, unless the last one is too young."""
        return self._top(now) if self._top_due and now >= self._top_at else []

    def periodic(self, now: int) -> list[Output]:
        """Return the top and the keyframe of a synced book that are due."""
        repeated = self._policy.repeats and now >= self._top_at + REPEAT_NS
        out: list[Output] = self._top(now) if repeated else self.changed_top(now)
        if now >= self._keyframe_at:
            self._keyframe_at = now + self._policy.keyframe_ns
            out.append(self._maintainer.keyframe())
        return out

    def next_due(self, now: int) -> int:
        """Return when a top, a keyframe or a health is due (ns), `now` if one is already."""
        maintainer, due = self._maintainer, self._repeated_at
        if maintainer.live:
            if self._rhythm.in_doubt(now) is not self._in_doubt:
                return now
            due = min(due, self._rhythm.turns_at(now))
        elif self._in_doubt:
            return now
        if maintainer.synced:
            again_ns = REPEAT_NS if self._policy.repeats else NEVER
            top_at = self._top_at if self._top_due else self._top_at + again_ns
            due = min(due, top_at, self._keyframe_at)
        return due

    def heartbeat(self, now: int) -> list[Output]:
        """Return the book's health, if it is due or its silence is doubtful in another way than last said."""
        in_doubt = self._doubtful(now)
        if in_doubt is self._in_doubt and now < self._repeated_at:
            return []
        self._in_doubt = in_doubt
        return [self.health(now)]

    def asked(self, now: int) -> list[Output]:
        """Return the book's health, and before it the top, if that would have been told again by now."""
        again = not self._top_due and now >= self._top_at + REPEAT_NS
        out: list[Output] = self._top(now) if again else []
        self._in_doubt = self._doubtful(now)
        return [*out, self.health(now)]

    def health(self, now: int) -> BookHealth:
        """Return the book's state and counts, and owe the next heartbeat."""
        self._health_at = next_beat(now, self._policy.heartbeat_ns)
        self._state, self._reason = self._maintainer.state, self._maintainer.reason
        book, counts, budget = self._maintainer, self._maintainer.counts, self._budget
        epoch, seq = self._top_seq_before
        if now >= self._top_seq_at:
            self._top_seq_at, self._top_seq_before = now + self._policy.heartbeat_ns, self._top_seq
        return BookHealth(
            venue=book.venue,
            symbol=book.symbol,
            state=book.state,
            epoch=book.epoch,
            seq=book.seq,
            reason=book.reason[:REASON_CHARS],
            owner=self._policy.owner,
            since_ts=book.since,
            ts=now,
            messages=counts.messages,
            gaps=counts.gaps,
            resyncs=counts.resyncs,
            checksum_failures=counts.checksum_failures,
            disconnects=counts.disconnects,
            stales=counts.stales,
            bad_frames=counts.bad_frames,
            orphan_deletes=counts.orphan_deletes,
            checksums_matched=counts.checksums_matched,
            quotes_matched=counts.quotes_matched,
            lag_ns=book.received_ts - book.venue_ts if book.venue_ts is not None else 0,
            rate_remaining=budget.rest.left(now),
            requests=budget.requests,
            request_ns=budget.request_ns,
            told_seq=seq if epoch == book.epoch else 0,
            in_doubt=self._doubtful(now),
            false_stamps=counts.false_stamps,
            repeated_trades=counts.repeated_trades,
            trade_holes=counts.trade_holes,
            missing_trades=counts.missing_trades,
            reconnects=counts.reconnects,
            resnapshots=counts.resnapshots,
            ignored=counts.ignored,
            terms=self._instruments.terms,
            feed=self._policy.feed,
        )

    @property
    def _repeated_at(self) -> int:
        """When the health is told though nothing turned, or at once where its state was told by nothing."""
        untold = self._maintainer.state is not self._state
        return self._health_at if self._policy.repeats or untold else NEVER

    def _doubtful(self, now: int) -> bool:
        return self._maintainer.live and self._rhythm.in_doubt(now)

    def _top(self, now: int) -> list[Output]:
        maintainer, book = self._maintainer, self._maintainer.book
        if not maintainer.synced:
            return []
        low, high = book.known
        self._top_due = False
        self._top_at = on_beat(now, self._policy.top_interval_ns)
        self._top_seq = (maintainer.epoch, maintainer.seq)
        return [
            BookTop(
                venue=maintainer.venue,
                symbol=maintainer.symbol,
                epoch=maintainer.epoch,
                seq=maintainer.seq,
                venue_seq=maintainer.position,
                bids=tuple([level for level in book.bids(TOP_LEVELS) if level[0] >= low]),
                asks=tuple([level for level in book.asks(TOP_LEVELS) if level[0] <= high]),
                features=features_of(book, self._flow.imbalance(now)),
                venue_ts=maintainer.venue_ts,
                received_ts=maintainer.received_ts,
            )
        ]
