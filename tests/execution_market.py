"""Builders for tests of the execution service: books, orders, answers of its peers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from libs.common.events import (
    BookHealth,
    BookState,
    BookTop,
    Candle,
    CostBps,
    ExecType,
    Features,
    OrdStatus,
    PaperOrder,
    PolicyChosen,
    PolicySignalled,
    Position,
    RiskBudget,
    SymbolRisk,
    VenueCandidate,
    VenueMetrics,
    VenueScored,
    VenueShare,
)
from libs.common.topics import book_key

NOW = 1_767_225_600_000_000_000  # ns UTC
EPOCH = 1_767_225_500_000


def a_book_top(**changes: Any) -> BookTop:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "epoch": EPOCH,
        "seq": 7,
        "venue_seq": None,
        "bids": tuple((60_000.0 - 0.5 * i, 2.0) for i in range(50)),
        "asks": tuple((60_000.5 + 0.5 * i, 2.0) for i in range(50)),
        "venue_ts": None,
        "received_ts": NOW,
    } | changes
    bids, asks = fields["bids"], fields["asks"]
    mid = (bids[0][0] + asks[0][0]) / 2
    near = mid * 1e-3
    features = Features(
        mid=mid,
        microprice=mid,
        spread_bps=(asks[0][0] - bids[0][0]) / mid * 1e4,
        obi=0.0,
        depth_bid=sum(size for price, size in bids if price >= mid - near),
        depth_ask=sum(size for price, size in asks if price <= mid + near),
        depth_truncated=False,
    )
    return BookTop(**{"features": features} | fields)


def a_book_health(**changes: Any) -> BookHealth:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "state": BookState.LIVE,
        "epoch": EPOCH,
        "seq": 7,
        "reason": "the snapshot joins the stream",
        "since_ts": NOW,
        "ts": NOW,
    }
    return BookHealth(**fields | changes)


def an_order(**changes: Any) -> PaperOrder:
    fields: dict[str, Any] = {
        "cl_ord_id": "o1",
        "execution_id": None,
        "venue": "binance",
        "symbol": "BTC-USDT",
        "side": "buy",
        "order_qty": Decimal(1),
        "ord_type": "market",
        "price": None,
        "time_in_force": "ioc",
        "ord_status": OrdStatus.PENDING_NEW,
        "exec_type": ExecType.PENDING_NEW,
        "cum_qty": Decimal(0),
        "cum_quote": Decimal(0),
        "fees": Decimal(0),
        "avg_px": None,
        "submitted_ts": 0,
        "arrives_ts": 0,
        "mid": 100.0,
        "best_px": 101.0,
        "expected_px": 101.0,
        "epoch": 1,
        "seq": 1,
    } | changes
    return PaperOrder(**{"leaves_qty": fields["order_qty"]} | fields)


def a_policy_chosen(command_id: str, policy_id: str, **changes: Any) -> PolicyChosen:
    fields: dict[str, Any] = {
        "command_id": command_id,
        "scope": "default",
        "policy_id": policy_id,
        "score": 0.004,
        "exploration_bonus": 0.001,
        "propensity": 0.25,
        "explored": False,
        "scores": {policy_id: 0.004},
        "means": {policy_id: 0.003},
        "propensities": {policy_id: 1.0},
        "width": 0.01,
        "prior_width": 0.02,
        "forecast_vol": 0.02,
        "features": {"bias": 1.0},
        "inputs": {},
        "layout": 1,
        "versions": {policy_id: 0},
        "ts": NOW,
    }
    return PolicyChosen(**fields | changes)


def a_policy_signalled(policy_id: str = "x_mine", value: float = 0.8, **changes: Any) -> PolicySignalled:
    fields: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "reason": "as it says",
        "inputs_ts": NOW,
        "valid_until_ts": changes.get("inputs_ts", NOW) + 60_000_000_000,
    }
    return PolicySignalled(policy_id=policy_id, value=value, **fields | changes)


def a_venue_scored(command_id: str, size: float, side: Any = "buy", **changes: Any) -> VenueScored:
    candidates = tuple(
        VenueCandidate(
            venue=venue,
            eligible=True,
            score=-10.0 - n,
            cost_bps=CostBps(spread=0.1, impact=0.2, fee=9.5, latency=0.1, reliability=0.1),
            reasons=("taker fee 10 bps",),
            mid=60_000.25,
            epoch=EPOCH,
            seq=7,
        )
        for n, venue in enumerate(("binance", "bybit"))
    )
    fields: dict[str, Any] = {
        "command_id": command_id,
        "symbol": "BTC-USDT",
        "side": side,
        "size": size,
        "venue": "binance",
        "score": -10.0,
        "reasons": ("taker fee 10 bps",),
        "candidates": candidates,
        "allocation": (VenueShare(venue="binance", size=size),),
        "saving_bps": 0.0,
        "ts": NOW,
    }
    return VenueScored(**fields | changes)


def a_risk_budget(**changes: Any) -> RiskBudget:
    fields: dict[str, Any] = {
        "book": "default",
        "equity": Decimal(1_000_000),
        "cvar_budget": 0.05,
        "cvar_used": 0.0,
        "cvar_left": 0.05,
        "by_symbol": {"BTC-USDT": SymbolRisk(cvar=0.05, vol=0.02, weight=0.0, used=0.0)},
        "confidence": 0.95,
        "observations": 500,
        "ts": NOW,
    }
    return RiskBudget(**fields | changes)


def a_position(quantity: Decimal, **changes: Any) -> Position:
    fields: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "quantity": quantity,
        "basis": quantity * 60_000,
        "avg_price": Decimal(60_000),
        "mark": 60_000.0,
        "mark_ts": NOW,
        "realized_pnl": Decimal(0),
        "unrealized_pnl": Decimal(0),
        "fees": Decimal(0),
        "cash": -quantity * 60_000,
        "fills": 1,
        "ts": NOW,
    }
    return Position(**fields | changes)


def a_candle(interval: Any, open_ts: int, close: float, **changes: Any) -> Candle:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "interval": interval,
        "open_ts": open_ts,
        "open": close,
        "high": close * 1.0005,
        "low": close * 0.9995,
        "close": close,
        "volume": 5.0,
        "trades": 50,
        "closed": True,
    }
    return Candle(**fields | changes)


def some_metrics(venue: str, symbol: str, left: float, request_ms: float, now: int) -> VenueMetrics:
    return VenueMetrics(
        venue=venue,
        symbol=symbol,
        state=BookState.LIVE,
        latency_p50_ms=5.0,
        latency_p99_ms=9.0,
        request_p50_ms=request_ms,
        spread_bps=0.1,
        top_depth=1.5,
        taker_bps=10.0,
        maker_bps=10.0,
        reliability=0.98,
        alpha=40.0,
        beta=1.0,
        rate_remaining=left,
        epoch=1,
        seq=1,
        ts=now,
    )


KEY = book_key("binance", "BTC-USDT")
