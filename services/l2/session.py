"""`BookSession`: one book with its connection, its retries and what it owes its readers by when.

The session decides; the shell does. Each book has a connection of its own, so one symbol's trouble never
touches another's.

The file is long because a session is one state machine; what needs no sight of the others is elsewhere
(patience, rhythm, shares of budgets, stamps, the memory of trades, history).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

import msgspec

from libs.common.events import BookHealth, BookState, BookTop, Event, Trade
from services.l2.book_states import Trigger
from services.l2.features import TradeFlow, features_of
from services.l2.feeds.feed import (
    Acknowledged,
    BadFrameError,
    BestQuote,
    FrameNumber,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from services.l2.history import History
from services.l2.maintainer import BookMaintainer
from services.l2.messages import (
    CandlesKnown,
    CloseSocket,
    DeadLetter,
    FalseStamp,
    Fetch,
    FrameReceived,
    OpenSocket,
    Output,
    PongReceived,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    TradesMissing,
)
from services.l2.patience import Patience
from services.l2.rate_limits import Share
from services.l2.rhythm import Rhythm
from services.l2.stamps import StampGate
from services.l2.trade_memory import TradeMemory

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed, VenueMessage
    from services.l2.messages import BookMessage
    from services.l2.rate_limits import VenueBudget

NS: Final = 1_000_000_000
TOP_LEVELS: Final = 50
FIRST_DELTA_NS: Final = NS  # a quiet stream need not speak before its snapshot is fetched
HTTP_OK: Final = 200
HTTP_REFUSALS: Final = frozenset({400, 404})  # the venue knows no such symbol
REASON_CHARS: Final = 500  # a venue's own words may be as long as a frame
FALSE_STAMP_NS: Final = 60 * NS  # between two log lines of a book
BEGUN_ANEW_NS: Final = 5 * NS  # the book's venue time never goes back by more, save that a recording restarts


_Timed = TypeVar("_Timed", VenueDelta, VenueSnapshot)


@dataclass(frozen=True, slots=True)
class Policy:
    """The service's patience, in nanoseconds and counts."""

    keyframe_ns: int
    top_interval_ns: int
    heartbeat_ns: int
    sync_timeout_ns: int
    buffer_messages: int
    backoff_min_ns: int
    backoff_max_ns: int
    history_days: int
    history_minutes: int
    owner: str  # this process, as readers see it
    given_up_ns: int = 900 * NS  # pause of a book that is refused, or that no keyframe can hold


