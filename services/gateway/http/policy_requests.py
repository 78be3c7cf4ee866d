"""What callers may tell of policies and contexts: bodies, and the rules of their names; pure."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from libs.common.time_units import DAY_S, NS_PER_S
from libs.common.told import LONGEST_NS, OUTSIDE, STUB
from services.gateway.http.requests import NAME, Body, PolicyId, SymbolText

MAX_SIGNAL_S: Final = DAY_S
MAX_INPUT_S: Final = LONGEST_NS // NS_PER_S
MAX_SIGNAL_REASON: Final = 500  # characters


def _outside(policy_id: str) -> str:
    if not policy_id.startswith(OUTSIDE):
        said = (
            f"must begin with {OUTSIDE}, as {OUTSIDE}mine: what a built-in or a hosted policy wants, its own "
            "host says"
        )
        raise PydanticCustomError("outside_policy", "{said}", {"said": said})
    return policy_id


def _means_something(source: str) -> str:
    if source == STUB:
        said = f"must not be {STUB}, the name of numbers that mean nothing: say whose number it is"
        raise PydanticCustomError("stub_source", "{said}", {"said": said})
    return source


OutsidePolicy = Annotated[
    PolicyId,
    AfterValidator(_outside),
    Field(
        json_schema_extra={"pattern": f"^{OUTSIDE}[A-Za-z0-9._-]{{0,62}}$"},
        description=f"name of a policy from outside: it begins with {OUTSIDE}",
    ),
]


class SignalBody(Body):
    """What a policy from outside wants of a symbol."""

    policy_id: OutsidePolicy
    symbol: SymbolText
    value: float = Field(ge=-1, le=1, description="+1 fully long, 0 flat, -1 fully short")
    reason: str = Field("", max_length=MAX_SIGNAL_REASON, description="why, for whoever reads it")
    ttl_s: float = Field(gt=0, le=MAX_SIGNAL_S, description="for how long it may be used from now on, s")


class ContextBody(Body):
    """A number for contexts of the router."""

    symbol: SymbolText = Field(description="of which it is, in any spelling, or *: of every symbol")
    name: str = Field(
        pattern=NAME, description="of a declared field of contexts, as rr25, or of a scope's own feature"
    )
    value: float = Field(description="in the unit and the range of its name")
    source: Annotated[str, AfterValidator(_means_something)] = Field(
        "http", pattern=NAME, description=f"who says so; {STUB} is refused"
    )
    ttl_s: float = Field(gt=0, le=MAX_INPUT_S, description="for how long it may be used from now on, s")
