"""What callers may send: parameters, bodies, and the names in them, checked before anything else sees them.

Numbers that come as text are ASCII digits and nothing else: ``int(" 1_0")`` is 10, and ``Decimal`` reads the
digits of every script; what a caller may have meant otherwise is refused.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import Header, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from libs.common.command_rules import (
    CONFIDENCE,
    IDENTIFIER,
    MAX_ALLOWED,
    MAX_CONTEXT,
    MAX_FRACTION,
    MAX_LOOKBACK,
    MAX_SYMBOLS,
    MAX_VENUES,
    NEEDED_DAYS,
    amount_fault,
)
from libs.common.instruments import MAX_SIZE, AmbiguousSymbolError, UnknownSymbolError, canonical_symbol
from libs.common.venues import UnknownVenueError, venue_named
from services.gateway.http.problems import UNKNOWN_SYMBOL, UNKNOWN_VENUE, FieldError, ProblemError, invalid
from services.gateway.http.views import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_AT: Final = 10**14  # ms; microseconds and nanoseconds lie beyond
MAX_PARTITION: Final = 2**31 - 1  # Kafka's INT32 and INT64
MAX_OFFSET: Final = 2**63 - 1
LEAST_OF_ID: Final = 8  # of a UUID, as `bookrunner executions` shows it
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
NAME: Final = f"^{IDENTIFIER.pattern}$"

# Numbers in text.
AMOUNT: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_DECIMAL: Final = re.compile(f"[+-]?{AMOUNT}")
_WHOLE: Final = re.compile(r"-?[0-9]+")


def _in_text(value: object, form: re.Pattern[str], what: str) -> object:
    """Return the value; a text must have this form."""
    if isinstance(value, str) and form.fullmatch(value) is None:
        raise ValueError(f"must be {what} of the digits 0 to 9, without spaces or underscores")
    return value


def _amount(value: object) -> Decimal:
    """Return the digits of a number or of a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a number, or a number in text")  # noqa: TRY004 -- pydantic hears ValueError
    try:
        amount = Decimal(str(_in_text(value, _DECIMAL, "a number in text,")))
    except InvalidOperation:  # an exponent beyond all bounds
        raise ValueError("must be a number in text, of a size that there is") from None
    if (wrong := amount_fault(amount)) is not None:
        raise ValueError(wrong)
    return amount


def _idempotency_key(value: object) -> object:
    if isinstance(value, str) and _IDEMPOTENCY_KEY.fullmatch(value) is None:
        raise PydanticCustomError("idempotency_key", "must be 1 to 255 visible ASCII characters")
    return value


