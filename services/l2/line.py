"""The line of one book to its venue: when it is opened, and whether it lives.

A line lives while the venue says something on it, and be it the answer to a ping. Whether the book's stream
on it does is another question (`rhythm.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from services.l2.arrivals import Arrival
from services.l2.messages import CloseSocket, OpenSocket
from services.l2.policy import NEVER
from services.l2.rate_limits import Share

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed
    from services.l2.messages import Output
    from services.l2.rate_limits import VenueBudget


@dataclass(frozen=True, slots=True)
class Closed:
    """No socket; one may be asked for at `again_at` (ns)."""

    again_at: int


@dataclass(frozen=True, slots=True)
class Opening:
    """The shell was asked for a socket."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The socket is open since `since` (ns); what came since the last frame or pong."""

    since: int
    arrival: Arrival


Phase: TypeAlias = Closed | Opening | Opened


class Line:
    """One book's socket; changed in place.

    Attributes
    ----------
    connection
        The number of the newest socket asked for; what is said of another one is not of this line.
    """

    def __init__(self, feed: Feed, symbol: str, stream_base: str, budget: VenueBudget, now: int) -> None:
        self.connection = 0
        self._feed = feed
        self._symbol = symbol
        self._key = f"{feed.venue}:{symbol}"
        self._stream_base = stream_base
        self._silence_ns = int(feed.silence_s * NS_PER_S)
        self._budget = budget
        self._numbers = count(1)
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

    @property
    def opened_at(self) -> int | None:
        """When the socket was opened (ns), None while none is open."""
        return self._phase.since if isinstance(self._phase, Opened) else None

    def beside(self, now: int) -> Line:
        """Return another line of the same book, which draws on the same share and counts on."""
        other = Line(self._feed, self._symbol, self._stream_base, self._budget, now)
        other._share, other._numbers = self._share, self._numbers
        return other

    def on_opened(self, connection: int, now: int) -> bool:
        """Note that the socket is open; return whether it is this line's."""
        if connection != self.connection or not isinstance(self._phase, Opening):
            return False
        self._phase = Opened(now, Arrival(now))
        return True

    def on_heard(self, connection: int, now: int) -> bool:
        """Note that the venue said something; return whether on this line, and it open."""
        if connection != self.connection or not isinstance(self._phase, Opened):
            return False
        self._phase.arrival.begin(now)
        return True

    def on_bytes(self, connection: int, count: int, now: int) -> bool:
        """Note that so many bytes came of a frame that is not whole yet; return whether on this line."""
        if connection != self.connection or not isinstance(self._phase, Opened):
            return False
        self._phase.arrival.on_bytes(count, now)
        return True

    def on_closed(self, connection: int, now: int) -> bool:
        """Note that the socket is no more; return whether it was this line's."""
        if connection != self.connection or isinstance(self._phase, Closed):
            return False
        self._phase = Closed(now)
        return True

    def silent(self, now: int) -> bool:
        """Return whether an open line said nothing for longer than its feed's lines do."""
        if not isinstance(self._phase, Opened):
            return False
        return self._phase.arrival.late(now, self._silence_ns)

    @property
    def due_at(self) -> int:
        """When a socket is to be asked for, or the open one is silent for too long (ns)."""
        match self._phase:
            case Closed(again_at=again_at):
                return again_at
            case Opened(arrival=arrival):
                return arrival.due_at(self._silence_ns) + 1
        return NEVER  # the shell reports how it opens

    def connect(self, now: int, *, reserve: bool = True) -> list[Output]:
        """Ask for a socket, if its time has come and the venue's budget (see `Share.take`) has one left."""
        if not isinstance(self._phase, Closed) or now < self._phase.again_at:
            return []
        if again_at := self._share.take(1, now, reserve=reserve):
            self._phase = Closed(again_at)
            return []
        self.connection = next(self._numbers)
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
                compressed=venue_of(feed.venue).compressed,
            )
        ]

    def reconnect(self, at: int) -> list[Output]:
        """Drop the socket, if one is open or asked for, and ask for another at that time (ns)."""
        out: list[Output] = [] if isinstance(self._phase, Closed) else [self.close()]
        self._phase = Closed(at)
        return out

    def close(self) -> CloseSocket:
        """Return the wish to let the socket go."""
        return CloseSocket(self._key, self.connection)

    def wait_like(self, before: Line, by_ns: int, at: int) -> None:
        """Follow a line whose clock was set by so many ns: open at `at` (ns), and count on from its share."""
        self._share, self._numbers = before._share, before._numbers
        self.connection = next(self._numbers)  # what comes late of the one before is of no line
        self._share.step_clock(by_ns)
        self._phase = Closed(at)
