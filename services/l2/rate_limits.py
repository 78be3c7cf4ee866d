"""Each venue's limits on us, kept by counting before asking.

Units are the venue's: request weight for REST, connection attempts for sockets. Half of a budget is reserved:
out of it a book has what it needs once in `SHARE_NS`, and no more, so a book in trouble cannot spend what the
others need. History has no hurry and never touches the reserve.

A venue that refuses to serve this address (`refusals.py`) is left alone by all of its books, whatever they
want; afterwards one of them asks before the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from libs.common.token_bucket import Rate, TokenBucket
from libs.common.venues import venue_of
from services.l2.refusals import BLOCKED_S, LIMITED_S, REDIRECTIONS, TOO_MANY, pause_ns, refusal_of

if TYPE_CHECKING:
    from libs.common.venues.venue import Limits

MILLI: Final = 1_000  # of a unit
SHARE_NS: Final = 60 * NS_PER_S  # in which each book may draw on the reserve once
RESERVE: Final = 0.5  # of a budget
PROBE_NS: Final = 30 * NS_PER_S  # in which the answer to a probe is awaited, before another book may ask
TURN_NS: Final = NS_PER_S  # until which those that wait for a probe look again


@dataclass(slots=True)
class VenueBucket:
    """A budget of `capacity` units that refills evenly within `period_s`, kept in thousandths of a unit.

    Once the venue has refused to serve us, who takes first after the pause probes for all others.
    """

    capacity: float
    period_s: float
    _bucket: TokenBucket = field(init=False)
    _blocked_until: int = field(init=False, default=0)
    _refused: bool = field(init=False, default=False)  # and not served since
    _probe_until: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        full = round(self.capacity * MILLI)
        self._bucket = TokenBucket(Rate(full, full, round(self.period_s * NS_PER_S)), 0)

    def take(self, cost: float, now: int, *, spare: float = 0.0) -> int:
        """Take `cost` units and return 0, or take none and return the time (ns) at which to ask again.

        `spare` units must be left afterwards, or as many as there ever can be.
        """
        if now < self._blocked_until:
            return self._blocked_until
        if now < self._probe_until:
            return min(now + TURN_NS, self._probe_until)
        kept = max(0.0, min(spare, self.capacity - cost))
        if wait_ns := self._bucket.take(now, round(cost * MILLI), round(kept * MILLI)):
            return now + wait_ns
        if self._refused:
            self._probe_until = now + PROBE_NS
        return 0

    def left(self, now: int) -> float:
        """Return the share of the budget that is left, 0 while the venue has said to wait."""
        return 0.0 if now < self._blocked_until else self._bucket.left(now)

    def block(self, until: int) -> None:
        """Refuse everything before `until`, because the venue said so."""
        self._blocked_until = max(self._blocked_until, until)

    def refuse(self) -> None:
        """Let one at a time through, until one is served."""
        self._refused, self._probe_until = True, 0

    def serve(self) -> None:
        """Let all through: the venue served one."""
        self._refused, self._probe_until = False, 0

    def step_clock(self, by_ns: int) -> None:
        """Move the times by so many ns, as the clock was set: nothing is refilled by it, and no ban ends."""
        self._bucket.step_clock(by_ns)
        self._blocked_until += by_ns
        self._probe_until += by_ns


@dataclass(slots=True)
class VenueBudget:
    """The budgets of one venue, shared by all its books in this process."""

    limits: Limits
    rest: VenueBucket
    sockets: VenueBucket
    blocked_s: float = BLOCKED_S  # least pause of a venue that blocks this address
    requests: int = 0  # REST requests that were answered
    request_ns: int | None = None  # how long the last of them took
    _blocked_until: int = 0  # all of it
    _block_reason: str = ""

    @classmethod
    def of(cls, venue: str, blocked_s: float = BLOCKED_S) -> VenueBudget:
        """Return full budgets for a venue of the table."""
        limits = venue_of(venue).limits
        return cls(
            limits,
            VenueBucket(limits.rest_capacity, limits.rest_period_s),
            VenueBucket(limits.connections, limits.connections_period_s),
            blocked_s,
        )

    def block(self, until: int, reason: str) -> None:
        """Ask the venue for nothing before `until`: neither sockets nor REST, of which history is a part."""
        if until >= self._blocked_until:
            self._blocked_until, self._block_reason = until, reason
        self.rest.block(until)
        self.sockets.block(until)

    def blocked(self, now: int) -> str | None:
        """Return why the venue is left alone, None where it is not."""
        return self._block_reason if now < self._blocked_until else None

    def on_answer(self, bucket: VenueBucket, status: int, retry_after_s: float | None, now: int) -> None:
        """Follow what the venue answered to who took of `bucket`; status 0 is no answer."""
        of_socket = bucket is self.sockets
        if refusal := refusal_of(status, retry_after_s, of_socket=of_socket, blocked_s=self.blocked_s):
            bucket.refuse()
            self.block(now + refusal.pause_ns, refusal.reason)
        elif status == TOO_MANY:
            bucket.block(now + pause_ns(retry_after_s, LIMITED_S))
        elif status and status not in REDIRECTIONS:
            bucket.serve()

    def take_page(self, now: int) -> int:
        """Take the cost of a page of candles, like `VenueBucket.take`, and leave the reserve alone."""
        return self.rest.take(self.limits.candles_cost, now, spare=RESERVE * self.rest.capacity)

    def take_instrument(self, now: int) -> int:
        """Take the cost of asking for an instrument, like `take_page`."""
        return self.rest.take(self.limits.instrument_cost, now, spare=RESERVE * self.rest.capacity)

    def step_clock(self, by_ns: int) -> None:
        """Follow the clock; see `VenueBucket.step_clock`."""
        self.rest.step_clock(by_ns)
        self.sockets.step_clock(by_ns)
        self._blocked_until += by_ns

    def on_reply(self, took_ns: int) -> None:
        """Note how long a request took that the venue answered."""
        self.requests += 1
        self.request_ns = took_ns


@dataclass(slots=True)
class Share:
    """One book's part of a budget: anything above the reserve, and out of it once in `SHARE_NS`."""

    bucket: VenueBucket
    _drew_at: int | None = None  # on the reserve

    def take(self, cost: float, now: int, *, reserve: bool = True) -> int:
        """Take `cost` units and return 0, or take none and return the time (ns) at which to ask again.

        Without `reserve` the reserve is left alone, as by one who has time.
        """
        again = self.bucket.take(cost, now, spare=RESERVE * self.bucket.capacity)
        if again == 0 or not reserve:
            return again
        entitled_at = now if self._drew_at is None else self._drew_at + SHARE_NS
        if now < entitled_at:
            return min(again, entitled_at)
        if again := self.bucket.take(cost, now):
            return again
        self._drew_at = now
        return 0

    def step_clock(self, by_ns: int) -> None:
        """Move the last draw by so many ns, as the clock was set; the bucket is the venue's."""
        if self._drew_at is not None:
            self._drew_at += by_ns
