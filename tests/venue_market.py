"""Builders of what the venues service is told: books, healths and commands of a small market."""

from __future__ import annotations

from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from libs.common.events import (
    BookHealth,
    BookState,
    BookTop,
    Features,
    InstrumentTerms,
    Level,
    OrderFilled,
    ScoreVenues,
    TakerSide,
    VenueMetrics,
)
from libs.common.time_units import NS_PER_S

NOW = 1_770_000_000 * NS_PER_S


def levels(best: float, step: float, size: float, count: int = 50) -> tuple[Level, ...]:
    return tuple((round(best + step * at, 2), size) for at in range(count))


def a_top(  # noqa: PLR0913 -- a builder names what a test may vary
    venue: str = "binance",
    symbol: str = "BTC-USDT",
    *,
    mid: float = 60_000.0,
    half_spread: float = 0.5,
    size: float = 0.5,
    step: float = 1.0,
    now: int = NOW,
    epoch: int = 1,
    seq: int = 1,
    lag_ms: float = 5.0,
) -> BookTop:
    return BookTop(
        venue=venue,
        symbol=symbol,
        epoch=epoch,
        seq=seq,
        venue_seq=None,
        bids=levels(mid - half_spread, -step, size),
        asks=levels(mid + half_spread, step, size),
        features=Features(
            mid=mid,
            microprice=mid,
            spread_bps=2e4 * half_spread / mid,
            obi=0.0,
            depth_bid=size,
            depth_ask=size,
            depth_truncated=False,
        ),
        venue_ts=now - round(lag_ms * 1e6),
        received_ts=now,
    )


def a_health(  # noqa: PLR0913 -- as above
    venue: str = "binance",
    symbol: str = "BTC-USDT",
    *,
    state: BookState = BookState.LIVE,
    now: int = NOW,
    since_ts: int | None = None,
    epoch: int = 1,
    gaps: int = 0,
    disconnects: int = 0,
    owner: str = "l2",
    rate_remaining: float | None = 1.0,
    requests: int = 1,
    request_ns: int | None = 20_000_000,
    in_doubt: bool = False,
    terms: InstrumentTerms | None = None,
) -> BookHealth:
    return BookHealth(
        venue=venue,
        symbol=symbol,
        state=state,
        epoch=epoch,
        seq=1,
        reason="said by the test",
        owner=owner,
        since_ts=now if since_ts is None else since_ts,
        ts=now,
        gaps=gaps,
        disconnects=disconnects,
        rate_remaining=rate_remaining,
        requests=requests,
        request_ns=request_ns,
        in_doubt=in_doubt,
        terms=terms,
    )


def a_fill(number: int = 1, *, price: str = "60006", side: TakerSide = "buy") -> OrderFilled:
    return OrderFilled(
        exec_id=f"fill {number}",
        cl_ord_id="order",
        execution_id=None,
        venue="binance",
        symbol="BTC-USDT",
        side=side,
        order_qty=Decimal(1),
        last_qty=Decimal(1),
        last_px=Decimal(price),
        cum_qty=Decimal(1),
        leaves_qty=Decimal(0),
        avg_px=Decimal(price),
        fee=Decimal(0),
        mid=60_000.0,
        expected_px=60_000.0,
        latency_ns=0,
        epoch=1,
        seq=1,
        ts=NOW,
    )


def a_score(
    number: int = 1,
    *,
    symbol: str = "BTC-USDT",
    size: float = 0.1,
    side: TakerSide = "buy",
    reply_key: str | None = None,
) -> ScoreVenues:
    return ScoreVenues(
        command_id=str(uuid5(NAMESPACE_URL, f"score {number}")),
        symbol=symbol,
        size=size,
        side=side,
        reply_key=reply_key,
    )


def a_metrics(venue: str = "binance", symbol: str = "BTC-USDT", *, now: int = NOW) -> VenueMetrics:
    return VenueMetrics(
        venue=venue,
        symbol=symbol,
        state=BookState.LIVE,
        latency_p50_ms=None,
        latency_p99_ms=None,
        spread_bps=1.0,
        top_depth=1.0,
        taker_bps=10.0,
        maker_bps=10.0,
        reliability=0.95,
        alpha=20.0,
        beta=1.0,
        rate_remaining=1.0,
        epoch=1,
        seq=1,
        ts=now,
    )
