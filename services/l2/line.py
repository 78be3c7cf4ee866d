"""The line of one book to its venue: when it is opened, and whether it lives.

A line lives while the venue says something on it, and be it the answer to a ping. Whether the book's stream
on it does is another question (`rhythm.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from services.l2.messages import CloseSocket, OpenSocket
from services.l2.rate_limits import Share

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed
    from services.l2.messages import Output
    from services.l2.rate_limits import VenueBudget

NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Closed:
    """No socket; one may be asked for at `again_at` (ns)."""

    again_at: int


@dataclass(frozen=True, slots=True)
class Opening:
    """The shell was asked for a socket."""


@dataclass(slots=True)
class Opened:
    """The socket is open; a frame or a pong came last at `heard_at` (ns)."""

    heard_at: int


Phase: TypeAlias = Closed | Opening | Opened


class Line:
    """One book's socket; changed in place.

    Attributes
    ----------
    connection
        The number of the newest socket asked for; what is said of an older one is not of this line.
    """

    def __init__(self, feed: Feed, symbol: str, stream_base: str, budget: VenueBudget, now: int) -> None:
        self.connection = 0
        self._feed = feed
        self._symbol = symbol
        self._key = f"{feed.venue}:{symbol}"
        self._stream_base = stream_base
        self._share = Share(budget.sockets)
        self._phase: Phase = Closed(now)

    @property
    def is_open(self) -> bool:
        """Whether the socket is open."""
        return isinstance(self._phase, Opened)

    @property
    def again_at(self) -> int | None:
        """When a socket may be asked for (ns), None where one is open or asked for."""
        return self._phase.again_at if isinstance(self._phase, Closed) else None

    def on_opened(self, connection: int, now: int) -> bool:
        """Note that the socket is open; return whether it is this line's."""
        if connection != self.connection:
            return False
        self._phase = Opened(now)
        return True

    def on_heard(self, connection: int, now: int) -> bool:
        """Note that the venue said something; return whether on this line, and it open."""
        if connection != self.connection or not isinstance(self._phase, Opened):
            return False
        self._phase.heard_at = now
        return True

    def on_closed(self, connection: int, now: int) -> bool:
        """Note that the socket is no more; return whether it was this line's."""
        if connection != self.connection or isinstance(self._phase, Closed):
            return False
        self._phase = Closed(now)
        return True

    def silent(self, now: int) -> bool:
        """Return whether an open line said nothing for longer than its feed's lines do."""
        return isinstance(self._phase, Opened) and now - self._phase.heard_at > self._feed.silence_s * NS

    def connect(self, now: int) -> list[Output]:
        """Ask for a socket, if its time has come and the venue's budget has one left."""
        if not isinstance(self._phase, Closed) or now < self._phase.again_at:
            return []
        if again_at := self._share.take(1, now):
            self._phase = Closed(again_at)
            return []
        self.connection += 1
        self._phase = Opening()
        feed = self._feed
        return [
            OpenSocket(
                self._key,
                self.connection,
                feed.stream_url(self._stream_base, self._symbol),
                feed.subscribe(self._symbol),
                feed.ping() if feed.ping_interval_s is not None else None,
                feed.ping_interval_s or 0.0,
                feed.pong_interval_s,
            )
        ]

    def reconnect(self, at: int) -> list[Output]:
        """Drop the socket, if it is open, and ask for another at that time (ns)."""
        out: list[Output] = [self.close()] if self.is_open else []
        self._phase = Closed(at)
        return out

    def close(self) -> CloseSocket:
        """Return the wish to let the socket go."""
        return CloseSocket(self._key, self.connection)

    def wait_like(self, before: Line, by_ns: int, at: int) -> None:
        """Follow a line whose clock was set by so many ns: open at `at` (ns), and count on from its share."""
        self.connection = before.connection + 1  # what comes late of the one before is of no line
        self._share = before._share
        self._share.step_clock(by_ns)
        self._phase = Closed(at)
