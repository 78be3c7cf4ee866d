"""A gate between a signal and an order, as callers read it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

Name: TypeAlias = Literal[
    "halt",
    "limits",
    "book",
    "policy",
    "signal",
    "uncertainty",
    "volatility",
    "cvar",
    "cash",
    "size",
    "venue",
]
ORDER: Final[tuple[str, ...]] = get_args(Name)


class Gate(Struct, frozen=True, kw_only=True, rename="camel"):
    """One gate, by what is known now."""

    gate: Annotated[Name, Meta(description="which one; they are asked in this order")]
    open: Annotated[bool, Meta(description="it lets an order through")]
    words: Annotated[str, Meta(description="what is so, and what would open it")]
    value: Annotated[float | None, Meta(description="what is looked at, in `unit`; null: it is not known")]
    threshold: Annotated[
        float | None,
        Meta(description="at which it opens or closes, in `unit`; null: none of its values alone decides"),
    ]
    headroom: Annotated[
        float | None,
        Meta(description="how far from closing, in `unit`; below 0: how far from opening; null: see `words`"),
    ]
    unit: Annotated[str, Meta(description="of the three")]
    records: Annotated[tuple[str, ...], Meta(description="topic:partition:offset of what was looked at")]


def gate(  # noqa: PLR0913 -- what there is to say
    name: Name,
    words: str,
    unit: str,
    *,
    is_open: bool,
    value: float | None = None,
    threshold: float | None = None,
    headroom: float | None = None,
    records: Sequence[str] = (),
) -> Gate:
    """Return a gate; a distance that contradicts whether it is open is none, as another gate decided it."""
    told = headroom if headroom is not None and is_open == (headroom >= 0) else None
    return Gate(
        gate=name,
        open=is_open,
        words=words,
        value=value,
        threshold=None if headroom is not None and told is None else threshold,
        headroom=told,
        unit=unit,
        records=tuple(dict.fromkeys(records)),
    )


def number(value: float | Any) -> str:  # noqa: ANN401 -- a Decimal too
    """Return a number as it stands in a sentence."""
    return f"{float(value):.6g}"