# Parameters.
_WHOLE_NUMBER: Final = BeforeValidator(lambda value: _in_text(value, _WHOLE, "a whole number"))
_SYMBOL: Final = (
    "BASE-QUOTE, as BTC-USDT, BTC/USDT or BTC_USDT, in any case; without separator, as BTCUSDT, where that "
    "is one pair only"
)
_VENUE: Final = "id of the exchange, like binance; GET /api/venues/registry lists them"
VenuePath = Annotated[str, Path(description=_VENUE, examples=["binance"])]
SymbolPath = Annotated[str, Path(description=_SYMBOL, examples=["BTCUSDT"])]
PolicyPath = Annotated[str, Path(pattern=NAME, description="name of the policy")]
OrderPath = Annotated[
    str, Path(pattern=_UUID, description="UUID of the order, as the answer to its POST said")
]
ExecutionPath = Annotated[
    str,
    Path(
        description="UUID of the execution: from the answer to its POST, or from GET /api/exec/records; of "
        f"the newest ones {LEAST_OF_ID} signs of its beginning, or more, do where no other begins so"
    ),
]
SymbolOfOrder = Annotated[
    str, Query(alias="symbol", max_length=40, description=f"of the order: {_SYMBOL}", examples=["BTCUSDT"])
]
OnlySymbol = Annotated[str | None, Query(max_length=40, description=f"only of this one: {_SYMBOL}")]
MeasuredSymbol = Annotated[
    str | None,
    Query(max_length=40, description="whose figures the venues' scalars are, and only venues that have it"),
]
ScopeQuery = Annotated[str, Query(pattern=NAME, description="whose router")]
ScopeOfPolicy = Annotated[str, Query(pattern=NAME, description="whose policy")]
PolicyQuery = Annotated[
    str | None, Query(alias="policyId", pattern=NAME, description="only of this policy", examples=["x_mine"])
]
BookQuery = Annotated[str, Query(pattern=NAME, description="name of the book")]
Depth = Annotated[int, _WHOLE_NUMBER, Query(ge=1, le=MAX_DEPTH, description="levels a side")]
At = Annotated[
    int | None,
    _WHOLE_NUMBER,
    Query(
        ge=0,
        lt=MAX_AT,
        description="show the book as it was at this moment, inclusive: ms since 1970 UTC, by the clock "
        "of `receivedTs`",
        examples=[1767225600131],
    ),
]
Moment = Annotated[
    int | None,
    _WHOLE_NUMBER,
    Query(
        alias="ts", ge=0, lt=MAX_AT, description="of this moment, inclusive: ms since 1970 UTC; default now"
    ),
]
TopsOf = Annotated[
    str | None,
    Query(alias="symbol", max_length=40, description=f"no tops of books but this one's: {_SYMBOL}"),
]
_MOMENT: Final = "ms since 1970 UTC, or so long ago: -10m, -24h, -30d"
SpanBegin = Annotated[
    str | None, Query(alias="from", description=f"begin of the time, {_MOMENT}; default -1d")
]
SpanEnd = Annotated[str | None, Query(alias="to", description=f"end of the time, {_MOMENT}; default now")]
HistoryBegin = Annotated[str, Query(alias="from", description=f"begin of the time, {_MOMENT}")]
HistoryLimit = Annotated[int, _WHOLE_NUMBER, Query(ge=1, le=5000, description="how many at most: the newest")]
RecordKey = Annotated[
    str | None,
    Query(max_length=200, description="only of this key, as the records have it: binance:BTC-USDT"),
]
Every = Annotated[
    str | None,
    Query(
        pattern=r"^[1-9][0-9]{0,5}[smhd]$",
        description="the last record of each key in each step of so long: 5s, 1m, 2h, 1d",
    ),
]
TopicPath = Annotated[str, Path(description="name of the topic", examples=["l2.trades.v1"])]
PartitionPath = Annotated[
    int,
    _WHOLE_NUMBER,
    Path(ge=0, le=MAX_PARTITION, description="number of the partition, from 0", examples=[6]),
]
OffsetPath = Annotated[
    int, _WHOLE_NUMBER, Path(ge=0, le=MAX_OFFSET, description="place in the partition", examples=[0])
]
RecordLimit = Annotated[int, _WHOLE_NUMBER, Query(ge=1, le=500, description="how many at most")]
Wait = Annotated[Literal["plan", "final"], Query(description="answer when it has ended")]
TimeoutS = Annotated[
    float,
    BeforeValidator(lambda value: _in_text(value, _DECIMAL, "a number")),
    Query(alias="timeoutS", gt=0, le=300, description="of wait=final; then it is told as it is"),
]
Topics = Annotated[
    str, Query(description="topic names, separated by commas", max_length=1000, examples=["l2.trades.v1"])
]
BookKeys = Annotated[
    str | None, Query(description="only these books: `venue:symbol`, separated by commas", max_length=1000)
]
From = Annotated[
    str | None,
    Query(
        alias="from",
        description="`end` (default), `beginning`, `-10m` (s, m, h, d), or ms since 1970 UTC; but with "
        "`Last-Event-ID`, as an EventSource that reconnects sends it, `dropped` comes first and the "
        "stream goes on from now",
    ),
]
LastEventId = Annotated[
    str | None,
    Header(
        description="the last id seen; what came since is sent first, while it is remembered and these "
        "topics have been read without a break; else, and always with `from` other than `end`, an event "
        '`dropped` with `{"count": null}` comes first: nobody knows how many are missing'
    ),
]
IdempotencyKey = Annotated[
    str | None,
    BeforeValidator(_idempotency_key),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255}),
    Header(
        alias="Idempotency-Key",
        description="1-255 visible ASCII characters. A repeated request gets the first reply again, marked "
        "`Idempotency-Replayed: true`, for 24 hours and over restarts; only successes are kept.",
    ),
]

# Fields of bodies.
SymbolText = Annotated[str, StringConstraints(min_length=1, max_length=40), Field(description=_SYMBOL)]
VenueText = Annotated[str, StringConstraints(min_length=1, max_length=40), Field(description=_VENUE)]
Allowed = Annotated[
    list[VenueText], Field(description="ids of the exchanges that may be used, each once; empty: all")
]
Side = Annotated[Literal["buy", "sell"], Field(description="buy takes asks, sell takes bids")]
Size = Annotated[float, Field(gt=0, le=MAX_SIZE, description="base units")]
Urgency = Annotated[float, Field(ge=0.0, le=1.0, description="1 is at once")]
Amount = Annotated[
    Decimal,
    BeforeValidator(_amount),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{AMOUNT}$"}]}
    ),
]
PolicyId = Annotated[str, Field(pattern=NAME, description="name of the policy")]
Scope = Annotated[
    str,
    Field(pattern=NAME, description="whose router: its policies learn together, apart from other scopes'"),
]