class BookSession:
    """Everything about one subscribed book; changed in place by each message."""

    def __init__(
        self, feed: Feed, symbol: str, bases: tuple[str, str], budget: VenueBudget, policy: Policy, now: int
    ) -> None:
        self.key = f"{feed.venue}:{symbol}"
        self.feed = feed
        self.symbol = symbol
        self.policy = policy
        self.budget = budget
        self._rest, self._sockets = Share(budget.rest), Share(budget.sockets)
        self.stream_base, self.rest_base = bases
        self.maintainer = BookMaintainer(feed, symbol, now, policy.buffer_messages, policy.owner)
        self.flow = TradeFlow()
        self.stamps = StampGate()
        self.trades = TradeMemory(contiguous=feed.contiguous_trades)
        self.rhythm = Rhythm()
        self.patience = Patience(self.key, policy.backoff_min_ns, policy.backoff_max_ns)
        self.history = History(feed, symbol, bases[1], policy.history_days, policy.history_minutes)
        self.connection = 0
        self.request = 0
        self._open = False
        self._connecting = False
        self._connect_at: int | None = now
        self._awaits_stream = False  # the snapshot is fetched as soon as the stream has spoken
        self._snapshot_at: int | None = None
        self._snapshot_request: int | None = None
        self._frame_number: int | None = None  # due next, where the venue counts its frames
        self._heard_at = now  # a frame, or a pong
        self._newest_ts: int | None = None  # of the book's messages, by the venue's clock
        self._in_doubt = False
        self._false_stamp_at = 0  # when the last one was logged
        self._sync_since = now
        self._top_due = False
        self._top_at = 0
        self._keyframe_at = 0
        self._health_at = 0
        self._told = (0, 0)  # epoch and seq of the newest top
        self._told_before = (0, 0)  # the same at the heartbeat before
        self._told_at = 0

    # What the shell reports

    def on_message(self, message: BookMessage, now: int) -> list[Output]:
        """Follow what the shell says of this book's socket or requests."""
        match message:
            case FrameReceived():
                return self.on_frame(message, now)
            case PongReceived():
                return self.on_pong(message, now)
            case SocketOpened():
                return self.on_opened(message, now)
            case SocketClosed():
                return self.on_closed(message, now)
            case ReplyReceived():
                return self.on_reply(message, now)
            case CandlesKnown(candles=candles):
                self.history.recall(candles)
                return []
            case _ as unreachable:
                assert_never(unreachable)

    def on_opened(self, message: SocketOpened, now: int) -> list[Output]:
        """Begin to sync: hold deltas, and for REST venues ask for a snapshot once the stream has spoken."""
        if message.connection != self.connection:
            return []
        self._open, self._connecting = True, False
        self._heard_at = now
        self._frame_number = None
        self._awaits_stream = self.feed.snapshot_by_rest
        return self._begin_sync(now, "connected", now + FIRST_DELTA_NS)

    def on_closed(self, message: SocketClosed, now: int) -> list[Output]:
        """Leave LIVE and connect again after a pause."""
        if message.connection != self.connection or not (self._open or self._connecting):
            return []
        self._open = self._connecting = False
        self.maintainer.lose(Trigger.CLOSED, message.reason, now)
        return self._after_loss(now)

    def on_frame(self, message: FrameReceived, now: int) -> list[Output]:
        """Read one frame; what cannot be read may have held levels, so the book is lost with it."""
        if message.connection != self.connection or not self._open:
            return []
        self._heard_at = now
        try:
            said = self.feed.parse(message.raw, self.symbol)
        except BadFrameError as error:
            return self._bad(message.raw, f"unreadable frame: {error}", now)
        out: list[Output] = []
        for item in said:
            out += self._take(item, now)
            if self._lost:
                return out + self._after_loss(now)
        if self._top_due and now >= self._top_at:
            out += self._top(now)
        return out

    def on_pong(self, message: PongReceived, now: int) -> list[Output]:
        """Note that the line lives."""
        if message.connection == self.connection and self._open:
            self._heard_at = now
        return []

    def on_reply(self, message: ReplyReceived, now: int) -> list[Output]:
        """Join a snapshot, take candles, or wait as the venue demands."""
        if message.took_ns is not None:
            self.budget.on_reply(message.took_ns)
        if message.status in (418, 429):
            pause = message.retry_after_s if message.retry_after_s is not None else 5.0
            self.budget.rest.block(now + int(pause * NS))
        if message.purpose != "snapshot":
            return list(self.history.on_reply(message, now))
        if message.request != self._snapshot_request:
            return []
        self._snapshot_request = None
        return self._on_snapshot(message, now) if self.maintainer.state is BookState.SYNCING else []

    def _on_snapshot(self, message: ReplyReceived, now: int) -> list[Output]:
        if message.status != HTTP_OK:
            said = message.body[:200].decode("utf-8", "replace")
            if message.status in HTTP_REFUSALS:
                self._refused(f"HTTP {message.status} {said}", now)
                return self._after_loss(now)
            return self._ask_again(f"snapshot refused: HTTP {message.status} {said}", now)
        try:
            snapshot = self.feed.parse_snapshot(message.body)
        except BadFrameError as error:
            self.maintainer.counts.bad_frames += 1
            reason = f"unreadable snapshot: {error}"
            return [DeadLetter(self.key, message.body, reason), *self._ask_again(reason, now)]
        snapshot, told = self._stamped(snapshot, now)
        if self.feed.placed_by_time and snapshot.venue_ts is None:
            return [*told, *self._ask_again("the snapshot's time, its only place, is false", now)]
        out = [*told, *self._joined(self.maintainer.on_snapshot(snapshot, now), now)]
        if self.maintainer.snapshot_outdated:
            return out + self._ask_again(self.maintainer.reason, now)
        return out + self._after_loss(now) if self._lost else out

    def on_tick(self, now: int) -> list[Output]:
        """Do what is due."""
        if not self._open:
            out = self._connect(now)
        elif now - self._heard_at > self.feed.silence_s * NS:
            self.maintainer.lose(Trigger.SILENCE, f"silent for {self.feed.silence_s:g} s", now)
            out = self._after_loss(now)
        elif self.maintainer.live:
            out = self._serve(now)
        elif now - self._sync_since > self.policy.sync_timeout_ns:
            self.maintainer.lose(
                Trigger.CLOSED, f"no book within {self.policy.sync_timeout_ns / NS:g} s", now
            )
            out = self._after_loss(now)
        else:
            out = self._fetch_snapshot(now)
        out += self.history.on_tick(now, self.budget)
        in_doubt = self.maintainer.live and self.rhythm.in_doubt(now)
        if now >= self._health_at or in_doubt is not self._in_doubt:
            self._in_doubt = in_doubt
            out.append(self.health(now))
        return out

    def close(self) -> list[Output]:
        """Let go of the connection."""
        return [CloseSocket(self.key, self.connection)]

    def begun_anew(self, by_ns: int, now: int) -> BookSession:
        """Return a session that knows nothing of the book and waits like this one: the clock was set."""
        bases = (self.stream_base, self.rest_base)
        anew = BookSession(self.feed, self.symbol, bases, self.budget, self.policy, now)
        anew.maintainer.epoch = self.maintainer.epoch
        anew.connection, anew.request = self.connection + 1, self.request  # no late message finds its own
        anew._rest, anew._sockets, anew.patience = self._rest, self._sockets, self.patience
        anew._rest.step_clock(by_ns)
        anew._sockets.step_clock(by_ns)
        anew.patience.on_clock_set()
        anew.history.wait_like(self.history, by_ns)
        due = self._snapshot_at if self._open else self._connect_at
        anew._connect_at = now if due is None else max(now, due + by_ns)
        return anew

    def health(self, now: int) -> BookHealth:
        """Return the book's state and counts, and owe the next heartbeat."""
        self._health_at = now + self.policy.heartbeat_ns
        book, counts = self.maintainer, self.maintainer.counts
        told_epoch, told_seq = self._told_before
        if now >= self._told_at:
            self._told_at, self._told_before = now + self.policy.heartbeat_ns, self._told
        return BookHealth(
            venue=book.venue,
            symbol=book.symbol,
            state=book.state,
            epoch=book.epoch,
            seq=book.seq,
            reason=book.reason[:REASON_CHARS],
            owner=self.policy.owner,
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
            rate_remaining=self.budget.rest.left(now),
            requests=self.budget.requests,
            request_ns=self.budget.request_ns,
            told_seq=told_seq if told_epoch == book.epoch else 0,
            in_doubt=book.live and self.rhythm.in_doubt(now),
            false_stamps=counts.false_stamps,
            repeated_trades=counts.repeated_trades,
            trade_holes=counts.trade_holes,
            missing_trades=counts.missing_trades,
        )

    # What a frame says

    def _take(self, item: VenueMessage, now: int) -> list[Output]:
        match item:
            case VenueDelta():
                self._top_due = True
                self.rhythm.beat(now)
                if self._awaits_stream:
                    self._awaits_stream, self._snapshot_at = False, now
                delta, told = self._stamped(item, now)
                return told if self._lost else [*told, *self.maintainer.on_delta(delta, now)]
            case VenueTrade():
                return self._on_trade(item, now)
            case BestQuote():
                self.maintainer.on_quote(item, now)
            case VenueSnapshot():
                snapshot, told = self._stamped(item, now)
                return [*told, *self._joined(self.maintainer.on_snapshot(snapshot, now), now)]
            case Refused():
                self._refused(item.reason, now)
            case FrameNumber(number=number):
                expected, self._frame_number = self._frame_number, number + 1
                if expected is not None and number != expected:
                    hole = f"the venue's frame {number} came where {expected} was due"
                    self.maintainer.lose(Trigger.HOLE, hole, now)
            case Heartbeat() | Acknowledged():
                pass  # the connection is alive, which is noted already
            case _ as unreachable:
                assert_never(unreachable)
        return []

    def _stamped(self, item: _Timed, now: int) -> tuple[_Timed, list[Output]]:
        """Return the message without a time that cannot be true; where that is its place, lose the book."""
        if item.venue_ts is None:
            return item, []
        if self.stamps.admits(item.venue_ts, now):
            if self._newest_ts is not None and item.venue_ts < self._newest_ts - BEGUN_ANEW_NS:
                self.trades.clear()
                self._newest_ts = None
            self._newest_ts = max(item.venue_ts, self._newest_ts or item.venue_ts)
            return item, []
        if self.feed.placed_by_time and isinstance(item, VenueDelta):
            self.maintainer.lose(
                Trigger.HOLE, f"a delta's time, its only place, is false: {item.venue_ts}", now
            )
        return msgspec.structs.replace(item, venue_ts=None), self._false_stamp(item.venue_ts, now)

    def _false_stamp(self, stamp: int, now: int) -> list[Output]:
        self.maintainer.counts.false_stamps += 1
        if 0 <= now - self._false_stamp_at < FALSE_STAMP_NS:
            return []
        self._false_stamp_at = now
        return [FalseStamp(self.key, stamp)]

    # Losing and winning a book

    @property
    def _lost(self) -> bool:
        return self.maintainer.state not in (BookState.LIVE, BookState.SYNCING)

    def _after_loss(self, now: int) -> list[Output]:
        """Say what happened, then start over: by a new snapshot where that suffices, else by connecting."""
        self.patience.on_loss(now)
        refused = self.maintainer.trigger is Trigger.REFUSED and self.patience.refused_for_good
        gives_up = self.maintainer.trigger is Trigger.TOO_LARGE or refused
        if gives_up:
            self.maintainer.reason += f"; given up for {self.policy.given_up_ns / NS:g} s"
        out: list[Output] = [self.health(now)]
        self.maintainer.counts.resyncs += 1
        self.history.interrupt()  # where levels were lost, trades may have been lost too
        self._snapshot_request = None
        by_snapshot = self.feed.snapshot_by_rest and self.maintainer.state is BookState.GAP and self._open
        if by_snapshot:
            due = self._snapshot_at  # of the sync that failed, if the venue was not asked yet
            if due is None or due <= now:
                due = now + self.patience.pause(now)
            return out + self._begin_sync(now, f"resync after: {self.maintainer.reason}", due)
        return out + self._reconnect(now, self.policy.given_up_ns if gives_up else self.patience.pause(now))

    def _refused(self, reason: str, now: int) -> None:
        self.patience.on_refusal()
        self.maintainer.lose(Trigger.REFUSED, f"the venue refused: {reason}", now)

    def _reconnect(self, now: int, pause: int) -> list[Output]:
        out: list[Output] = [CloseSocket(self.key, self.connection)] if self._open else []
        self._open = self._connecting = False
        self._snapshot_at = None
        self._connect_at = now + pause
        return out

    def _begin_sync(self, now: int, reason: str, snapshot_at: int) -> list[Output]:
        self.maintainer.sync(now, reason)
        self._sync_since = now
        self._snapshot_at = None
        if self.feed.snapshot_by_rest:
            self._snapshot_at = self._sync_since = snapshot_at  # a pause is no delay of the venue's
        return [self.health(now)]

    def _joined(self, published: list[Event], now: int) -> list[Output]:
        """Follow the keyframe of a new epoch with its top and the news that the book is LIVE."""
        if not self.maintainer.live or not published:
            return []
        self._snapshot_at = self._snapshot_request = None
        self.patience.on_live(now)
        self.rhythm.begin(now)
        self._keyframe_at = now + self.policy.keyframe_ns
        self.flow.clear()
        self.history.resume()
        return [*published, *self._top(now), self.health(now)]

    def _bad(self, raw: bytes, reason: str, now: int) -> list[Output]:
        self.maintainer.counts.bad_frames += 1
        self.maintainer.lose(Trigger.HOLE, reason, now)
        return [DeadLetter(self.key, raw, reason[:REASON_CHARS]), *self._after_loss(now)]

    def _ask_again(self, reason: str, now: int) -> list[Output]:
        self.maintainer.reason = reason
        self._snapshot_at = self._sync_since = now + self.patience.pause(now)
        return [self.health(now)]

    # What is due

    def _connect(self, now: int) -> list[Output]:
        if self._connecting or self._connect_at is None or now < self._connect_at:
            return []
        if again := self._sockets.take(1, now):
            self._connect_at = again
            return []
        self.connection += 1
        self._connecting, self._connect_at = True, None
        return [
            OpenSocket(
                self.key,
                self.connection,
                self.feed.stream_url(self.stream_base, self.symbol),
                self.feed.subscribe(self.symbol),
                self.feed.ping() if self.feed.ping_interval_s is not None else None,
                self.feed.ping_interval_s or 0.0,
                self.feed.pong_interval_s,
            )
        ]

    def _fetch_snapshot(self, now: int) -> list[Output]:
        if self._snapshot_at is None or now < self._snapshot_at or self._snapshot_request is not None:
            return []
        if again := self._rest.take(self.budget.limits.snapshot_cost, now):
            self._snapshot_at = self._sync_since = again
            return []
        self.request += 1
        self._snapshot_request = self.request
        url = self.feed.snapshot_url(self.rest_base, self.symbol)
        return [Fetch(self.key, self.request, "snapshot", url)]

    def _serve(self, now: int) -> list[Output]:
        self.patience.on_tick(now)
        out: list[Output] = []
        if (self._top_due and now >= self._top_at) or now >= self._top_at + self.policy.keyframe_ns:
            out += self._top(now)
        if now >= self._keyframe_at:
            self._keyframe_at = now + self.policy.keyframe_ns
            out.append(self.maintainer.keyframe())
        return out

    def _top(self, now: int) -> list[Output]:
        if not self.maintainer.live:
            return []
        self._top_due = False
        self._top_at = now + self.policy.top_interval_ns
        maintainer, book = self.maintainer, self.maintainer.book
        self._told = (maintainer.epoch, maintainer.seq)
        return [
            BookTop(
                venue=maintainer.venue,
                symbol=maintainer.symbol,
                epoch=maintainer.epoch,
                seq=maintainer.seq,
                venue_seq=maintainer.position,
                bids=book.bids(TOP_LEVELS),
                asks=book.asks(TOP_LEVELS),
                features=features_of(book, self.flow.imbalance(now)),
                venue_ts=maintainer.venue_ts,
                received_ts=maintainer.received_ts,
            )
        ]

    def _on_trade(self, trade: VenueTrade, now: int) -> list[Output]:
        counts, out = self.maintainer.counts, list[Output]()
        if not self.stamps.admits(trade.venue_ts, now):
            self.trades.hole_before(trade)  # its id came, so it leaves no hole
            self.history.distrust(None)  # of a minute that nobody knows
            return self._false_stamp(trade.venue_ts, now)
        since = self.trades.newest_ts
        if not self.trades.is_news(trade):
            counts.repeated_trades += 1
            return []
        if missing := self.trades.hole_before(trade):
            counts.trade_holes += 1
            counts.missing_trades += missing
            self.flow.clear()
            self.history.distrust(since)
            out.append(TradesMissing(self.key, trade.trade_id, missing))
        self.flow.add(trade.side, trade.size, now)
        said = Trade(
            venue=self.feed.venue,
            symbol=self.symbol,
            trade_id=trade.trade_id,
            price=trade.price,
            size=trade.size,
            side=trade.side,
            venue_ts=trade.venue_ts,
            received_ts=now,
        )
        self.history.on_trade(trade, now)
        return [*out, said]
