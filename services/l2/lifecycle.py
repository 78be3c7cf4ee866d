"""`Lifecycle`: what becomes of the book that a session publishes, from one sync to the next.

It publishes one `Sync` (a line, a snapshot and the book made of them); while that is renewed there is another
beside it (`renewal.py`). What is waited for has its own modules: the line to the venue (`line.py`), the
snapshot (`snapshot_requests.py`), the instrument (`instruments.py`), the pause after a failure
(`patience.py`), and what readers are owed by when (`publication.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.events import BookState, Event
from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from services.l2.book_states import Trigger
from services.l2.features import TradeFlow
from services.l2.history import History
from services.l2.instruments import InstrumentRequests
from services.l2.line import Line
from services.l2.maintainer import BookMaintainer
from services.l2.messages import Output, Renewed
from services.l2.oddities import Oddities
from services.l2.patience import Patience
from services.l2.policy import NEVER
from services.l2.publication import Publication
from services.l2.renewal import Renewal
from services.l2.snapshot_requests import SnapshotRequests
from services.l2.sync import Sync
from services.l2.tape import Tape

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed
    from services.l2.feeds.venue_messages import VenueStatus
    from services.l2.messages import BytesArrived, ReplyArriving, ReplyReceived
    from services.l2.policy import Policy
    from services.l2.rate_limits import VenueBudget

# By a venue that is left alone: books on open sockets, and what is known already.
_UNMOVED: Final = frozenset({BookState.LIVE, BookState.ONE_SIDED, BookState.BLOCKED, BookState.REFUSED})


class Lifecycle:
    """One book's life; changed in place.

    Attributes
    ----------
    sync
        What is published.
    """

    def __init__(
        self, feed: Feed, symbol: str, bases: tuple[str, str], budget: VenueBudget, policy: Policy, now: int
    ) -> None:
        self.key = f"{feed.venue}:{symbol}"
        self.policy = policy
        self.budget = budget
        self.flow = TradeFlow()
        self.patience = Patience(self.key, policy.backoff_min_ns, policy.backoff_max_ns)
        self.history = History(
            feed, symbol, bases[1], policy.history_days, policy.history_minutes, repeats=policy.repeats
        )
        self.instruments = InstrumentRequests(feed, symbol, bases[1], budget, policy, now)
        self.renewal = Renewal(self.key, policy, budget.limits)
        self.sync = Sync(
            Line(feed, symbol, bases[0], budget, now),
            SnapshotRequests(feed, symbol, bases[1], budget, now),
            BookMaintainer(feed, symbol, now, policy.buffer_messages, policy.owner),
        )
        self.publication = Publication(self.maintainer, self.flow, budget, self.instruments, policy)
        self.oddities = Oddities(self.key, self.maintainer.counts)
        self.tape = Tape(feed, symbol, self.maintainer.counts, self.flow, self.history, self.oddities)
        self._feed = feed
        self._slow_due = NEVER  # of what a frame does not bring forward, as of the last `next_due`
        self._slow_of: Sync | None = None  # whose it is, if it was synced
        self._refusal = venue_of(feed.venue).refusal(symbol)  # why no socket is to be opened
        if self._refusal is not None:
            self.maintainer.lose(Trigger.REFUSED, self._refusal, now)

    @property
    def maintainer(self) -> BookMaintainer:
        """The book that is published."""
        return self.sync.maintainer

    @property
    def syncs(self) -> tuple[Sync, ...]:
        """What is published and, during a renewal, what is to take its place."""
        return (self.sync,) if self.renewal.next is None else (self.sync, self.renewal.next)

    def on_tick(self, now: int) -> list[Output]:
        """Do what is due."""
        if self._refusal is not None:
            return self.publication.heartbeat(now)
        if self.instruments.refused:
            return self.instruments.fetch(now) + self.publication.heartbeat(now)
        out = self._due(now) + self.instruments.fetch(now) + self.history.on_tick(now, self.budget)
        return out + self.publication.heartbeat(now)

    def _due(self, now: int) -> list[Output]:
        line, snapshots = self.sync.line, self.sync.snapshots
        if self._is_blocked(now):
            return self._lose(Trigger.BLOCKED, self.budget.blocked(now) or "", now)
        if not line.is_open:
            return line.connect(now)
        if line.silent(now):
            return self._lose(Trigger.SILENCE, f"silent for {self._feed.silence_s:g} s", now)
        if self.maintainer.state is BookState.HALTED:
            asks_anew = now - self.maintainer.since > self.policy.given_up_ns
            return self._begin_again("whether the venue is open again", now) if asks_anew else []
        if self.maintainer.synced:
            self.patience.on_tick(now)
            return self.renewal.on_tick(self.sync, now) + self.publication.periodic(now)
        if snapshots.overdue(now, self.policy.sync_timeout_ns):
            reason = f"no book within {self.policy.sync_timeout_ns / NS_PER_S:g} s"
            return self._lose(Trigger.CLOSED, reason, now)
        return snapshots.fetch(now)

    def next_due(self, now: int) -> int:
        """Return when `on_tick` has something to do, if nothing comes before: `now` (ns) if it has already.

        What the venue's other books learn of it, such as that it serves nobody, may bring it forward.
        """
        due = self.publication.next_due(now)
        if self._refusal is not None:
            return due
        self._slow_due = self.instruments.next_due
        if self.instruments.refused:
            return min(due, self._slow_due)
        self._slow_due = min(self._slow_due, self._sync_due(now))
        self._slow_of = self.sync if self.maintainer.synced else None
        return min(due, self._slow_due, self.history.next_due(now))

    def due_after_frame(self, now: int) -> int:
        """Return the same, or an earlier time, after a frame, if it was asked for before: it is quicker.

        Of a synced book that is not renewed, a frame brings nothing forward but what readers are owed.
        """
        if self.sync is not self._slow_of or not self.maintainer.synced or self.renewal.stirs(self.sync, now):
            return self.next_due(now)
        return min(self.publication.next_due(now), self._slow_due, self.history.next_due(now))

    def _sync_due(self, now: int) -> int:
        """Return when `_due` has something to do."""
        line = self.sync.line
        if self._is_blocked(now):
            return now
        if not line.is_open:
            return line.due_at
        if self.maintainer.state is BookState.HALTED:
            return min(line.due_at, self.maintainer.since + self.policy.given_up_ns + 1)
        if self.maintainer.synced:
            return min(line.due_at, self.patience.settles_at, self.renewal.next_due(self.sync, now))
        return min(line.due_at, self.sync.snapshots.next_due(self.policy.sync_timeout_ns))

    def on_bytes(self, arriving: BytesArrived | ReplyArriving, now: int) -> None:
        """Note what came of a frame or reply that is not whole yet, once for each line."""
        for sync in {sync.line: sync for sync in self.syncs}.values():
            sync.on_bytes(arriving, now)

    def close(self) -> list[Output]:
        """Let go of the connections."""
        return [*self.renewal.drop(self.sync), self.sync.line.close()]

    def wait_like(self, before: Lifecycle, by_ns: int, now: int) -> None:
        """Know nothing of the book, and wait like the one before, whose clock was set by so many ns."""
        self.maintainer.epoch = before.maintainer.epoch
        self.patience = before.patience
        self.patience.on_clock_set()
        self.sync.wait_like(before.sync, by_ns, now)
        self.history.wait_like(before.history, by_ns)
        self.instruments.wait_like(before.instruments, by_ns)
        if self.instruments.refused:
            self.maintainer.lose(Trigger.REFUSED, before.maintainer.reason, now)

    # What the venue says of itself and of the symbol

    def on_status(self, sync: Sync, status: VenueStatus, now: int) -> list[Output]:
        """Wait while the venue does not match, and begin anew when it does: its book may be another one."""
        if sync is not self.sync:
            if not status.open:
                sync.maintainer.lose(Trigger.CLOSED, status.reason, now)
            return []
        was_halted = self.maintainer.state is BookState.HALTED
        if status.open:
            return self._begin_again("the venue is open again", now) if was_halted else []
        self.maintainer.lose(Trigger.HALTED, status.reason, now)
        out: list[Output] = []
        if not was_halted:
            out = self.renewal.drop(sync)
            self.patience.on_loss(now)
            sync.snapshots.end()
            self.history.interrupt()
        return [*out, self.publication.health(now)]

    def on_instrument(self, message: ReplyReceived, now: int) -> list[Output]:
        """Take over what the venue demands of an order, or let go of a symbol that it does not trade."""
        waits = self.instruments.refused
        told = self.instruments.on_reply(message, now, live=self.maintainer.synced)
        out: list[Output] = [*told.out]
        if told.unlisted is not None:
            reason = f"the venue says: {told.unlisted}"
            if waits:
                self.maintainer.reason = reason + self._given_up
                return out
            return out + self._lose(Trigger.REFUSED, reason, now)
        if told.new_steps and self.maintainer.synced:
            keyframe = self.maintainer.begin_epoch(self.maintainer.epoch, now)
            out += [keyframe, *self.publication.begin(now)]
        return out

    def refuse(self, sync: Sync, reason: str, now: int) -> None:
        """Believe the venue that it does not serve the symbol."""
        if sync is self.sync:
            self.patience.on_refusal()
        sync.maintainer.lose(Trigger.REFUSED, f"the venue refused: {reason}", now)

    @property
    def _given_up(self) -> str:
        return f"; given up for {self.policy.given_up_ns / NS_PER_S:g} s"

    def _is_blocked(self, now: int) -> bool:
        """Return whether it is news that the venue serves this book nothing: no line, or no snapshot."""
        if self.maintainer.state in _UNMOVED or self.budget.blocked(now) is None:
            return False
        line = self.sync.line
        return line.again_at is not None or (line.is_open and self._feed.snapshot_by_rest)

    # Losing, renewing and winning the book

    def after_loss(self, sync: Sync, now: int) -> list[Output]:
        """Say what happened, then start over: by a new snapshot where that suffices, else by connecting."""
        if sync is not self.sync:
            return self.renewal.fail(self.sync, sync.maintainer.reason, now)
        self.patience.on_loss(now)
        says_no = self.instruments.refused or self.patience.refused_for_good
        refused = self.maintainer.trigger is Trigger.REFUSED and says_no
        gives_up = self.maintainer.trigger is Trigger.TOO_LARGE or refused
        if gives_up:
            self.maintainer.reason += self._given_up
        out: list[Output] = [self.publication.health(now)]
        self.maintainer.counts.resyncs += 1
        self.history.interrupt()  # where levels were lost, trades may have been lost too
        if (following := self.renewal.stand_in(sync)) is not None:
            return out + self._stand_in(following, now)
        out += self.renewal.drop(sync)
        line, snapshots = sync.line, sync.snapshots
        in_gap = self.maintainer.state is BookState.GAP
        if in_gap and self._feed.snapshot_by_rest and line.is_open:
            due_at = snapshots.due_at  # of the sync that failed, if the venue was not asked yet
            if due_at is None or due_at <= now:
                due_at = now + self.patience.pause(now)
            snapshots.begin(now, due_at)
            self.maintainer.sync(now, f"resync after: {self.maintainer.reason}")
            return [*out, self.publication.health(now)]
        snapshots.end()
        if refused:
            self.instruments.refuse(now)
        pause = self.policy.given_up_ns if gives_up else self.patience.pause(now)
        return out + line.reconnect(now + pause)

    def joined(self, sync: Sync, published: list[Event], now: int) -> list[Output]:
        """Follow the keyframe of a new epoch with its top and the news that the book follows its venue."""
        if sync is not self.sync or not self.maintainer.synced or not published:
            return []
        sync.snapshots.end()
        self.patience.on_live(now)
        self.history.resume()
        self.renewal.on_epoch(sync, now)
        return [*published, *self.publication.begin(now)]

    def renew(self, now: int) -> list[Output]:
        """Let the renewed book take over, once it can."""
        following = self.renewal.next
        if following is None or not self.maintainer.synced:
            return []
        if following.line.is_open and following.maintainer.lost:
            return self.after_loss(following, now)
        if not self.renewal.ready(self.sync):
            return []
        before, self.sync = self.sync, following
        keyframe = following.maintainer.succeed(before.maintainer, now)
        out: list[Output] = []
        if following.line is before.line:
            self.maintainer.counts.resnapshots += 1
        else:
            self.maintainer.counts.reconnects += 1
            out = [*self.tape.take_over(self.renewal.held_trades(), now), before.line.close()]
        self.renewal.next = None
        following.snapshots.end()
        self.renewal.on_epoch(following, now)
        said = self.publication.go_on(following.maintainer, now)
        return [*out, keyframe, *said, Renewed(self.key, self.renewal.why)]

    def ask_again(self, sync: Sync, reason: str, now: int) -> list[Output]:
        """Ask for another snapshot after a pause."""
        if sync is not self.sync:
            again_at, said = self.renewal.pause(reason, now)
            sync.snapshots.ask_at(again_at)
            return [said]
        self.maintainer.reason = reason
        sync.snapshots.ask_at(now + self.patience.pause(now))
        return [self.publication.health(now)]

    def _lose(self, trigger: Trigger, reason: str, now: int) -> list[Output]:
        self.maintainer.lose(trigger, reason, now)
        return self.after_loss(self.sync, now)

    def _begin_again(self, reason: str, now: int) -> list[Output]:
        """Sync on a new connection at once: nothing failed."""
        self.maintainer.counts.resyncs += 1
        self.maintainer.sync(now, reason)
        self.sync.snapshots.end()
        self.history.interrupt()
        return [self.publication.health(now), *self.sync.line.reconnect(now)]

    def _stand_in(self, following: Sync, now: int) -> list[Output]:
        """Go on with what was to replace the lost book: as its sync or, if it is proven, as it is."""
        before, self.sync = self.sync, following
        book = following.maintainer
        book.stand_in(before.maintainer)
        self.publication.speak_of(book)
        out = self.tape.take_over(self.renewal.held_trades(), now)
        if before.line.is_open:
            out.append(before.line.close())
        if book.synced:
            return out + self.joined(following, [book.begin_epoch(book.epoch, now)], now)
        return [*out, self.publication.health(now)]