class Body(BaseModel):
    """A JSON object in camel case: no unknown fields, no other types, no NaN."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, alias_generator=to_camel
    )


class SubscriptionBody(Body):
    """A wish for a book."""

    venue: VenueText
    symbol: SymbolText


class OrderBody(Body):
    """An order of a symbol, wherever it goes."""

    symbol: SymbolText
    size: Size
    side: Side = "buy"


class ScoreBody(OrderBody):
    """An order for which a venue is to be chosen."""

    max_venues: int | None = Field(
        None, ge=1, le=MAX_VENUES, description="venues that the split may use at most; null: any number"
    )
    venues: Allowed = Field(default_factory=list, max_length=MAX_ALLOWED)


class OptimizeBody(Body):
    """What a portfolio is asked for; fractions are per day."""

    symbols: list[SymbolText] = Field(
        min_length=1, max_length=MAX_SYMBOLS, description="each once, in any spelling"
    )
    cvar_budget: float = Field(
        ge=0, le=MAX_FRACTION, description="most expected loss on the worst days, fraction per day"
    )
    vol_target: float = Field(ge=0, le=MAX_FRACTION, description="volatility ceiling, fraction per day")
    mode: Literal["sum_cvar", "portfolio_cvar"] = Field(
        "sum_cvar",
        description="what the budget limits: the sum of weighted CVaRs, or the CVaR of the portfolio",
    )
    lookback: Annotated[int, Field(ge=NEEDED_DAYS, le=MAX_LOOKBACK)] | None = Field(
        None, description="days of history; null: all there are"
    )
    confidence: float = Field(0.95, ge=CONFIDENCE[0], le=CONFIDENCE[1], description="of the CVaR")


class SimulateBody(OrderBody):
    """An order to be planned, not executed."""

    urgency: Urgency = 0.5


class ExecuteBody(Body):
    """A symbol to trade on paper, as the router's policy wants it."""

    symbol: SymbolText
    urgency: Urgency = 0.5
    context: dict[Annotated[str, StringConstraints(min_length=1, max_length=64)], float | str] = Field(
        default_factory=dict,
        max_length=MAX_CONTEXT,
        description="for the router; what is missing is filled in",
    )
    max_venues: int = Field(
        3, ge=1, le=MAX_VENUES, description="venues that the order may be split over at most"
    )
    venues: Allowed = Field(default_factory=list, max_length=MAX_ALLOWED)


class PaperOrderBody(Body):
    """An order for the paper broker."""

    symbol: SymbolText
    side: Side
    size: Amount = Field(description="base units, a number or text")
    ord_type: Literal["market", "limit"] = Field(
        "market", description="market: at any price; limit: at `limit` or better"
    )
    limit: Amount | None = Field(None, description="quote units, of a limit order; null: of a market order")
    time_in_force: Literal["ioc", "gtc"] | None = Field(
        None, description="null: gtc for limit, ioc for market orders"
    )
    venue: VenueText | None = Field(None, description="null: the LIVE one with the best price, fee included")


def field_errors(errors: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """Return pydantic's errors as ours, without the ``query`` or ``body`` in front; long parts are cut."""
    return [FieldError(".".join(str(part)[:64] for part in each["loc"][1:]), each["msg"]) for each in errors]


def symbol_of(text: str, field: str = "symbol") -> str:
    """Return the canonical symbol.

    Raises
    ------
    ProblemError
        404 if the text is none, 422 of `field` with the candidates if it may be several.
    """
    try:
        return canonical_symbol(text)
    except AmbiguousSymbolError as error:
        raise invalid([FieldError(field, str(error))]) from error
    except UnknownSymbolError as error:
        raise ProblemError(UNKNOWN_SYMBOL, f"{error}.") from error


def symbols_of(texts: Sequence[str]) -> dict[str, str]:
    """Return the callers' spellings by canonical symbol, in their order.

    Raises
    ------
    ProblemError
        As `symbol_of`, and 422 if two are the same symbol.
    """
    spellings: dict[str, str] = {}
    for at, text in enumerate(texts):
        symbol = symbol_of(text, f"symbols.{at}")
        if symbol in spellings:
            again = f"{text!r} is {spellings[symbol]!r} again; name it once"
            raise invalid([FieldError(f"symbols.{at}", again)])
        spellings[symbol] = text
    return spellings


def venue_id_of(text: str) -> str:
    """Return the venue's id, in whatever case it comes.

    Raises
    ------
    ProblemError
        404 if there is none.
    """
    try:
        return venue_named(text).venue
    except UnknownVenueError as error:
        raise ProblemError(UNKNOWN_VENUE, f"{error}.") from error


def venue_ids_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of the venues that may be used, in the callers' order.

    Raises
    ------
    ProblemError
        As `venue_id_of`, and 422 if two are the same venue.
    """
    found: list[str] = []
    for at, text in enumerate(texts):
        venue = venue_id_of(text)
        if venue in found:
            raise invalid([FieldError(f"venues.{at}", f"{text!r} is {venue!r} again; name it once")])
        found.append(venue)
    return tuple(found)
