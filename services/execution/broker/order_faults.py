"""What a venue would refuse of an order's size and limit, and what it would take instead; pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING

from services.execution.broker.exact_amounts import EXACT

if TYPE_CHECKING:
    from libs.common.venues.venue import Instrument


def size_fault(instrument: Instrument, qty: Decimal, price: Decimal) -> str | None:
    """Return what is wrong with an order's size, naming what would be right; None if nothing is."""
    where, lot = f"{instrument.venue} {instrument.symbol}", instrument.lot
    if qty % lot != 0:
        right = _around(qty, lot, max(lot, instrument.min_qty))
        return f"{qty:f} is no multiple of the lot {lot:f} of {where}; {right}"
    if qty < instrument.min_qty:
        return f"{qty:f} is under the minimum {instrument.min_qty:f} of {where}"
    if qty * price < instrument.min_notional:
        with localcontext(EXACT):
            least = _multiple(instrument.min_notional / price, lot, up=True)
        return (
            f"{qty:f} is worth {qty * price:f}, under the minimum of {instrument.min_notional:f} "
            f"quote units of {where}; {least:f} at least is right"
        )
    return None


def limit_fault(instrument: Instrument, limit: Decimal) -> str | None:
    """Return what is wrong with an order's limit, naming what would be right; None if nothing is."""
    tick = instrument.tick
    if limit % tick == 0:
        return None
    right = _around(limit, tick, tick)
    return f"{limit:f} is no multiple of the tick {tick:f} of {instrument.venue}; {right}"


def _around(value: Decimal, step: Decimal, least: Decimal) -> str:
    """Name the multiples of a step next to a value, from `least` on."""
    below, above = (_multiple(value, step, up=up) for up in (False, True))
    if below >= least:
        return f"{below:f} or {above:f} is right"
    return f"{_multiple(max(above, least), step, up=True):f} at least is right"


def _multiple(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    with localcontext(EXACT):
        return ((value / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step).normalize()
