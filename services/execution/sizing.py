"""How much to hold: the signal scaled by certainty and volatility, then capped."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import Literal

import msgspec

from libs.common.events import TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time


class SizingInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a size depends on."""

    signal: float  # in [-1, 1]
    uncertainty_width: float  # w: 90 % credible width of the chosen policy's expected reward, return units
    prior_width: float  # the same before any reward
    w_star: float | None  # return units; None: half the prior width
    s_max: float  # largest fraction of equity
    forecast_vol: float | None  # fraction per day; None: unknown
    vol_target: float  # fraction per day
    vol_cap: float = 2.0
    cvar_budget: float | None  # B, fraction per day; None: no risk is known
    cvar_of_others: float = 0.0  # sum of |w_j| c_j over the other symbols, fraction per day
    cvar_of_one: float | None  # c_i: of one unit of weight, fraction per day; None: unknown
    position_cap: float = 1.0  # fraction of equity
    equity: Decimal  # quote units
    cash: Decimal  # quote units that may be spent
    price: Decimal  # quote units
    taker_bps: float = 0.0  # what a buyer pays beyond the price
    held: Decimal  # base units, signed
    lot: Decimal  # base units
    min_qty: Decimal  # base units
    min_notional: Decimal  # quote units
    allow_short: bool = False


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """A target, the order that reaches it, and every number on the way."""

    signal: float
    uncertainty_width: float
    s_max: float
    w_star: float
    sigmoid: float  # in (0, 1/2]
    forecast_vol: float | None
    vol_target: float
    vol_scale: float | None  # None without a forecast
    raw: float  # |signal| s_max sigmoid vol_scale, fraction of equity before caps
    caps: dict[
        str, float
    ]  # fractions of equity by name: cvar, position, cash; one not binding at all is absent
    binding: str | None  # name of the cap that cut the raw size
    size: float  # signed target after caps, fraction of equity, before rounding to lots
    target: Decimal  # base units, signed, whole lots
    side: TakerSide | None  # of the order; None: no order
    qty: Decimal  # base units of the order, 0 without one
    reason: Literal[
        "sized",
        "flat",
        "no_short",
        "no_vol",
        "no_cvar",
        "no_equity",
        "at_target",
        "below_lot",
        "below_min_qty",
        "below_min_notional",
    ]


def size(inputs: SizingInputs) -> Sizing:
    """Return the target position and the order that reaches it."""
    raise NotImplementedError
