"""Each venue's limits on us, kept by counting before asking.

Units are the venue's: request weight for REST, connection attempts for sockets. Half of a budget is reserved:
out of it a book has what it needs once in `SHARE_NS`, and no more, so a book in trouble cannot spend what the
others need. History has no hurry and never touches the reserve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NS: Final = 1_000_000_000
SHARE_NS: Final = 60 * NS  # in which each book may draw on the reserve once
RESERVE: Final = 0.5  # of a budget


@dataclass(slots=True)
class TokenBucket:
    """A budget of `capacity` units that refills evenly within `period_s`."""

    capacity: float
    period_s: float
    _tokens: float = field(init=False)
    _at: int = field(init=False, default=0)
    _blocked_until: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._tokens = self.capacity

    def take(self, cost: float, now: int, *, spare: float = 0.0) -> int:
        """Take `cost` units and return 0, or take none and return the time (ns) at which to ask again.

        `spare` units must be left afterwards, or as many as there ever can be.
        """
        if now < self._blocked_until:
            return self._blocked_until
        self._tokens = self._refilled(now)
        self._at = now
        needed = cost + max(0.0, min(spare, self.capacity - cost))
        if self._tokens >= needed:
            self._tokens -= cost
            return 0
        return now + int((needed - self._tokens) / self._rate * NS) + 1

    def left(self, now: int) -> float:
        """Return the share of the budget that is left, 0 while the venue has said to wait."""
        return 0.0 if now < self._blocked_until else self._refilled(now) / self.capacity

    @property
    def _rate(self) -> float:
        return self.capacity / self.period_s

    def _refilled(self, now: int) -> float:
        return min(self.capacity, self._tokens + self._rate * max(0, now - self._at) / NS)

    def block(self, until: int) -> None:
        """Refuse everything before `until`, because the venue said so."""
        self._blocked_until = max(self._blocked_until, until)

    def step_clock(self, by_ns: int) -> None:
        """Move the times by so many ns, as the clock was set: nothing is refilled by it, and no ban ends."""
        self._at += by_ns
        self._blocked_until += by_ns


@dataclass(frozen=True, slots=True)
class Limits:
    """What a venue allows one address, and what our requests cost in its units."""

    rest_capacity: float
    rest_period_s: float
    snapshot_cost: float
    candles_cost: float
    connections: float
    connections_period_s: float


# We plan with half of what a venue allows: other programs may share the address.
LIMITS: Final[Mapping[str, Limits]] = {
    # rest-api.md and web-socket-streams.md of binance-spot-api-docs, 2026-07: 6000 weight/min, a 5000-level
    # snapshot 250, klines 2; 300 connection attempts in 5 min.
    "binance": Limits(3000, 60, 250, 2, 150, 300),
    # developers.binance.com, derivatives, as read in 2026-11: 2400 weight/min each, a 1000-level snapshot 20,
    # 1000 klines 5; connections are not limited there, so as on spot.
    "binance-usdm": Limits(1200, 60, 20, 5, 150, 300),
    "binance-coinm": Limits(1200, 60, 20, 5, 150, 300),
    # bitstamp.net/api, 2026-07: 400 requests/s and 10,000 in 10 min; connections are not limited there.
    "bitstamp": Limits(5000, 600, 1, 1, 150, 300),
    # rate-limit.mdx of bybit-exchange/docs, 2026-07-24: 600 REST requests in 5 s, 500 connections in 5 min.
    "bybit": Limits(300, 5, 1, 1, 250, 300),
    "bybit-200": Limits(300, 5, 1, 1, 250, 300),
    # docs.cdp.coinbase.com, websocket-rate-limits, 2026-08: 8 connections and 8 messages a second, of which a
    # book sends 3 as it connects; REST about 10 requests/s.
    "coinbase": Limits(5, 1, 1, 1, 1, 0.75),
    # docs.cdp.coinbase.com, Exchange rate-limits, 2026-08: 8 WebSocket and 10 REST requests a second.
    "coinbase-exchange": Limits(5, 1, 1, 1, 4, 1),
    # Public REST about 1 request/s (unpublished); about 150 connection attempts in 10 min.
    "kraken": Limits(10, 20, 1, 1, 75, 600),
    "kraken-v1": Limits(10, 20, 1, 1, 75, 600),
    # okx.com/docs-v5/en, 2026-07: candlesticks history 20 requests in 2 s and 3 connections a second, per IP.
    "okx": Limits(10, 2, 1, 1, 1.5, 1),
    "okx-v5-2022": Limits(10, 2, 1, 1, 1.5, 1),
}


@dataclass(slots=True)
class VenueBudget:
    """The budgets of one venue, shared by all its books in this process."""

    limits: Limits
    rest: TokenBucket
    sockets: TokenBucket
    requests: int = 0  # REST requests that were answered
    request_ns: int | None = None  # how long the last of them took

    @classmethod
    def of(cls, venue: str) -> VenueBudget:
        """Return full budgets for a venue of the table."""
        limits = LIMITS[venue]
        return cls(
            limits,
            TokenBucket(limits.rest_capacity, limits.rest_period_s),
            TokenBucket(limits.connections, limits.connections_period_s),
        )

    def take_page(self, now: int) -> int:
        """Take the cost of a page of candles, like `TokenBucket.take`, and leave the reserve alone."""
        return self.rest.take(self.limits.candles_cost, now, spare=RESERVE * self.rest.capacity)

    def step_clock(self, by_ns: int) -> None:
        """Follow the clock; see `TokenBucket.step_clock`."""
        self.rest.step_clock(by_ns)
        self.sockets.step_clock(by_ns)

    def on_reply(self, took_ns: int) -> None:
        """Note how long a request took that the venue answered."""
        self.requests += 1
        self.request_ns = took_ns


@dataclass(slots=True)
class Share:
    """One book's part of a budget: anything above the reserve, and out of it once in `SHARE_NS`."""

    bucket: TokenBucket
    _drew_at: int | None = None  # on the reserve

    def take(self, cost: float, now: int) -> int:
        """Take `cost` units and return 0, or take none and return the time (ns) at which to ask again."""
        again = self.bucket.take(cost, now, spare=RESERVE * self.bucket.capacity)
        if again == 0:
            return 0
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
