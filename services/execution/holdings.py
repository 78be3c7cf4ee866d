"""What is held of a symbol, and what is on its way: exact at any moment, whatever the views' lag; pure.

All fills of a symbol come out of its own partition, so their sum is kept here with them. The portfolio's
position counts instead if it has seen more fills, as after a state that began anew.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import Event
from services.execution.saga import Saga

if TYPE_CHECKING:
    from libs.common.events import OrderFilled, Position
    from libs.common.handling import State

ZERO: Final = Decimal(0)


class Held(Event, frozen=True, kw_only=True):
    """The sum of a symbol's fills; state."""

    quantity: Decimal = ZERO  # base units, signed
    fills: int = 0


def held_key(symbol: str) -> bytes:
    """Return the state's key of what is held."""
    return b"held/" + symbol.encode()


def note(state: State[Any], fill: OrderFilled) -> None:
    """Add a fill."""
    key = held_key(fill.symbol)
    before = state.get(key, Held())
    signed = fill.last_qty if fill.side == "buy" else -fill.last_qty
    state.put(key, Held(quantity=before.quantity + signed, fills=before.fills + 1))


def held(state: State[Any], symbol: str, position: Position | None) -> Decimal:
    """Return what is held of a symbol, base units, signed."""
    own: Held = state.get(held_key(symbol), Held())
    if position is None or own.fills >= position.fills:
        return own.quantity
    return position.quantity


def in_flight(state: State[Any], symbol: str) -> Decimal:
    """Return what the executions of a symbol still mean to hold more, base units, signed."""
    found = ZERO
    for saga in state.values():
        if isinstance(saga, Saga) and saga.symbol == symbol and not saga.ended and saga.sizing is not None:
            quantity = saga.sizing.qty if saga.parent is None else saga.parent.quantity - saga.parent.filled
            found += quantity if saga.sizing.side == "buy" else -quantity
    return found
