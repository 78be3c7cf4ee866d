"""`Sync`: a line to the venue, the snapshot asked for on its behalf, and the book that both make."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.common.time_units import NS_PER_S
from services.l2.book_states import Trigger
from services.l2.feeds.venue_messages import BestQuote, VenueDelta, VenueSnapshot
from services.l2.frame_count import FrameCount
from services.l2.maintainer import LEFT, BookMaintainer
from services.l2.messages import ReplyArriving

if TYPE_CHECKING:
    from libs.common.events import Event
    from services.l2.line import Line
    from services.l2.messages import BytesArrived
    from services.l2.snapshot_requests import SnapshotRequests

BookNews: TypeAlias = VenueDelta | VenueSnapshot | BestQuote
"""What a venue says of a book's levels."""


class Sync:
    """A book and what it is made of; changed in place.

    A session has the one that it publishes and, while that is renewed, another (`renewal.py`), on a line of
    its own or on the same one.
    """

    def __init__(self, line: Line, snapshots: SnapshotRequests, maintainer: BookMaintainer) -> None:
        self.line = line
        self.snapshots = snapshots
        self.maintainer = maintainer
        self.frames = FrameCount(int(maintainer.feed.silence_s * NS_PER_S))

    def beside(self, now: int, buffer_messages: int, *, anew: bool) -> Sync:
        """Return another one of the same book, on a new line or on this one."""
        old = self.maintainer
        line = self.line.beside(now) if anew else self.line
        maintainer = BookMaintainer(old.feed, old.symbol, now, buffer_messages, old.owner)
        return Sync(line, self.snapshots.beside(now), maintainer)

    def wait_like(self, before: Sync, by_ns: int, now: int) -> None:
        """Ask the venue no sooner than the sync before would have, whose clock was set by so many ns."""
        due_at = before.snapshots.due_at if before.line.is_open else before.line.again_at
        self.line.wait_like(before.line, by_ns, now if due_at is None else max(now, due_at + by_ns))
        self.snapshots.wait_like(before.snapshots, by_ns)

    def on_opened(self, now: int) -> None:
        """Begin to sync on a new line: hold deltas, and ask for a snapshot once the stream has spoken."""
        self.frames.begin()
        self.snapshots.on_opened(now)
        self.maintainer.sync(now, "connected")

    def on_bytes(self, arriving: BytesArrived | ReplyArriving, now: int) -> None:
        """Note what came of a frame or reply that is not whole yet: it may be the snapshot."""
        if isinstance(arriving, ReplyArriving):
            self.snapshots.on_bytes(arriving.request, arriving.count, now)
        elif self.line.on_bytes(arriving.connection, arriving.count, now):
            self.snapshots.on_bytes(None, arriving.count, now)

    def take(self, news: BookNews, now: int) -> list[Event]:
        """Follow the venue; return what the readers of the book are to be told."""
        match news:
            case VenueDelta():
                maintainer = self.maintainer
                self.snapshots.on_delta(now)
                published = maintainer.on_delta(news, now)
                if maintainer.book.is_beyond and maintainer.synced:
                    maintainer.lose(Trigger.HOLE, LEFT, now)
                return published
            case VenueSnapshot():
                return self.maintainer.on_snapshot(news, now)
            case BestQuote():
                self.maintainer.on_quote(news, now)
        return []
