"""`Renewal`: a LIVE book is made a second time beside itself, so that it need not leave LIVE to begin anew.

A renewal is due when the venue announces that it will close the connection; when the connection nears the
age at which the venue cuts it; and when the mid nears the edge of what the snapshot showed. The first two are
made on a new connection, the last with a new snapshot on the same one. The session lets the new book take
over once it is proven as any book is, and not older than the one that it replaces.

A renewal has time: it never draws on the reserve of a budget, which is for books that are not LIVE.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zlib import crc32

from libs.common.order_book import EVERYWHERE
from libs.common.time_units import NS_PER_S
from services.l2.book_states import Trigger
from services.l2.messages import RenewalFailed
from services.l2.patience import Patience
from services.l2.policy import NEVER
from services.l2.publication import REASON_CHARS
from services.l2.trade_memory import MOST

if TYPE_CHECKING:
    from libs.common.venues.venue import Limits
    from services.l2.feeds.venue_messages import VenueTrade
    from services.l2.messages import Output
    from services.l2.policy import Policy
    from services.l2.sync import Sync

EDGE_BPS: Final = 20.0  # of the mid, from the edge of what is known
EDGE_PART: Final = 0.5  # of the room there was at the snapshot, where that is less: some are narrow
RESNAPSHOT_PART: Final = 0.1  # of the venue's budget that one book may use for them
LATEST_PART: Final = 23 / 24  # of a connection's life: an hour of a day, in which attempts may fail
SPREAD_PART: Final = 1 / 3  # before that, over which the connections of a venue are spread
OUTLIVED: Final = frozenset(
    {Trigger.CLOSED, Trigger.BLOCKED, Trigger.SILENCE, Trigger.HOLE, Trigger.MISMATCH}
)


class Renewal:
    """One book's renewals, of which one is under way at most; changed in place.

    Attributes
    ----------
    next
        What is to replace the published book, None while no renewal is under way.
    trades
        What its own line said of trades, which the old line says too.
    """

    def __init__(self, key: str, policy: Policy, limits: Limits) -> None:
        self.next: Sync | None = None
        self.trades: deque[VenueTrade] = deque(maxlen=MOST)
        self.why = ""
        self._key = key
        self._policy = policy
        self._life_s = limits.connection_life_s
        rate = limits.rest_capacity / limits.rest_period_s
        self._resnapshot_ns = round(limits.snapshot_cost / (RESNAPSHOT_PART * rate) * NS_PER_S)
        self._patience = self._fresh_patience()
        self._announced: tuple[int, str] | None = None  # the connection that will end, and the venue's words
        self._near_bps = EDGE_BPS
        self._again_at = 0
        self._resnapshot_at = 0

    # What happens to the published book

    def announce(self, connection: int, reason: str) -> None:
        """Note that the venue will close a connection, and asks for another."""
        self._announced = connection, reason

    def on_epoch(self, current: Sync, now: int) -> None:
        """Note how much room the book of a new epoch has."""
        self._near_bps = min(EDGE_BPS, EDGE_PART * current.maintainer.book.room_bps)
        self._resnapshot_at = now + self._resnapshot_ns
        self._patience = self._fresh_patience()

    def on_tick(self, current: Sync, now: int) -> list[Output]:
        """Begin the renewal that a LIVE book is due, or go on with the one that is under way."""
        following = self.next or self._begin(current, now)
        if following is None:
            return []
        line, book, snapshots = following.line, following.maintainer, following.snapshots
        if not line.is_open:
            return line.connect(now, reserve=False)
        if line.silent(now):
            return self.fail(current, "the new connection is silent", now)
        timeout_ns = self._policy.sync_timeout_ns
        if book.synced:
            late = line is not current.line and now - book.since > timeout_ns
            return self.fail(current, "the new connection stays behind the old one", now) if late else []
        if snapshots.overdue(now, timeout_ns):
            return self.fail(current, f"no book within {timeout_ns / NS_PER_S:g} s", now)
        return snapshots.fetch(now, reserve=False)

    def next_due(self, current: Sync, now: int) -> int:
        """Return when `on_tick` has something to do (ns)."""
        following = self.next
        if following is None:
            return max(self._again_at, self._begins_at(current, now))
        line, book = following.line, following.maintainer
        if not line.is_open:
            return line.due_at
        if not book.synced:
            return min(line.due_at, following.snapshots.next_due(self._policy.sync_timeout_ns))
        late_at = book.since + self._policy.sync_timeout_ns + 1
        return line.due_at if line is current.line else min(line.due_at, late_at)

    def stirs(self, current: Sync, now: int) -> bool:
        """Return whether a frame may have brought a renewal forward: one is under way, announced or near."""
        if self.next is not None or self._announced is not None:
            return True
        book = current.maintainer.book
        near = now >= self._resnapshot_at and book.known is not EVERYWHERE
        return near and book.room_bps < self._near_bps

    # What happens to the next one

    def beside(self, sync: Sync) -> Sync | None:
        """Return what is renewed on the very line of the published book, if it is."""
        following = self.next
        if following is None or following is sync or following.line is not sync.line:
            return None
        return following

    def ready(self, current: Sync) -> bool:
        """Return whether the next book is proven, and not behind the published one, nor less of a book.

        One on the same line is not ahead either, so that no delta of the line is left out.
        """
        if self.next is None or not self.next.maintainer.synced or self.behind(current):
            return False
        if current.maintainer.live and not self.next.maintainer.live:
            return False
        return self.next.line is not current.line or not current.maintainer.is_behind(self.next.maintainer)

    def behind(self, current: Sync) -> bool:
        """Return whether the next book is proven, and older than the published one."""
        if self.next is None or not self.next.maintainer.synced:
            return False
        return self.next.maintainer.is_behind(current.maintainer)

    def held_trades(self) -> tuple[VenueTrade, ...]:
        """Return what the new line said of trades, and hold it no more."""
        held = tuple(self.trades)
        self.trades.clear()
        return held

    def pause(self, reason: str, now: int) -> tuple[int, RenewalFailed]:
        """Return when a snapshot may be asked for again (ns), and the news that this one was of no use."""
        return now + self._patience.pause(now), RenewalFailed(self._key, self.why, reason[:REASON_CHARS])

    def fail(self, current: Sync, reason: str, now: int) -> list[Output]:
        """Give up this attempt; the published book is what it was, and another attempt follows."""
        self._again_at, said = self.pause(reason, now)
        return [*self.drop(current), said]

    def stand_in(self, current: Sync) -> Sync | None:
        """Return what goes on for the published book, which was lost; None where nothing can."""
        following = self.next
        if following is None or following.line is current.line or current.maintainer.trigger not in OUTLIVED:
            return None
        if following.line.again_at is not None or (following.line.is_open and following.maintainer.lost):
            return None
        self.next = None
        return following

    def drop(self, current: Sync) -> list[Output]:
        """Renew nothing any more; let go of the connection that was made for it."""
        following, self.next = self.next, None
        self.trades.clear()
        if following is None or following.line is current.line or following.line.again_at is not None:
            return []
        return [following.line.close()]

    def _begin(self, current: Sync, now: int) -> Sync | None:
        if now < self._again_at:
            return None
        old = self._connection_due(current, now)
        self.why = old or self._snapshot_due(current, now)
        if not self.why:
            return None
        self.next = following = current.beside(now, self._policy.buffer_messages, anew=bool(old))
        if not old:
            following.snapshots.begin(now, now)
            following.maintainer.sync(now, self.why)
        return following

    def _begins_at(self, current: Sync, now: int) -> int:
        """Return when (ns) there is a reason to begin, as far as one can tell now; see `_begin`."""
        line, due = current.line, NEVER
        if self._announced is not None and self._announced[0] == line.connection:
            return 0
        if self._life_s is not None and line.opened_at is not None:
            due = line.opened_at + renewal_age_ns(self._key, line.connection, self._life_s)
        book = current.maintainer.book
        narrow = book.known is not EVERYWHERE
        if narrow and (now < self._resnapshot_at or book.room_bps < self._near_bps):
            due = min(due, self._resnapshot_at)  # until then the room may change
        return due

    def _connection_due(self, current: Sync, now: int) -> str:
        """Return why the connection is to be replaced, empty while it need not."""
        line = current.line
        if self._announced is not None and self._announced[0] == line.connection:
            return f"the venue will close the connection: {self._announced[1]}"
        if self._life_s is None or line.opened_at is None:
            return ""
        age = now - line.opened_at
        due = age >= renewal_age_ns(self._key, line.connection, self._life_s)
        return f"the connection is {age / NS_PER_S / 3600:.1f} h old" if due else ""

    def _snapshot_due(self, current: Sync, now: int) -> str:
        """Return why a new snapshot is needed, empty while it is not."""
        book = current.maintainer.book
        if now < self._resnapshot_at or book.known is EVERYWHERE or (room := book.room_bps) >= self._near_bps:
            return ""
        return f"the mid is {room:.1f} bps from the edge of the snapshot"

    def _fresh_patience(self) -> Patience:
        policy = self._policy
        return Patience(f"{self._key}:renewal", policy.backoff_min_ns, policy.backoff_max_ns)


@lru_cache(maxsize=4096)
def renewal_age_ns(key: str, connection: int, life_s: float) -> int:
    """Return the age (ns) at which a connection that lives `life_s` at most is replaced.

    Spread by book and connection: 60 that were opened at once are replaced one by one.
    """
    spread = crc32(f"{key}:{connection}".encode()) / 0xFFFFFFFF
    return round(life_s * NS_PER_S * (LATEST_PART - SPREAD_PART * spread))
