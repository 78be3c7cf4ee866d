"""How much to hold: the signal scaled by certainty and volatility, then capped.

=========  ==============================================  ================
symbol     meaning                                         unit
=========  ==============================================  ================
s_max      multiplies the sigmoid                          1
w          90 % credible width of the expected reward      return
w*         width at which the sigmoid is .269              return
sigma      forecast volatility                             fraction per day
B          CVaR budget of the book                         fraction per day
c_i, w_j   CVaR of one unit of weight, weights held        fraction per day, 1
=========  ==============================================  ================

References
----------
Moreira & Muir (2017), Volatility-managed portfolios.
"""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from libs.common.events import SizingSnapshot

if TYPE_CHECKING:
    from libs.common.events import TakerSide

SizingReason: TypeAlias = Literal[
    "sized",
    "flat",  # the signal is 0
    "no_short",  # it is negative and shorting is off
    "no_vol",  # there is no forecast of volatility
    "no_cvar",  # the symbol's risk or the budget is unknown
    "no_equity",
    "capped",  # a cap leaves nothing
    "at_target",
    "below_lot",
    "below_min_qty",
    "below_min_notional",
]


class SizingInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a size depends on, and whose it is."""

    execution_id: str = ""  # empty, as is the symbol: of the versions that did not say
    symbol: str = ""
    now: int = 0  # ns; 0: as above
    signal: float  # in [-1, 1]
    uncertainty_width: float  # w: 90 % credible width of the chosen policy's expected reward, return units
    prior_width: float  # the same before any reward
    w_star: float | None  # return units; None: half the prior width
    s_max: float | None  # None: S_MAX
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
    reserved: Decimal = Decimal(0)  # of held, base units: what is still to be bought, and others' sells
    lot: Decimal  # base units
    min_qty: Decimal  # base units
    min_notional: Decimal  # quote units
    allow_short: bool = False
    model: int = 1  # of the size that is made of these; 1: of the versions that did not say


MODEL: Final = 2  # raised with what a size of the same inputs is
S_MAX: Final = 2.0  # 1 / sigmoid(0)
VOL_FLOOR: Final = 1e-4  # fraction per day; a forecast below is none
_PRECISION: Final = 50


def size(inputs: SizingInputs) -> SizingSnapshot:
    """Return the target position and the order that reaches it, with every number on the way.

    Without a forecast or a risk number there is no target and so no order, not even a closing one. A target
    of 0 (flat signal, shorting off, a cap of 0) closes what is held.

    Raises
    ------
    ValueError
        If `w_star`, or half the prior width in its place, is not positive.

    Notes
    -----
    ``raw = |signal| s_max sigmoid(-w / w*) vol_scale``, ``vol_scale = min(vol_cap, vol_target / max(sigma,
    1e-4))``. A position of x times the equity has the volatility x sigma. A full signal at w = 0 has
    ``x = s_max / 2 vol_target / sigma``, so a volatility of ``s_max / 2 vol_target``: the target itself
    for the default, ``s_max = 1 / sigmoid(0) = 2``. Where sigma is under vol_target / vol_cap it stays below.
    """
    s_max = S_MAX if inputs.s_max is None else inputs.s_max
    w_star = inputs.prior_width / 2 if inputs.w_star is None else inputs.w_star
    if not w_star > 0:
        raise ValueError(f"w* is {w_star}; it must be a positive width in return units")
    odds = math.exp(-inputs.uncertainty_width / w_star)
    sigmoid = odds / (1.0 + odds)
    vol_scale = None
    if inputs.forecast_vol is not None:
        vol_scale = min(inputs.vol_cap, inputs.vol_target / max(inputs.forecast_vol, VOL_FLOOR))
    raw = abs(inputs.signal) * s_max * sigmoid * (vol_scale or 0.0)
    blind = _blind(inputs)
    caps = {} if blind == "no_equity" else _caps(inputs)
    wanted = 0.0 if blind or (inputs.signal < 0 and not inputs.allow_short) else raw
    binding = min(caps, key=lambda name: caps[name], default=None)
    if binding is None or caps[binding] >= wanted:
        binding, fraction = None, wanted
    else:
        fraction = caps[binding]
    target = Decimal(0) if blind else _whole_lots(fraction, inputs)
    signed = -1 if inputs.signal < 0 else 1
    side, qty, reason = (None, Decimal(0), blind) if blind else _order(inputs, signed * target, fraction, raw)
    return SizingSnapshot(
        execution_id=inputs.execution_id,
        symbol=inputs.symbol,
        signal=inputs.signal,
        uncertainty_width=inputs.uncertainty_width,
        s_max=s_max,
        w_star=w_star,
        sigmoid=sigmoid,
        forecast_vol=inputs.forecast_vol,
        vol_target=inputs.vol_target,
        vol_scale=vol_scale,
        raw=raw,
        caps=caps,
        binding=binding,
        size=signed * fraction if fraction else 0.0,
        position_vol=None if inputs.forecast_vol is None else fraction * inputs.forecast_vol,
        target=signed * target if target else Decimal(0),
        held=inputs.held,
        side=side,
        qty=qty,
        reason=reason,
        equity=inputs.equity,
        price=inputs.price,
        ts=inputs.now,
    )


def _blind(inputs: SizingInputs) -> SizingReason | None:
    """Return why no target can be set, if so."""
    if inputs.equity <= 0:
        return "no_equity"
    if inputs.forecast_vol is None:
        return "no_vol"
    if inputs.cvar_budget is None or inputs.cvar_of_one is None:
        return "no_cvar"
    return None


def _caps(inputs: SizingInputs) -> dict[str, float]:
    """Return the caps on |size|, fractions of equity; ``cvar = max(0, (B - sum_{j!=i} w_j c_j) / c_i)``."""
    caps = {"position": max(0.0, inputs.position_cap)}
    if inputs.cvar_budget is not None and inputs.cvar_of_one:  # one that loses nothing needs no budget
        caps["cvar"] = max(0.0, (inputs.cvar_budget - inputs.cvar_of_others) / inputs.cvar_of_one)
    if inputs.signal > 0:  # a short needs no cash; the position cap bounds it
        with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
            affordable = inputs.cash / (1 + Decimal(inputs.taker_bps) / 10_000)
            value = max(Decimal(0), inputs.held * inputs.price + affordable)
            caps["cash"] = float(value / inputs.equity)
    return caps


def _whole_lots(fraction: float, inputs: SizingInputs) -> Decimal:
    """Return ``floor(fraction x equity / price / lot) x lot``, base units."""
    with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
        lots = (Decimal(fraction) * inputs.equity / inputs.price / inputs.lot).to_integral_value()
        return lots * inputs.lot


def _order(
    inputs: SizingInputs, target: Decimal, fraction: float, raw: float
) -> tuple[TakerSide | None, Decimal, SizingReason]:
    gap = target - inputs.held
    if gap < 0 and not inputs.allow_short:
        gap = min(Decimal(0), max(gap, inputs.reserved - inputs.held))
    with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
        qty = (abs(gap) / inputs.lot).to_integral_value() * inputs.lot
    why = _why(inputs, target, fraction, raw)
    if gap == 0:
        return None, Decimal(0), "at_target" if why == "sized" else why
    too_small = _too_small(inputs, qty)
    if too_small:
        return None, Decimal(0), too_small
    return ("buy" if gap > 0 else "sell"), qty, why


def _why(inputs: SizingInputs, target: Decimal, fraction: float, raw: float) -> SizingReason:
    """Return why the target is 0, or that it is not."""
    if target:
        return "sized"
    if inputs.signal == 0:
        return "flat"
    if inputs.signal < 0 and not inputs.allow_short:
        return "no_short"
    return "capped" if fraction == 0 < raw else "below_lot"


def _too_small(inputs: SizingInputs, qty: Decimal) -> SizingReason | None:
    if qty == 0:
        return "below_lot"
    if qty < inputs.min_qty:
        return "below_min_qty"
    if qty * inputs.price < inputs.min_notional:
        return "below_min_notional"
    return None
