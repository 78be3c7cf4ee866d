"""How far each factor of a size is from one order, found by inverting the size itself; pure.

=========  =====================================================  ================
symbol     meaning                                                unit
=========  =====================================================  ================
m          least order: a whole lot of the venue's least          base units
f          target that is one least order beyond what is held     fraction of equity
s, w, v    |signal|, width, volatility at which the size is f     1, return, fraction per day
=========  =====================================================  ================

``raw = s s_max sigmoid(-w / w*) min(cap, target / v)`` is solved for each factor in closed form; around that
`size` itself is asked, down to two doubles next to each other: it makes an order at the one, and none at the
other.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from services.gateway.reading.resized import S_MAX, SizingInputs, size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from libs.common.events import SizingSnapshot

BRACKETS: Final = (1e-12, 1e-9, 1e-6)  # around what the closed form says, relative; rounding is within one
NO_CAP: Final = 1e12  # fraction of equity; no cap binds beside it
MOST_WIDTH: Final = 1e3  # return units
MOST_VOL: Final = 1e3  # fraction per day
_PRECISION: Final = 50


class Reach:
    """What `inputs` come to, and what they would have to be.

    Raises
    ------
    ValueError
        As `size` does, if there is no positive width to measure the uncertainty by.
    """

    def __init__(self, inputs: SizingInputs) -> None:
        self.inputs = inputs
        self.sizing: SizingSnapshot = size(inputs)
        self.sign = -1 if inputs.signal < 0 else 1
        self.barred = inputs.signal == 0 or (inputs.signal < 0 and not inputs.allow_short)
        self.made = self.sizing.side is not None
        self.adds = self.sizing.side == ("buy" if self.sign > 0 else "sell") and not self.barred
        # Without the caps that have gates of their own, so that a factor is measured by itself.
        self.free = replace(
            inputs,
            cash=max(Decimal(0), inputs.equity) * Decimal(NO_CAP),
            cvar_budget=0.0,
            cvar_of_one=0.0,
        )

    @cached_property
    def least(self) -> Decimal:
        """m: the least order at the present price."""
        inputs, lot = self.inputs, self.inputs.lot
        with localcontext(prec=_PRECISION, rounding=ROUND_CEILING):
            wanted = max(lot, inputs.min_qty, inputs.min_notional / inputs.price)
            return (wanted / lot).to_integral_value() * lot

    @cached_property
    def beyond(self) -> Decimal:
        """The target, without its sign, that is one least order beyond what is held, base units."""
        lot = self.inputs.lot
        with localcontext(prec=_PRECISION, rounding=ROUND_CEILING):
            wanted = max(self.least, self.least + self.sign * self.inputs.held)
            return (wanted / lot).to_integral_value() * lot

    @cached_property
    def fraction(self) -> float | None:
        """f: the least fraction of equity that makes an order; None where no equity is there."""
        inputs = self.inputs
        if inputs.equity <= 0:
            return None
        with localcontext(prec=_PRECISION):
            return float(self.beyond * inputs.price / inputs.equity)

    @cached_property
    def worth_holding(self) -> bool:
        """Whether the target before the caps is a least order by itself."""
        if self.barred or self.inputs.forecast_vol is None or self.inputs.equity <= 0:
            return False
        with localcontext(prec=_PRECISION):
            return Decimal(self.sizing.raw) * self.inputs.equity >= self.least * self.inputs.price

    @cached_property
    def blind(self) -> bool:
        """Whether no target can be set: equity, volatility or CVaR is not known."""
        inputs = self.inputs
        unknown = (inputs.forecast_vol, inputs.cvar_budget, inputs.cvar_of_one)
        return inputs.equity <= 0 or None in unknown

    @cached_property
    def closes(self) -> bool:
        """Whether a target of nothing makes an order: something is held, and may be sold."""
        return size(replace(self.free, signal=0.0, forecast_vol=1.0)).side is not None

    @cached_property
    def too_small(self) -> bool:
        """Whether the product of the factors is less than an order."""
        return not (self.made or self.blind or self.barred or self.worth_holding)

    @cached_property
    def settled(self) -> bool:
        """Whether what is held is wanted, or is the most that may be held, but for less than an order."""
        return self.worth_holding and not self.made and size(self.free).side is None

    @cached_property
    def caps(self) -> Mapping[str, float]:
        """The caps on a target in the direction of the signal, long without one, fractions of equity."""
        return size(replace(self.inputs, signal=-1.0 if self.sign < 0 and not self.barred else 1.0)).caps

    @cached_property
    def signal(self) -> float | None:
        """s: the least |signal| that makes one order, as certainty and volatility are; None: none does."""
        factor = self._factor(self.sizing.sigmoid, self.sizing.vol_scale)
        guess = None if factor is None else _over(self.fraction, factor)
        if guess is None:
            return None
        sign = self.sign if not self.barred else 1
        return self._nearest(guess, 0.0, 1.0, up=True, at=lambda s: replace(self.free, signal=sign * s))

    @cached_property
    def width(self) -> float | None:
        """w: the greatest width at which one order is made; None: none is, however certain it were."""
        factor = self._factor(abs(self.inputs.signal), self.sizing.vol_scale)
        share = None if factor is None or self.barred else _over(self.fraction, factor)
        if share is None:
            return None
        guess = self.sizing.w_star * math.log(1 / share - 1) if 0 < share < 1 else 0.0
        return self._nearest(
            guess, 0.0, MOST_WIDTH, up=False, at=lambda w: replace(self.free, uncertainty_width=w)
        )

    @cached_property
    def vol(self) -> float | None:
        """v: the greatest volatility at which one order is made; None: none is, however calm it were."""
        factor = self._factor(abs(self.inputs.signal), self.sizing.sigmoid)
        scale = None if factor is None or self.barred else _over(self.fraction, factor)
        if scale is None:
            return None
        guess = math.inf if scale == 0 else self.inputs.vol_target / scale
        return self._nearest(
            min(guess, MOST_VOL), 0.0, MOST_VOL, up=False, at=lambda v: replace(self.free, forecast_vol=v)
        )

    def holds(self, cap: float | None) -> bool:
        """Tell whether a cap, a fraction of equity, leaves room for one order beyond what is held."""
        return cap is None or self.fraction is None or cap >= self.fraction

    def _factor(self, one: float, other: float | None) -> float | None:
        s_max = S_MAX if self.inputs.s_max is None else self.inputs.s_max
        return None if other is None else one * other * s_max

    def _orders(self, inputs: SizingInputs) -> bool:
        return size(inputs).side == ("sell" if self.sign < 0 and not self.barred else "buy")

    def _nearest(
        self, guess: float, low: float, high: float, *, up: bool, at: Callable[[float], SizingInputs]
    ) -> float | None:
        """Return the last double on the way out at which an order is made, by bisection around a guess.

        Parameters
        ----------
        low, high
            Between which it is looked for; None is returned if there is no order at the inward one.
        up
            Orders are made from there upwards; else downwards.
        """
        inward, outward = (high, low) if up else (low, high)
        if not self._orders(at(inward)):
            return None
        if self._orders(at(outward)):
            return outward
        yes, no = inward, outward
        for share in BRACKETS:
            near, far = sorted((guess * (1 - share), guess * (1 + share)), reverse=up)
            if low < near < high and self._orders(at(near)):
                yes = near
                if low < far < high and not self._orders(at(far)):
                    no = far
                break
        while min(yes, no) < (middle := yes + (no - yes) / 2) < max(yes, no):
            yes, no = (middle, no) if self._orders(at(middle)) else (yes, middle)
        return yes


def _over(fraction: float | None, factor: float) -> float | None:
    return None if fraction is None or not factor > 0 else fraction / factor
