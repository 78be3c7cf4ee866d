"""`BookSession`: one book, from its line to its readers: what its venue says, and what follows.

The session decides; the shell does. Each book has a connection of its own, so one symbol's trouble never
touches another's. What is waited for has its own modules: the line to the venue (`line.py`), the snapshot
(`snapshot_requests.py`), the pause after a failure (`patience.py`), and what readers are owed by when
(`publication.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, assert_never

import msgspec

from libs.common.events import BookState, Event, Trade
from services.l2.book_states import Trigger
from services.l2.features import TradeFlow
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
from services.l2.line import Line
from services.l2.maintainer import BookMaintainer
from services.l2.messages import (
    HTTP_OK,
    CandlesKnown,
    DeadLetter,
    FalseStamp,
    FrameReceived,
    Output,
    PongReceived,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    TradesMissing,
)
from services.l2.patience import Patience
from services.l2.publication import REASON_CHARS, Publication
from services.l2.snapshot_requests import SnapshotRequests
from services.l2.stamps import StampGate
from services.l2.trade_memory import TradeMemory

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed, VenueMessage
    from services.l2.messages import BookMessage
    from services.l2.policy import Policy
    from services.l2.rate_limits import VenueBudget

NS: Final = 1_000_000_000
HTTP_REFUSALS: Final = frozenset({400, 404})  # the venue knows no such symbol
FALSE_STAMP_NS: Final = 60 * NS  # between two log lines of a book
BEGUN_ANEW_NS: Final = 5 * NS  # the book's venue time never goes back by more, save that a recording restarts


_Timed = TypeVar("_Timed", VenueDelta, VenueSnapshot)


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
        self.bases = bases
        self.maintainer = BookMaintainer(feed, symbol, now, policy.buffer_messages, policy.owner)
        self.flow = TradeFlow()
        self.stamps = StampGate()
        self.trades = TradeMemory(contiguous=feed.contiguous_trades)
        self.patience = Patience(self.key, policy.backoff_min_ns, policy.backoff_max_ns)
        self.history = History(feed, symbol, bases[1], policy.history_days, policy.history_minutes)
        self.line = Line(feed, symbol, bases[0], budget, now)
        self.snapshots = SnapshotRequests(feed, symbol, bases[1], budget, now)
        self.publication = Publication(self.maintainer, self.flow, budget, policy)
        self._frame_number: int | None = None  # due next, where the venue counts its frames
        self._newest_ts: int | None = None  # of the book's messages, by the venue's clock
        self._false_stamp_at = 0  # when the last one was logged

    @property
    def connection(self) -> int:
        """The number of the newest connection asked for."""
        return self.line.connection

    # What the shell reports

    def on_message(self, message: BookMessage, now: int) -> list[Output]:
        """Follow what the shell says of this book's socket or requests."""
        match message:
            case FrameReceived():
                return self.on_frame(message, now)
            case PongReceived(connection=connection):
                self.line.on_heard(connection, now)
                return []
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
        if not self.line.on_opened(message.connection, now):
            return []
        self._frame_number = None
        self.snapshots.on_opened(now)
        self.maintainer.sync(now, "connected")
        return [self.publication.health(now)]

    def on_closed(self, message: SocketClosed, now: int) -> list[Output]:
        """Leave LIVE and connect again after a pause."""
        if not self.line.on_closed(message.connection, now):
            return []
        self.maintainer.lose(Trigger.CLOSED, message.reason, now)
        return self._after_loss(now)

    def on_frame(self, message: FrameReceived, now: int) -> list[Output]:
        """Read one frame; what cannot be read may have held levels, so the book is lost with it."""
        if not self.line.on_heard(message.connection, now):
            return []
        try:
            said = self.feed.parse(message.raw, self.symbol)
        except BadFrameError as error:
            return self._bad(message.raw, f"unreadable frame: {error}", now)
        out: list[Output] = []
        for item in said:
            out += self._take(item, now)
            if self._lost:
                return out + self._after_loss(now)
        return out + self.publication.changed_top(now)

    def on_reply(self, message: ReplyReceived, now: int) -> list[Output]:
        """Join a snapshot, take candles, or wait as the venue demands."""
        if message.took_ns is not None:
            self.budget.on_reply(message.took_ns)
        if message.status in (418, 429):
            pause = message.retry_after_s if message.retry_after_s is not None else 5.0
            self.budget.rest.block(now + int(pause * NS))
        if message.purpose != "snapshot":
            return list(self.history.on_reply(message, now))
        if not self.snapshots.on_reply(message.request):
            return []
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
        if not self.line.is_open:
            out = self.line.connect(now)
        elif self.line.silent(now):
            self.maintainer.lose(Trigger.SILENCE, f"silent for {self.feed.silence_s:g} s", now)
            out = self._after_loss(now)
        elif self.maintainer.live:
            self.patience.on_tick(now)
            out = self.publication.periodic(now)
        elif self.snapshots.overdue(now, self.policy.sync_timeout_ns):
            self.maintainer.lose(
                Trigger.CLOSED, f"no book within {self.policy.sync_timeout_ns / NS:g} s", now
            )
            out = self._after_loss(now)
        else:
            out = self.snapshots.fetch(now)
        return out + self.history.on_tick(now, self.budget) + self.publication.heartbeat(now)

    def close(self) -> list[Output]:
        """Let go of the connection."""
        return [self.line.close()]

    def begun_anew(self, by_ns: int, now: int) -> BookSession:
        """Return a session that knows nothing of the book and waits like this one: the clock was set."""
        anew = BookSession(self.feed, self.symbol, self.bases, self.budget, self.policy, now)
        anew.maintainer.epoch = self.maintainer.epoch
        anew.patience = self.patience
        anew.patience.on_clock_set()
        due_at = self.snapshots.due_at if self.line.is_open else self.line.again_at
        anew.line.wait_like(self.line, by_ns, now if due_at is None else max(now, due_at + by_ns))
        anew.snapshots.wait_like(self.snapshots, by_ns)
        anew.history.wait_like(self.history, by_ns)
        return anew

    # What a frame says

    def _take(self, item: VenueMessage, now: int) -> list[Output]:
        match item:
            case VenueDelta():
                self.publication.on_delta(now)
                self.snapshots.on_delta(now)
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
        out: list[Output] = [self.publication.health(now)]
        self.maintainer.counts.resyncs += 1
        self.history.interrupt()  # where levels were lost, trades may have been lost too
        in_gap = self.maintainer.state is BookState.GAP
        if in_gap and self.feed.snapshot_by_rest and self.line.is_open:
            due_at = self.snapshots.due_at  # of the sync that failed, if the venue was not asked yet
            if due_at is None or due_at <= now:
                due_at = now + self.patience.pause(now)
            self.snapshots.begin(now, due_at)
            self.maintainer.sync(now, f"resync after: {self.maintainer.reason}")
            return [*out, self.publication.health(now)]
        self.snapshots.end()
        pause = self.policy.given_up_ns if gives_up else self.patience.pause(now)
        return out + self.line.reconnect(now + pause)

    def _refused(self, reason: str, now: int) -> None:
        self.patience.on_refusal()
        self.maintainer.lose(Trigger.REFUSED, f"the venue refused: {reason}", now)

    def _joined(self, published: list[Event], now: int) -> list[Output]:
        """Follow the keyframe of a new epoch with its top and the news that the book is LIVE."""
        if not self.maintainer.live or not published:
            return []
        self.snapshots.end()
        self.patience.on_live(now)
        self.history.resume()
        return [*published, *self.publication.begin(now)]

    def _bad(self, raw: bytes, reason: str, now: int) -> list[Output]:
        self.maintainer.counts.bad_frames += 1
        self.maintainer.lose(Trigger.HOLE, reason, now)
        return [DeadLetter(self.key, raw, reason[:REASON_CHARS]), *self._after_loss(now)]

    def _ask_again(self, reason: str, now: int) -> list[Output]:
        self.maintainer.reason = reason
        self.snapshots.ask_at(now + self.patience.pause(now))
        return [self.publication.health(now)]
