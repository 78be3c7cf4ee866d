"""Fills for the portfolio to fold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from libs.common.events import OrderFilled


def a_fill(exec_id: str = "e-1", symbol: str = "BTC-USDT", **changes: Any) -> OrderFilled:
    fields: dict[str, Any] = {
        "exec_id": exec_id,
        "cl_ord_id": f"order-{exec_id}",
        "execution_id": None,
        "venue": "binance",
        "symbol": symbol,
        "side": "buy",
        "order_qty": Decimal(1),
        "last_qty": Decimal(1),
        "last_px": Decimal(100),
        "cum_qty": Decimal(1),
        "leaves_qty": Decimal(0),
        "avg_px": Decimal(100),
        "fee": Decimal("0.1"),
        "mid": 100.0,
        "expected_px": 100.0,
        "latency_ns": 0,
        "epoch": 1,
        "seq": 1,
        "ts": 1,
    }
    return OrderFilled(**fields | changes)
