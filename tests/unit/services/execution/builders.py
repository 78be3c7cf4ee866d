"""Inputs of the execution mathematics, as small as a test allows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from numpy.random import Generator, Philox

from libs.common.events import Candle
from services.execution.decide.alternatives import PlanInputs
from services.execution.decide.cost import PRIOR
from services.execution.decide.profile import BUCKETS, VolumeProfile
from services.execution.decide.sizing import SizingInputs

MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS
NOW = 20_000 * DAY_NS
MID = 60_000.0


def seeded(key: int = 7) -> Generator:
    return Generator(Philox(key=key))


def a_candle(at: int, close: float, volume: float = 1.0, **fields: Any) -> Candle:
    """Return a closed minute, `at` minutes after 1970; or a day, by `interval` and `open_ts`."""
    values: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "interval": "1m",
        "open_ts": at * MINUTE_NS,
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": volume,
        "trades": 1,
        "closed": True,
    }
    return Candle(**(values | fields))


def a_volume(**fields: Any) -> VolumeProfile:
    values: dict[str, Any] = {
        "expected": (120.0,) * BUCKETS,
        "days": 2,
        "cv": 0.6,
        "cv_left": 0.4,
        "rate": 0.4,  # 34,560 BTC a day, as Binance's spot market of 2024
    }
    return VolumeProfile(**(values | fields))


def plan_inputs(quantity: str, urgency: float, **fields: Any) -> PlanInputs:
    """Return a buy on a flat book of 50 BTC within 10 bps, in levels of one half bps; sigma 2.5 % a day."""
    sign = 1 if fields.get("side", "buy") == "buy" else -1
    values: dict[str, Any] = {
        "venue": "binance",
        "side": "buy",
        "quantity": Decimal(quantity),
        "urgency": urgency,
        "now": NOW,
        "levels": tuple((MID * (1 + sign * 5e-5 * at), 2.5) for at in range(1, 41)),
        "mid": MID,
        "spread_bps": 1.0,
        "depth": 50.0,
        "sigma_day": 0.025,
        "cost": PRIOR,
        "volume": a_volume(),
        "tick": Decimal("0.01"),
        "lot": Decimal("0.00001"),
        "min_qty": Decimal("0.00001"),
        "min_notional": Decimal(5),
    }
    return PlanInputs(**(values | fields))


def sizing_inputs(**fields: Any) -> SizingInputs:
    values: dict[str, Any] = {
        "signal": 1.0,
        "uncertainty_width": 0.002,
        "prior_width": 0.004,
        "w_star": None,
        "s_max": 0.5,
        "forecast_vol": 0.02,
        "vol_target": 0.02,
        "cvar_budget": 0.05,
        "cvar_of_one": 0.04,
        "equity": Decimal(100_000),
        "cash": Decimal(100_000),
        "price": Decimal(60_000),
        "held": Decimal(0),
        "lot": Decimal("0.00001"),
        "min_qty": Decimal("0.00001"),
        "min_notional": Decimal(5),
    }
    return SizingInputs(**(values | fields))
