"""`BookSession`: one subscribed book: what its venue says is read here, and what follows is `Lifecycle`'s.

The session decides; the shell does. Each book has a connection of its own, so one symbol's trouble never
touches another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, assert_never

import msgspec

from libs.common.events import BookState
from services.l2.book_states import Trigger
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import (
    Acknowledged,
    BestQuote,
    FrameNumber,
    Heartbeat,
    Ignored,
    Reconnect,
    Refused,
    Unread,
    VenueDelta,
    VenueSnapshot,
    VenueStatus,
    VenueTrade,
)
from services.l2.lifecycle import Lifecycle
from services.l2.messages import (
    HTTP_OK,
    BookAsked,
    BytesArrived,
    CandlesKnown,
    DeadLetter,
    FrameReceived,
    Output,
    PongReceived,
    ReplyArriving,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
)
from services.l2.publication import REASON_CHARS
from services.l2.refusals import SWITCHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.l2.feeds.feed import Feed
    from services.l2.feeds.venue_messages import Notice, Said
    from services.l2.maintainer import BookMaintainer
    from services.l2.messages import BookMessage
    from services.l2.policy import Policy
    from services.l2.rate_limits import VenueBudget
    from services.l2.sync import BookNews, Sync

HTTP_REFUSALS: Final = frozenset({400, 404})  # the venue knows no such symbol

_Timed = TypeVar("_Timed", bound=VenueDelta | VenueSnapshot)


def said_of(reply: ReplyReceived) -> str:
    """Return the status and the first words of a reply."""
    return f"HTTP {reply.status} {reply.body[:200].decode('utf-8', 'replace')}"


class BookSession:
    """Everything about one subscribed book; changed in place by each message."""

    def __init__(
        self, feed: Feed, symbol: str, bases: tuple[str, str], budget: VenueBudget, policy: Policy, now: int
    ) -> None:
        self.key = f"{feed.venue}:{symbol}"
        self.feed = feed
        self.symbol = symbol
        self.budget = budget
        self.bases = bases
        self.life = Lifecycle(feed, symbol, bases, budget, policy, now)

    @property
    def maintainer(self) -> BookMaintainer:
        """The book that is published."""
        return self.life.maintainer

    @property
    def connection(self) -> int:
        """The number of the newest connection asked for, without that of a renewal."""
        return self.life.sync.line.connection

    def on_tick(self, now: int) -> list[Output]:
        """Do what is due."""
        return self.life.on_tick(now)

    def next_due(self, now: int) -> int:
        """Return when `on_tick` has something to do, if nothing comes before; see `Lifecycle.next_due`."""
        return self.life.next_due(now)

    def due_after_frame(self, now: int) -> int:
        """Return the same after a frame, quicker; see `Lifecycle.due_after_frame`."""
        return self.life.due_after_frame(now)

    def close(self) -> list[Output]:
        """Let go of the connections."""
        return self.life.close()

    def begun_anew(self, by_ns: int, now: int) -> BookSession:
        """Return a session that knows nothing of the book and waits like this one: the clock was set."""
        anew = BookSession(self.feed, self.symbol, self.bases, self.budget, self.life.policy, now)
        anew.life.wait_like(self.life, by_ns, now)
        return anew

    # What the shell reports

    def on_message(self, message: BookMessage, now: int) -> list[Output]:
        """Follow what the shell says of this book's sockets or requests."""
        match message:
            case FrameReceived():
                return self.on_frame(message, now)
            case PongReceived(connection=connection):
                self._heard(connection, now)
            case SocketOpened():
                return self.on_opened(message, now)
            case SocketClosed():
                return self.on_closed(message, now)
            case BytesArrived() | ReplyArriving():
                self.life.on_bytes(message, now)
            case ReplyReceived():
                return self.on_reply(message, now)
            case BookAsked():
                return self.life.publication.asked(now)
            case CandlesKnown(candles=candles):
                self.life.history.recall(candles)
            case _ as unreachable:
                assert_never(unreachable)
        return []

    def on_opened(self, message: SocketOpened, now: int) -> list[Output]:
        """Begin to sync."""
        for sync in self.life.syncs:
            if sync.line.on_opened(message.connection, now):
                self.budget.on_answer(self.budget.sockets, SWITCHING, None, now)
                sync.on_opened(now)
                return [self.life.publication.health(now)] if sync is self.life.sync else []
        return []

    def on_closed(self, message: SocketClosed, now: int) -> list[Output]:
        """Leave LIVE and connect again after a pause, or go on with the line that was to replace this one."""
        self.budget.on_answer(self.budget.sockets, message.status, message.retry_after_s, now)
        blocked = self.budget.blocked(now)
        for sync in self.life.syncs:
            if sync.line.on_closed(message.connection, now):
                trigger = Trigger.BLOCKED if blocked else Trigger.CLOSED
                sync.maintainer.lose(trigger, blocked or message.reason, now)
                return self.life.after_loss(sync, now)
        return []

    def on_frame(self, message: FrameReceived, now: int) -> list[Output]:
        """Read one frame; what cannot be read may have held levels, so the book is lost with it."""
        sync = self._heard(message.connection, now)
        if sync is None:
            return []
        try:
            said = self.feed.parse(message.raw, self.symbol)
        except BadFrameError as error:
            return self._bad(sync, message.raw, f"unreadable frame: {error}", now)
        out: list[Output] = []
        for item in said:
            if isinstance(item, FrameNumber):
                step, why = sync.frames.step(item.number, now)
                if step is Step.OLD:
                    return self.life.oddities.ignored(why, now)
                if step is Step.GAP:
                    sync.maintainer.lose(Trigger.HOLE, why, now)
            else:
                out += self._take(sync, item, now)
            if sync.maintainer.lost:
                return out + self.life.after_loss(sync, now)
        life = self.life
        if life.renewal.next is not None:
            out += life.renew(now)
        out += life.publication.turned(now)
        out += life.publication.changed_top(now)
        return out

    def on_reply(self, message: ReplyReceived, now: int) -> list[Output]:
        """Join a snapshot, take candles or terms, or wait as the venue demands."""
        if message.took_ns is not None:
            self.budget.on_reply(message.took_ns)
        self.budget.on_answer(self.budget.rest, message.status, message.retry_after_s, now)
        if message.purpose == "instrument":
            return self.life.on_instrument(message, now)
        if message.purpose != "snapshot":
            return list(self.life.history.on_reply(message, now))
        for sync in self.life.syncs:
            if sync.snapshots.on_reply(message.request) and sync.maintainer.state is BookState.SYNCING:
                return self._on_snapshot(sync, message, now) + self.life.renew(now)
        return []

    def _on_snapshot(self, sync: Sync, message: ReplyReceived, now: int) -> list[Output]:
        life = self.life
        if message.status in HTTP_REFUSALS:
            life.refuse(sync, said_of(message), now)
            return life.after_loss(sync, now)
        if message.status != HTTP_OK:
            return life.ask_again(sync, f"snapshot refused: {said_of(message)}", now)
        try:
            snapshot = self.feed.parse_snapshot(message.body)
        except BadFrameError as error:
            self.maintainer.counts.bad_frames += 1
            reason = f"unreadable snapshot: {error}"
            return [DeadLetter(self.key, message.body, reason), *life.ask_again(sync, reason, now)]
        snapshot, told = self._stamped(sync, snapshot, now)
        if self.feed.placed_by_time and snapshot.venue_ts is None:
            return [*told, *life.ask_again(sync, "the snapshot's time, its only place, is false", now)]
        out = [*told, *life.joined(sync, sync.take(snapshot, now), now)]
        if sync is not life.sync and not snapshot.verified and life.renewal.behind(life.sync):
            sync.maintainer.sync(now, life.renewal.why)  # nothing would show what lies between
            return out + life.ask_again(sync, "the snapshot is older than the book", now)
        if sync.maintainer.snapshot_outdated:
            return out + life.ask_again(sync, sync.maintainer.reason, now)
        return out + life.after_loss(sync, now) if sync.maintainer.lost else out

    # What a frame says

    def _heard(self, connection: int, now: int) -> Sync | None:
        """Note that a line lives; return whose it is, None where it is no line of the book any more."""
        sync, following = self.life.sync, self.life.renewal.next
        if sync.line.on_heard(connection, now):
            return sync
        if following is not None and following.line.on_heard(connection, now):
            return following
        return None

    def _take(self, sync: Sync, item: Said, now: int) -> Sequence[Output]:
        match item:
            case VenueDelta() | VenueSnapshot():
                news, told = self._stamped(sync, item, now)
                if sync.maintainer.lost:
                    return told
                said = self._on_book(sync, news, now)
                return [*told, *said] if told else said
            case BestQuote():
                return self._on_book(sync, item, now)
            case VenueTrade() if sync is self.life.sync:
                return self.life.tape.on_trade(item, now)
            case VenueTrade():
                self.life.renewal.trades.append(item)
            case Refused():
                self.life.refuse(sync, item.reason, now)
            case _:
                return self._take_other(sync, item, now)
        return []

    def _take_other(self, sync: Sync, item: Notice, now: int) -> list[Output]:
        match item:
            case VenueStatus():
                return self.life.on_status(sync, item, now)
            case Reconnect() if sync is self.life.sync:
                self.life.renewal.announce(sync.line.connection, item.reason)
            case Reconnect():
                sync.maintainer.lose(Trigger.CLOSED, f"to be closed again: {item.reason}", now)
            case Ignored(what=what):
                return self.life.oddities.ignored(what, now)
            case Unread():
                if item.trades:
                    self.life.flow.clear()
                    self.life.history.distrust(None)
                return self.life.oddities.unread(item, now)
            case Heartbeat() | Acknowledged():
                pass  # the connection is alive, which is noted already
            case _ as unreachable:
                assert_never(unreachable)
        return []

    def _on_book(self, sync: Sync, news: BookNews, now: int) -> Sequence[Output]:
        life = self.life
        if (following := life.renewal.beside(sync)) is not None:
            following.take(news, now)
        if sync is not life.sync:
            sync.take(news, now)
            return []
        if isinstance(news, VenueDelta):
            life.publication.on_delta(now)
        published = sync.take(news, now)
        return life.joined(sync, published, now) if isinstance(news, VenueSnapshot) else published

    def _stamped(self, sync: Sync, item: _Timed, now: int) -> tuple[_Timed, Sequence[Output]]:
        """Return the message without a time that cannot be true; where that is its place, lose the book."""
        if item.venue_ts is None:
            return item, ()
        if self.life.tape.admits(item.venue_ts, now):
            if sync is self.life.sync:
                self.life.tape.on_book_time(item.venue_ts)
            return item, ()
        if self.feed.placed_by_time and isinstance(item, VenueDelta):
            false = f"a delta's time, its only place, is false: {item.venue_ts}"
            sync.maintainer.lose(Trigger.HOLE, false, now)
        return msgspec.structs.replace(item, venue_ts=None), self.life.oddities.false_stamp(
            item.venue_ts, now
        )

    def _bad(self, sync: Sync, raw: bytes, reason: str, now: int) -> list[Output]:
        self.maintainer.counts.bad_frames += 1
        sync.maintainer.lose(Trigger.HOLE, reason, now)
        letter = DeadLetter(self.key, raw, reason[:REASON_CHARS])
        return [letter, *self.life.after_loss(sync, now)] if sync.maintainer.lost else [letter]
