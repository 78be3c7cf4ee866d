"""Positions by average cost, in Decimal: what fills make of them.

========  ======================================  ==========
symbol    meaning                                 unit
========  ======================================  ==========
q         signed quantity of a fill               base
p, fee    its price and fee                       quote
z         its part that closes, signed like q     base
basis     average cost times position, signed     quote
========  ======================================  ==========

The cost is kept as a basis, not as an average price, so that nothing is divided until it is shown. After any
sequence of fills exactly: ``quantity = sum q``, ``cash = -sum(q p + fee)``, flat means basis 0, and
``cash + quantity mark = realized + unrealized - fees``.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import Position

if TYPE_CHECKING:
    from libs.common.events import OrderFilled

PRECISION: Final = 50  # digits: products of prices and quantities stay exact
QUANTUM: Final = Decimal("1e-18")  # quote units to which a released part of the basis is rounded
ZERO: Final = Decimal(0)


def flat(symbol: str, ts: int) -> Position:
    """Return the position before the first fill."""
    return Position(
        symbol=symbol,
        quantity=ZERO,
        basis=ZERO,
        avg_price=None,
        mark=None,
        mark_ts=None,
        realized_pnl=ZERO,
        unrealized_pnl=ZERO,
        fees=ZERO,
        cash=ZERO,
        fills=0,
        ts=ts,
    )


def filled(position: Position, fill: OrderFilled, now: int) -> Position:
    """Return the position after one more fill; a flip closes first and then opens."""
    with localcontext(Context(prec=PRECISION, rounding=ROUND_HALF_EVEN)):
        before, basis = position.quantity, position.basis
        q = fill.last_qty if fill.side == "buy" else -fill.last_qty
        p = fill.last_px
        closing = min(abs(q), abs(before)) if before * q < 0 else ZERO
        z = closing.copy_sign(q)
        released = basis if closing == abs(before) and closing else _share(basis, closing, before)
        realized = position.realized_pnl - z * p - released
        basis = basis - released + (q - z) * p
        quantity = before + q
        return _valued(
            msgspec.structs.replace(
                position,
                quantity=quantity,
                basis=basis,
                avg_price=(basis / quantity).quantize(QUANTUM) if quantity else None,
                realized_pnl=realized,
                fees=position.fees + fill.fee,
                cash=position.cash - q * p - fill.fee,
                fills=position.fills + 1,
                ts=now,
            )
        )


def marked(position: Position, mark: float, mark_ts: int, now: int) -> Position:
    """Return the position valued at a mark (quote units), known since `mark_ts`."""
    return _valued(msgspec.structs.replace(position, mark=mark, mark_ts=mark_ts, ts=now))


def profit(position: Position) -> Decimal:
    """Return all it has earned, fees deducted, quote units."""
    with localcontext(Context(prec=PRECISION)):
        return position.realized_pnl + position.unrealized_pnl - position.fees


def exact(price: float) -> Decimal:
    """Return a market price as the digits that name it."""
    return Decimal(repr(price))


def _share(basis: Decimal, closing: Decimal, before: Decimal) -> Decimal:
    if not closing:
        return ZERO
    return (basis * closing / abs(before)).quantize(QUANTUM)


def _valued(position: Position) -> Position:
    with localcontext(Context(prec=PRECISION)):
        worth = ZERO if position.mark is None else position.quantity * exact(position.mark)
        unrealized = ZERO if position.mark is None else worth - position.basis
    return msgspec.structs.replace(position, unrealized_pnl=unrealized)
