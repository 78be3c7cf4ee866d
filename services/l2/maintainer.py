"""`BookMaintainer`: one venue's messages in, one verified book and its contiguous deltas out.

A delta is applied whole, then truncated to the venue's window, then checked (crossed, checksum, the venue's
own best quote), and only then published. What fails a check is never published: the book is lost instead, and
its next life is a new epoch. A book that follows its venue and has an empty side is ONE_SIDED: its deltas are
published under the epoch it has, and it is LIVE as soon as both sides have levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from libs.common.events import BookDelta, BookSnapshot, BookState, Event
from libs.common.live_books import missing_side
from libs.common.order_book import EVERYWHERE, OrderBook
from libs.common.time_units import NS_PER_MS
from libs.common.topics import L2_BOOK_DELTAS
from services.l2.book_states import Trigger, after
from services.l2.feeds.feed import Step

if TYPE_CHECKING:
    from libs.common.events import Level
    from services.l2.feeds.feed import Feed
    from services.l2.feeds.venue_messages import BestQuote, VenueDelta, VenueSnapshot

CONSISTENT: Final = "consistent"
UNVERIFIED: Final = "consistent as far as can be seen; the venue offers no proof"
LEFT: Final = "the market left what the snapshot showed"
LEVEL_BYTES: Final = 19  # of a (price, size) in MessagePack: an array of two, two float64
ROOM_BYTES: Final = 4096  # for all that a keyframe holds beside its levels
MOST_LEVELS: Final = (L2_BOOK_DELTAS.max_message_bytes - ROOM_BYTES) // LEVEL_BYTES  # of both sides
SYNCED: Final = (BookState.LIVE, BookState.ONE_SIDED)
KEPT: Final = (*SYNCED, BookState.SYNCING, BookState.HALTED)
MAX_QUOTES: Final = 4096  # best quotes held until the book reaches their id


@dataclass(slots=True)
class Counts:
    """What happened to a book since its owner started."""

    messages: int = 0
    gaps: int = 0
    resyncs: int = 0
    checksum_failures: int = 0
    disconnects: int = 0
    stales: int = 0
    bad_frames: int = 0
    orphan_deletes: int = 0
    checksums_matched: int = 0
    quotes_matched: int = 0
    false_stamps: int = 0
    repeated_trades: int = 0
    trade_holes: int = 0
    missing_trades: int = 0
    reconnects: int = 0
    resnapshots: int = 0
    ignored: int = 0


class BookMaintainer:
    """Keeps one book of one venue; changed in place by each message.

    Attributes
    ----------
    position
        The venue's id of the book, where it has ids.
    seq
        Ours: 1 at an epoch's snapshot, +1 with each published delta.
    """

    def __init__(self, feed: Feed, symbol: str, now: int, buffer_limit: int, owner: str) -> None:
        self.feed = feed
        self.owner = owner
        self.venue = feed.venue
        self.symbol = symbol
        self.state = BookState.DISCONNECTED
        self.reason = "not connected yet"
        self.since = now
        self.trigger = Trigger.CLOSED  # by which it was lost last
        self.epoch = 0
        self.seq = 0
        self.position: int | None = None
        self.venue_ts: int | None = None
        self.received_ts = now
        self.book = OrderBook()
        self.counts = Counts()
        self.snapshot_outdated = False
        self._buffer: list[VenueDelta] = []
        self._buffer_limit = buffer_limit
        self._quotes: dict[int, BestQuote] = {}
        self._digits = feed.new_digit_book()
        self._proof = CONSISTENT

    @property
    def live(self) -> bool:
        """Whether the book is proven consistent and may be used."""
        return self.state is BookState.LIVE

    @property
    def synced(self) -> bool:
        """Whether the book follows its venue, whatever there is in it."""
        return self.state in SYNCED

    @property
    def lost(self) -> bool:
        """Whether the book has to begin anew; a HALTED one waits for its venue."""
        return self.state not in KEPT

    def sync(self, now: int, reason: str) -> None:
        """Start over: hold deltas until a snapshot joins them."""
        self._move(Trigger.SYNC, reason, now)
        self._buffer.clear()
        self._quotes.clear()
        self.snapshot_outdated = False

    def lose(self, trigger: Trigger, reason: str, now: int) -> None:
        """Leave LIVE (or SYNCING) because the book can no longer be trusted, or its venue does not match.

        A HALTED book is not followed, so nothing in its stream can be missed.
        """
        if self.state is BookState.HALTED and trigger in (Trigger.HOLE, Trigger.MISMATCH, Trigger.TOO_LARGE):
            return
        if trigger is Trigger.HOLE:
            self.counts.gaps += 1
        elif trigger is Trigger.MISMATCH:
            self.counts.checksum_failures += 1
        elif trigger is Trigger.SILENCE:
            self.counts.stales += 1
        elif trigger in (Trigger.CLOSED, Trigger.REFUSED, Trigger.TOO_LARGE):
            self.counts.disconnects += 1
        self.trigger = trigger
        self._move(trigger, reason, now)
        self._buffer.clear()

    def on_snapshot(self, snapshot: VenueSnapshot, now: int) -> list[Event]:
        """Load the venue's book, join the held deltas, and publish the keyframe of a new epoch.

        A snapshot older than the first held delta cannot be joined, and one whose part of the book the market
        has left shows no best price: `snapshot_outdated` is set, the deltas are kept, and another snapshot is
        needed.
        """
        if self.synced:
            self.counts.resyncs += 1
            self.sync(now, "the venue sent a new snapshot")
        if self.state is not BookState.SYNCING:
            return []
        self.snapshot_outdated = False
        if (levels := len(snapshot.bids) + len(snapshot.asks)) > MOST_LEVELS:  # before any work with them
            self.lose(
                Trigger.TOO_LARGE,
                f"a snapshot of {levels} levels, a keyframe holds at most {MOST_LEVELS}",
                now,
            )
            return []
        self.book.load(snapshot.bids, snapshot.asks)
        self.book.known = _known_by(snapshot)
        self._truncate()
        self.position = snapshot.sequence
        self.venue_ts = snapshot.venue_ts
        if self._digits is not None:
            self._digits.load(snapshot)
        if not self._holds(snapshot.checksum, now) or not self._join(now, verified=snapshot.verified):
            return []
        if self.book.is_beyond:
            self.snapshot_outdated = True
            self.reason = LEFT
            return []
        self._buffer.clear()
        self._proof = CONSISTENT if snapshot.verified else UNVERIFIED
        self._move(Trigger.JOINED, self._proof, now)
        self._judge_sides(now)
        self.received_ts = now
        return [self.begin_epoch(self.epoch, now)]

    def succeed(self, before: BookMaintainer, now: int) -> BookSnapshot:
        """Take the place of the book before, with its counts; return the keyframe of the new epoch.

        Both follow the venue: where they are in one state, the book has been since it last became so.
        """
        self.counts = before.counts
        if self.state is before.state:
            self.since = before.since
        return self.begin_epoch(before.epoch, now)

    def stand_in(self, before: BookMaintainer) -> None:
        """Go on, with its counts, where a book was lost."""
        self.counts, self.epoch, self.trigger = before.counts, before.epoch, before.trigger
        if self.state is BookState.DISCONNECTED:
            self.reason = before.reason

    def begin_epoch(self, above: int, now: int) -> BookSnapshot:
        """Return the keyframe of a new epoch, which is later than one that was published."""
        self.epoch = max(now // NS_PER_MS, above + 1)
        self.seq = 1
        self.counts.messages += 1
        return self.keyframe("resync")

    def is_behind(self, other: BookMaintainer) -> bool:
        """Return whether the other book is newer by the venue's ids or, where it has none, by its clock."""
        if self.position is not None and other.position is not None:
            return self.position < other.position
        if self.venue_ts is not None and other.venue_ts is not None:
            return self.venue_ts < other.venue_ts
        return False

    def on_delta(self, delta: VenueDelta, now: int) -> list[Event]:
        """Apply one delta and publish it, hold it while syncing, or lose the book."""
        if self.state not in SYNCED:
            if self.state is BookState.SYNCING:
                self._hold(delta, now)
            return []
        step = self.feed.step(self.position, delta)
        if step is not Step.APPLY:
            if step is Step.GAP:
                self.lose(Trigger.HOLE, self._hole(delta), now)
            return []
        bids, asks = self._apply(delta)
        if (levels := len(bids) + len(asks)) > MOST_LEVELS:  # deletes, else the book would be too large
            self.lose(
                Trigger.TOO_LARGE, f"a delta of {levels} levels, a message holds at most {MOST_LEVELS}", now
            )
            return []
        if not self._holds(delta.checksum, now) or not self._agrees(now):
            return []
        self._judge_sides(now)
        self.received_ts = now
        self.counts.messages += 1
        if not bids and not asks:
            return []
        self.seq += 1
        return [
            BookDelta(
                venue=self.venue,
                symbol=self.symbol,
                epoch=self.epoch,
                seq=self.seq,
                venue_seq=self.position,
                bids=bids,
                asks=asks,
                venue_ts=delta.venue_ts,
                received_ts=now,
            )
        ]

    def on_quote(self, quote: BestQuote, now: int) -> None:
        """Hold the venue's own best bid and ask against the book as soon as it has that id."""
        if not self.synced or self.position is None or quote.sequence < self.position:
            return
        if len(self._quotes) >= MAX_QUOTES:
            self._quotes.pop(next(iter(self._quotes)))
        self._quotes[quote.sequence] = quote
        if quote.sequence == self.position:
            self._agrees(now)

    def keyframe(self, reason: str = "keyframe") -> BookSnapshot:
        """Return the whole book under the seq of the state it shows."""
        return BookSnapshot(
            venue=self.venue,
            symbol=self.symbol,
            epoch=self.epoch,
            seq=self.seq,
            venue_seq=self.position,
            bids=self.book.bids(),
            asks=self.book.asks(),
            venue_ts=self.venue_ts,
            received_ts=self.received_ts,
            reason="resync" if reason == "resync" else "keyframe",
            owner=self.owner,
        )

    def _move(self, trigger: Trigger, reason: str, now: int) -> None:
        self.state = after(self.state, trigger)
        self.reason = reason
        self.since = now

    def _judge_sides(self, now: int) -> None:
        """Call a synced book ONE_SIDED while a side is empty, with the side that is, else LIVE."""
        missing = missing_side(self.book.best_bid, self.book.best_ask)
        if missing is None:
            if not self.live:
                self._move(Trigger.TWO_SIDED, self._proof, now)
        elif missing != self.reason:
            self._move(Trigger.ONE_SIDED, missing, now)

    def _hold(self, delta: VenueDelta, now: int) -> None:
        if not self.feed.snapshot_by_rest:
            return  # the in-band snapshot comes after it and contains it
        if len(self._buffer) >= self._buffer_limit:
            self.lose(Trigger.HOLE, f"{self._buffer_limit} held deltas and no snapshot that joins", now)
            return
        if self._buffer:
            last = self._buffer[-1].last
            step = self.feed.step(last, delta)
            if step is Step.OLD and delta.last == last:
                return  # the same again
            if step is not Step.APPLY:
                self.counts.gaps += 1
                self._buffer.clear()  # no snapshot from before the hole could be joined; a later one can
        self._buffer.append(delta)

    def _join(self, now: int, *, verified: bool) -> bool:
        """Apply the held deltas to a snapshot; where that fails, want another snapshot or lose the book."""
        joined = False
        for delta in self._buffer:
            step = self.feed.step(self.position, delta)
            if not verified and delta is self._buffer[0] and step is Step.APPLY:
                step = Step.GAP  # without ids, only one as old as the snapshot shows that none is missing
            if step is Step.OLD:
                continue
            if step is Step.GAP:
                if joined:
                    self.lose(Trigger.HOLE, f"hole in the held deltas: {self._hole(delta)}", now)
                else:
                    self.snapshot_outdated = True
                    self.reason = f"snapshot older than the stream: {self._hole(delta)}"
                return False
            joined = True
            self._apply(delta)
            if not self._holds(delta.checksum, now):
                return False
        return True

    def _apply(self, delta: VenueDelta) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Apply a delta and return the levels to publish: the venue's and those that left its window."""
        self.counts.orphan_deletes += self.book.apply(delta.bids, delta.asks)
        gone_bids, gone_asks = self._truncate()
        if delta.last is not None:
            self.position = delta.last
        self.venue_ts = delta.venue_ts
        if self._digits is not None:
            self._digits.apply(delta)
        return delta.bids + gone_bids, delta.asks + gone_asks

    def _truncate(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Drop what lies below the venue's window, for it sends no delete (Kraken: book.md, 2026-08)."""
        if self.feed.depth is None:
            return (), ()
        return self.book.truncate(self.feed.depth)

    def _holds(self, checksum: int | None, now: int) -> bool:
        """Check the book after a whole message; lose it when crossed, too large or of another checksum."""
        if (levels := sum(self.book.counts())) > MOST_LEVELS:
            self.lose(Trigger.TOO_LARGE, f"{levels} levels, a keyframe holds at most {MOST_LEVELS}", now)
            return False
        if self.book.crossed:
            bid, ask = self.book.best_bid, self.book.best_ask
            self.lose(Trigger.HOLE, f"crossed: best bid {bid} is not under best ask {ask}", now)
            return False
        if checksum is not None and self._digits is not None:
            ours = self.feed.checksum(self._digits.bids(), self._digits.asks())
            if ours != checksum:
                self.lose(Trigger.MISMATCH, f"checksum {ours}, the venue says {checksum}", now)
                return False
            self.counts.checksums_matched += 1
        return True

    def _agrees(self, now: int) -> bool:
        """Compare with the venue's best quote at this very id; lose the book when they differ."""
        if not self._quotes or self.position is None:
            return True
        quote = self._quotes.pop(self.position, None)
        while self._quotes and (oldest := next(iter(self._quotes))) <= self.position:
            del self._quotes[oldest]
        if quote is None:
            return True
        ours = self.book.best_bid, self.book.best_ask
        if ours == (quote.bid, quote.ask):
            self.counts.quotes_matched += 1
            return True
        theirs = f"{quote.bid} / {quote.ask}"
        self.lose(
            Trigger.HOLE, f"best {ours[0]} / {ours[1]}, the venue says {theirs} at {quote.sequence}", now
        )
        return False

    def _hole(self, delta: VenueDelta) -> str:
        return f"book at {self.position}, next delta {delta.first}..{delta.last}"


def _known_by(snapshot: VenueSnapshot) -> tuple[float, float]:
    """Return the edges of a snapshot: where a side is as long as it may be, the venue has more beyond it."""
    low, high = EVERYWHERE
    if snapshot.limit is not None and len(snapshot.bids) >= snapshot.limit:
        low = min(price for price, _ in snapshot.bids)
    if snapshot.limit is not None and len(snapshot.asks) >= snapshot.limit:
        high = max(price for price, _ in snapshot.asks)
    return EVERYWHERE if (low, high) == EVERYWHERE else (low, high)
