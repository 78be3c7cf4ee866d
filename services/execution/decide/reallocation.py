"""Where the rest of a leg goes whose venue is lost: no LIVE book, its rate spent, or halted; pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

import msgspec

from services.execution.decide.offers import Offer, lots_of
from services.execution.decide.shares import Lots, floored, whole_shares
from services.execution.decide.split import SplitInputs, best_single

MODEL: Final = 1  # raised with what comes of the same inputs
_PRECISION: Final = 50


class ReallocationInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a reallocation depends on."""

    rest: Decimal  # base units, at no venue
    waiting: dict[str, Decimal]  # base units that the other legs have still to send, by venue
    offers: tuple[Offer, ...]  # usable now and allowed: without the lost venue
    may_add: bool = True  # false: as many venues are used as may be
    model: int = 1


class Reallocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is added, by venue; with `left` it sums to the rest."""

    added: dict[str, Decimal]  # base units, whole lots
    left: Decimal  # what no venue takes
    why: str


def reallocate(inputs: ReallocationInputs, execution_id: str) -> Reallocation:
    """Return the rest spread over the legs that have still to send, else whole to the best other venue.

    Each gets in proportion to what it has still to send, in whole lots, and so much that it can send it.
    """
    offers = {each.inputs.venue: each for each in inputs.offers}
    weights = {venue: qty for venue, qty in inputs.waiting.items() if venue in offers and qty > 0}
    lots = {venue: _more(lots_of(offers[venue]), qty) for venue, qty in weights.items()}
    if added := whole_shares(inputs.rest, weights, lots):
        return _spread(inputs.rest, added, "spread over the other venues, by what they have still to send")
    others = tuple(each for venue, each in offers.items() if venue not in weights)
    if not inputs.may_add or not others:
        return _spread(inputs.rest, {}, "no other venue may take it")
    asked = SplitInputs(offers=others, quantity=inputs.rest, shares={}, max_venues=1)
    best, why = best_single(asked, execution_id)
    if best is None:
        reasons = "; ".join(f"{venue}: {each}" for venue, each in why.items())
        return _spread(inputs.rest, {}, f"no other venue takes it: {reasons}")
    venue, lot = best.plan.venue, best.offer.inputs.lot
    return _spread(inputs.rest, {venue: floored(inputs.rest, lot)}, f"whole to {venue}, the cheapest other")


def _more(lots: Lots, waiting: Decimal) -> Lots:
    """Return how much more a leg needs to be sent, base units."""
    with localcontext(prec=_PRECISION, rounding=ROUND_CEILING):
        missing = ((lots.least - waiting) / lots.lot).to_integral_value() * lots.lot
    return Lots(lots.lot, max(lots.lot, missing))


def _spread(rest: Decimal, added: dict[str, Decimal], why: str) -> Reallocation:
    return Reallocation(added=added, left=rest - sum(added.values(), Decimal(0)), why=why)
