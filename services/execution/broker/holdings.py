"""What is held of a symbol, and what is on its way: exact at any moment, whatever the views' lag; pure.

All fills of a symbol come out of its own partition, so their sum is kept here with them. The portfolio's
position counts instead if it has seen more fills, as after a state that began anew.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import Event
from services.execution.broker.exact_amounts import EXACT
from services.execution.decide.reward import signed_qty
from services.execution.kept import HELD, kept_of, open_orders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.events import OrderFilled, Position, TakerSide
    from libs.common.handling import State
    from services.execution.broker.own_order import OwnOrder

ZERO: Final = Decimal(0)


class Held(Event, frozen=True, kw_only=True):
    """The sum of a symbol's fills; state.

    ``mid_cash + quantity x mid`` is what they have earned at the mid, but for a constant: the state of an
    older version began to count at some later fill.
    """

    quantity: Decimal = ZERO  # base units, signed
    fills: int = 0
    last_px: Decimal = ZERO  # of the newest fill
    mid_cash: Decimal = ZERO  # minus the sum of signed quantity times reference mid, quote units
    mid: Decimal = ZERO  # reference mid at the newest fill


def held_key(symbol: str) -> bytes:
    """Return the state's key of what is held."""
    return HELD + symbol.encode()


def note(state: State[Any], fill: OrderFilled, mid: Decimal) -> None:
    """Add a fill, made when the reference mid was so."""
    key = held_key(fill.symbol)
    before = state.get(key, Held())
    signed = signed_qty(fill)
    with localcontext(EXACT):
        after = Held(
            quantity=before.quantity + signed,
            fills=before.fills + 1,
            last_px=fill.last_px,
            mid_cash=before.mid_cash - signed * mid,
            mid=mid,
        )
    state.put(key, after)


def own(state: State[Any], symbol: str) -> Held:
    """Return the sum of a symbol's fills."""
    found: Held = state.get(held_key(symbol), Held())
    return found


def held(state: State[Any], symbol: str, position: Position | None) -> Decimal:
    """Return what is held of a symbol, base units, signed."""
    known = own(state, symbol)
    if position is None or known.fills >= position.fills:
        return known.quantity
    return position.quantity


def in_flight(state: State[Any], symbol: str) -> Decimal:
    """Return what the executions of a symbol still mean to hold more, base units, signed."""
    return meant(state, symbol, "buy") - meant(state, symbol, "sell")


def meant(state: State[Any], symbol: str, side: TakerSide) -> Decimal:
    """Return what the executions of a symbol still mean to buy or to sell, base units."""
    return sum((left for _, left in kept_of(state).sagas.left(symbol, side)), ZERO)


def resting(state: State[Any], symbol: str, side: TakerSide) -> Decimal:
    """Return what orders on their own may still buy or sell, base units."""
    return sum((kept.order.leaves_qty for kept in _open(state, symbol, side)), ZERO)


def at_venues(state: State[Any], symbol: str, side: TakerSide, *, but: str = "") -> Decimal:
    """Return what the children of a symbol's executions, except of `but`, may still fill, base units."""
    return kept_of(state).sagas.open(symbol, side, but)


def open_quantity(state: State[Any], symbol: str, side: TakerSide) -> Decimal:
    """Return what executions and orders on their own may still buy or sell, base units."""
    return meant(state, symbol, side) + resting(state, symbol, side)


def reserved_cash(state: State[Any]) -> Decimal:
    """Return the cash that the open orders on their own have reserved, of any symbol, quote units."""
    with localcontext(EXACT):
        return sum(
            (
                kept.reserved * kept.order.leaves_qty / kept.order.order_qty
                for kept in open_orders(state)
                if kept.order.side == "buy"
            ),
            ZERO,
        )


def ahead(state: State[Any], symbol: str, position: Position | None) -> Decimal:
    """Return what was bought beyond the portfolio's position, base units."""
    return max(ZERO, held(state, symbol, position) - (position.quantity if position else ZERO))


def last_px(state: State[Any], symbol: str) -> Decimal:
    """Return the price of the symbol's newest fill, quote units; 0 without one."""
    return own(state, symbol).last_px


def owed_elsewhere(state: State[Any], symbol: str, positions: Mapping[bytes, Position]) -> Decimal:
    """Return the cash that other symbols need and the portfolio does not know of yet, quote units.

    What was bought beyond their positions counts at the newest fill, what executions mean to buy at the price
    they were sized at; symbols of other partitions are not known here.
    """
    kept, owed = kept_of(state), ZERO
    with localcontext(EXACT):
        for other in sorted(kept.held - {symbol}):
            owed += ahead(state, other, positions.get(other.encode())) * last_px(state, other)
        for other in sorted(set(kept.sagas.running) - {symbol}):
            owed += sum((left * saga.sizing.price for saga, left in kept.sagas.left(other, "buy")), ZERO)
    return owed


def _open(state: State[Any], symbol: str, side: TakerSide) -> Iterator[OwnOrder]:
    return (kept for kept in open_orders(state, symbol) if kept.order.side == side)
