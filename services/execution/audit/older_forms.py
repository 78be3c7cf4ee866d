"""How decisions were written by older versions: with a type of their own, or of one venue only; pure.

What was decided is the same, so it is put into today's names and compared. What was not written then is left
out.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

LACKS: Final[Mapping[str, AbstractSet[str]]] = {  # what today's form has besides
    "plan": {"side", "size", "mid", "epoch", "seq"},
    "sizing": {"type", "execution_id", "symbol", "held", "equity", "price", "ts"},
}
SLICE: Final = {"at_ts": "at_ts", "qty": "size", "limit_px": "limit"}  # today's names
AMOUNTS: Final = ("delay", "impact", "opportunity", "fees", "total")  # quote units
PARTS: Final = ("timing_bps", "spread_bps", "walk_bps")  # of the impact


def in_one_form(
    kind: str, output: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the output that an entry holds and what is found today, both in today's names.

    Raises
    ------
    LookupError, TypeError, ArithmeticError
        If the output is of no form.
    """
    lacks = LACKS.get(kind, frozenset())
    if kind == "plan" and not any("venue" in piece for piece in output["slices"]):
        found = {**found, "slices": [_without(piece, {"venue"}) for piece in found["slices"]]}
    former = "total" in output if kind == "shortfall" else bool(lacks) and lacks.isdisjoint(output)
    return (in_todays_names(kind, output), _without(found, lacks)) if former else (output, found)


def in_todays_names(kind: str, output: Mapping[str, Any]) -> dict[str, Any]:
    """Return a former output in today's names, without what it lacks.

    Raises
    ------
    LookupError, TypeError, ArithmeticError
        If the output is of no form.
    """
    if kind == "plan":
        slices = [{SLICE[name]: of for name, of in piece.items()} for piece in output["slices"]]
        return {**output, "slices": slices}
    if kind == "shortfall":
        amounts = {name: output[name] for name in AMOUNTS} | output["detail"]
        texts = {name: f"{Decimal(amount):f}" for name, amount in amounts.items()}
        detail = {name: output[name] for name in PARTS} | texts
        return _without(output, {*AMOUNTS, *PARTS}) | {"detail": detail}
    return dict(output)


def _without(members: Mapping[str, Any], names: AbstractSet[str]) -> dict[str, Any]:
    return {name: of for name, of in members.items() if name not in names}
