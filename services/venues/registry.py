"""VenueRegistry: what is measured of one symbol at one venue, folded message by message; pure.

========== ================================================================= =======
symbol     meaning                                                           unit
========== ================================================================= =======
a, b       Beta posterior of the venue being well: prior (20, 1) and counts  1
T          3600, decay time of the counts                                    s
r          log return of the mid over a minute                               1
v          decayed mean of r^2                                               1 / min
========== ================================================================= =======

A trial of the Beta is 10 s: a success while LIVE, a failure while not, and a failure more for each gap,
failed checksum and disconnect. Every fold carries the offset of its message, so a message delivered again
changes nothing.
"""

from __future__ import annotations

import math
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.all_in_price import BPS, basis_bps, mid_of, sign_of
from libs.common.events import BookState, VenueMetrics
from libs.common.time_units import MINUTE_NS, NS_PER_MS, NS_PER_S
from services.venues.basis import Basis, fold_basis
from services.venues.costs import OUTAGE_S, credible_bps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.events import BookHealth, BookTop, Level, OrderFilled
    from libs.common.venue_fees import Fees
    from services.venues.lags import Reading

MINUTES_PER_DAY: Final = 1440
PRIOR_ALPHA: Final = 20.0
PRIOR_BETA: Final = 1.0
DECAY_S: Final = 3600.0
TRIAL_S: Final = OUTAGE_S
FAILURES_AT_ONCE: Final = 10  # of a health: an absurd count costs a venue an hour, not a day
SETTLED_NS: Final = 10 * NS_PER_S  # LIVE for so long, failures in a row are forgotten
REQUESTS_KEPT: Final = 32
FILLS_KEPT: Final = 64  # ids of the newest, by which a repeated fill is known
FILLS_MEMORY: Final = 50.0  # orders
MOST_SLIPPAGE_BPS: Final = 100.0  # what is further off tells of the expectation
RETURNS_MEMORY: Final = 60  # minutes
LEAST_RETURNS: Final = 5
TOP_LEVELS: Final = 5
BANDS_BPS: Final = (5.0, 10.0, 25.0)


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one symbol at one venue, over restarts."""

    health_offset: int = -1  # of the last message folded, in its topic
    health_ts: int | None = None
    state: BookState = BookState.SYNCING
    owner: str = ""
    told: tuple[int, int, int] = (0, 0, 0)  # gaps, checksum failures, disconnects of this owner
    gaps: int = 0  # since first seen, over owners
    checksum_failures: int = 0
    disconnects: int = 0
    well: float = 0.0  # decayed trials
    ill: float = 0.0
    failures_in_a_row: int = 0
    rate_remaining: float = 1.0
    requests: int = 0
    request_ns: tuple[int, ...] = ()  # the newest
    minute: int | None = None  # of `mid`, since 1970
    mid: float | None = None
    variance: float = 0.0  # v
    returns: int = 0
    fill_ids: tuple[str, ...] = ()
    fills: int = 0
    slippage_bps: float = 0.0
    orders: float = 0.0  # of taker's, behind it: a fill counts as the part of its order that it is
    outages: float = 0.0  # decayed
    out_s: float = 0.0  # decayed time of not being LIVE
    basis: Basis = Basis()

    @property
    def alpha(self) -> float:
        """First parameter of the posterior."""
        return PRIOR_ALPHA + self.well

    @property
    def beta(self) -> float:
        """Second parameter of the posterior."""
        return PRIOR_BETA + self.ill

    @property
    def outage_s(self) -> float:
        """Mean duration D of an outage, s.

        At least that of the Beta's own trials: 10 s each, so ``10 b / (a - 1)`` until one succeeds.
        """
        measured = (OUTAGE_S + self.out_s) / (1 + self.outages)
        return max(measured, TRIAL_S * self.beta / (self.alpha - 1))

    @property
    def expected_slippage_bps(self) -> float:
        """What the next order is expected to pay beyond what its book says."""
        return credible_bps(self.slippage_bps, self.orders)

    @property
    def volatility(self) -> float | None:
        """Fraction per day; None below 5 returns."""
        if self.returns < LEAST_RETURNS:
            return None
        return math.sqrt(self.variance * MINUTES_PER_DAY)


def has_news(before: Measurement, after: Measurement) -> bool:
    """Tell whether something was counted that no later message tells again; the passing of time is none."""
    return (before.fills, before.told, before.owner, before.state, before.returns) != (
        after.fills,
        after.told,
        after.owner,
        after.state,
        after.returns,
    )


# Folds


def fold_health(
    before: Measurement, health: BookHealth, mid: float | None, offset: int, fair: float | None = None
) -> Measurement:
    """Count what a health says; `mid` is that of its book if it is LIVE and fresh, `fair` that of others too.

    All counts fade with the time since the last health, however long; of a silence nothing else is known.
    """
    if offset <= before.health_offset:
        return before
    told = (health.gaps, health.checksum_failures, health.disconnects)
    known = before.told if health.owner == before.owner else (0, 0, 0)
    new = tuple(now - then if now >= then else now for now, then in zip(told, known, strict=True))
    failures = min(sum(new), FAILURES_AT_ONCE)
    since_s = 0.0 if before.health_ts is None else max(0, health.ts - before.health_ts) / NS_PER_S
    elapsed_s, fade = min(TRIAL_S, since_s), math.exp(-since_s / DECAY_S)
    was_live = before.state is BookState.LIVE
    settled = health.state is BookState.LIVE and health.ts - health.since_ts >= SETTLED_NS
    timed = health.request_ns is not None and (
        health.requests != before.requests or health.owner != before.owner
    )
    requests = (*before.request_ns, health.request_ns) if timed and health.request_ns else before.request_ns
    after = msgspec.structs.replace(
        before,
        health_offset=offset,
        health_ts=health.ts,
        state=health.state,
        owner=health.owner,
        told=told,
        gaps=before.gaps + new[0],
        checksum_failures=before.checksum_failures + new[1],
        disconnects=before.disconnects + new[2],
        well=before.well * fade + (elapsed_s / TRIAL_S if was_live else 0.0),
        ill=before.ill * fade + (0.0 if was_live else elapsed_s / TRIAL_S) + failures,
        outages=before.outages * fade + (was_live and health.state is not BookState.LIVE),
        out_s=before.out_s * fade + (0.0 if was_live else elapsed_s),
        failures_in_a_row=0 if settled and not failures else before.failures_in_a_row + failures,
        rate_remaining=1.0 if health.rate_remaining is None else health.rate_remaining,
        requests=health.requests,
        request_ns=requests[-REQUESTS_KEPT:],
    )
    if mid is None:
        return after
    if fair is not None:
        basis = fold_basis(after.basis, basis_bps(mid, fair), health.ts)
        after = msgspec.structs.replace(after, basis=basis)
    return _fold_mid(after, mid, health.ts // MINUTE_NS)


def _fold_mid(before: Measurement, mid: float, minute: int) -> Measurement:
    """Take the first mid of each minute; a return over a minute without one is left out, not 0."""
    if before.minute == minute:
        return before
    if before.mid is None or before.minute != minute - 1:
        return msgspec.structs.replace(before, minute=minute, mid=mid)
    square = math.log(mid / before.mid) ** 2
    returns = before.returns + 1
    weight = 1 / min(returns, RETURNS_MEMORY)
    variance = before.variance + weight * (square - before.variance)
    return msgspec.structs.replace(before, minute=minute, mid=mid, variance=variance, returns=returns)


def fold_fill(before: Measurement, fill: OrderFilled) -> Measurement:
    """Count what a fill paid beyond its expectation; a fill told again changes nothing.

    Only what took counts in the mean, by its part of the order: what rested paid what it asked for.
    """
    if fill.exec_id in before.fill_ids:
        return before
    seen = msgspec.structs.replace(
        before, fills=before.fills + 1, fill_ids=(*before.fill_ids, fill.exec_id)[-FILLS_KEPT:]
    )
    if fill.liquidity != "taker":
        return seen
    slippage = BPS * sign_of(fill.side) * (float(fill.last_px) - fill.expected_px) / fill.expected_px
    slippage = min(max(-MOST_SLIPPAGE_BPS, slippage), MOST_SLIPPAGE_BPS)
    part = min(1.0, float(fill.last_qty / fill.order_qty))
    known = before.orders
    if not known and before.slippage_bps:  # of a state that counted fills only
        known = min(float(before.fills), FILLS_MEMORY)
    orders = known * math.exp(-part / FILLS_MEMORY) + part
    mean = before.slippage_bps + part / orders * (slippage - before.slippage_bps)
    return msgspec.structs.replace(seen, orders=orders, slippage_bps=mean)


# Readings


def request_p50_ms(measurement: Measurement) -> float | None:
    """Return the median of the newest round trips, None before the first."""
    timed = measurement.request_ns
    return median(timed) / NS_PER_MS if timed else None


def order_delay_s(measurement: Measurement, lags: Reading, unknown_request_ms: float) -> float:
    """Return how late an order arrives on average: the age of what it was decided on, and its way there.

    What is seen was half a round trip on its way, or longer where the venue's stamps say so: the least lag is
    the clocks' offset and the way together, and which of them cannot be told, so it counts as the way.
    """
    timed = measurement.request_ns
    request_ms = fmean(timed) / NS_PER_MS if timed else unknown_request_ms
    return (lags.above_ms + max(lags.least_ms, request_ms / 2) + request_ms / 2) / 1e3


def pooled_volatility(measurements: Iterable[Measurement], unknown: float) -> float:
    """Return the median volatility of a symbol over its venues, `unknown` where none has one yet."""
    known = [each for m in measurements if (each := m.volatility) is not None]
    return median(known) if known else unknown


def depth_within(levels: Sequence[Level], mid: float) -> tuple[float, float, float]:
    """Return the base units within 5, 10 and 25 bps of mid; at most what the top shows."""
    narrow, middle, wide = (mid * band / BPS for band in BANDS_BPS)
    within = [(abs(price - mid), size) for price, size in levels]
    in_wide = [each for each in within if each[0] <= wide]
    in_middle = [each for each in in_wide if each[0] <= middle]
    return (
        math.fsum([size for away, size in in_middle if away <= narrow]),
        math.fsum([size for _, size in in_middle]),
        math.fsum([size for _, size in in_wide]),
    )


def metrics_of(
    venue: str,
    symbol: str,
    measurement: Measurement,
    lags: Reading,
    top: BookTop | None,
    now: int,
    fees: Fees,
) -> VenueMetrics:
    """Return what is known of the book alone, without what takes all venues: the basis and the costs."""
    two_sided = top is not None and bool(top.bids and top.asks)
    spread = depth = depth_bid = depth_ask = None
    if top is not None and two_sided:
        mid = mid_of(top)
        spread = BPS * (top.asks[0][0] - top.bids[0][0]) / mid
        depth = min(math.fsum(size for _, size in side[:TOP_LEVELS]) for side in (top.bids, top.asks))
        depth_bid, depth_ask = depth_within(top.bids, mid), depth_within(top.asks, mid)
    return VenueMetrics(
        venue=venue,
        symbol=symbol,
        state=measurement.state,
        latency_p50_ms=lags.p50_ms,
        latency_p99_ms=lags.p99_ms,
        request_p50_ms=request_p50_ms(measurement),
        clock_offset_ms=lags.clock_offset_ms,
        spread_bps=spread,
        top_depth=depth,
        depth_bid=depth_bid,
        depth_ask=depth_ask,
        taker_bps=fees.taker_bps,
        maker_bps=fees.maker_bps,
        reliability=measurement.alpha / (measurement.alpha + measurement.beta),
        alpha=measurement.alpha,
        beta=measurement.beta,
        gaps=measurement.gaps,
        checksum_failures=measurement.checksum_failures,
        disconnects=measurement.disconnects,
        outage_s=measurement.outage_s,
        rate_remaining=measurement.rate_remaining,
        slippage_bps=measurement.slippage_bps if measurement.fills else None,
        fills=measurement.fills,
        volatility=measurement.volatility,
        epoch=top.epoch if top else 0,
        seq=top.seq if top else 0,
        ts=now,
    )
