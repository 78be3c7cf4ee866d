"""What callers may send to the execution routes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from libs.common.command_rules import MAX_CONTEXT, amount_fault
from libs.common.instruments import MAX_SIZE
from services.gateway.http.bodies import Body, Side, SymbolText, VenueText
from services.gateway.http.numerals import AMOUNT, decimal_of

Urgency = Annotated[float, Field(ge=0.0, le=1.0, description="1 is at once")]


def _amount(value: object) -> Decimal:
    """Return the digits of a number or of a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a number, or a number in text")  # noqa: TRY004 -- pydantic hears ValueError
    amount = decimal_of(value) if isinstance(value, str) else Decimal(repr(value))
    if (wrong := amount_fault(amount)) is not None:
        raise ValueError(wrong)
    return amount


Amount = Annotated[
    Decimal,
    BeforeValidator(_amount),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{AMOUNT}$"}]}
    ),
]


class SimulateBody(Body):
    """An order to be planned, not executed."""

    symbol: SymbolText
    size: Annotated[float, Field(gt=0.0, le=MAX_SIZE, description="base units")]
    side: Side = "buy"
    urgency: Urgency = 0.5


class ExecuteBody(Body):
    """A symbol to trade on paper, as the router's policy wants it."""

    symbol: SymbolText
    urgency: Urgency = 0.5
    context: Annotated[
        dict[Annotated[str, StringConstraints(min_length=1, max_length=64)], float | str],
        Field(
            default_factory=dict,
            max_length=MAX_CONTEXT,
            description="for the router; what is missing is filled in",
        ),
    ]


class PaperOrderBody(Body):
    """An order for the paper broker."""

    symbol: SymbolText
    side: Side
    size: Annotated[Amount, Field(description="base units, a number or text")]
    ordType: Annotated[  # noqa: N815 -- the contract's name
        Literal["market", "limit"], Field(description="market: at any price; limit: at `limit` or better")
    ] = "market"
    limit: Annotated[Amount | None, Field(description="quote units; a limit order's")] = None
    timeInForce: Annotated[  # noqa: N815 -- as above
        Literal["ioc", "gtc"] | None, Field(description="default: gtc for limit, ioc for market orders")
    ] = None
    venue: Annotated[
        VenueText | None,
        Field(description="default: the LIVE one with the best price, fee included"),
    ] = None
