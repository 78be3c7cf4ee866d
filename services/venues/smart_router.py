"""SmartVenueRouter: which venue takes an order at the least expected all-in cost, and the best split; pure.

Gates come first: a venue behind one is not scored, and the gate is named. All others are scored by minus
their cost in bps of the symbol's fair mid (`libs.common.all_in_price`): first those that take the whole size,
the cheapest first, then those that take a part, the greatest part first; ties go by venue id. The split is
that of `services.venues.split` over all that passed, or as many of them as it may use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from libs.common.all_in_price import (
    BPS,
    ROUNDING,
    Charges,
    Quote,
    basis_bps,
    depth_of,
    fair_mid,
    flat_bps,
    least_size,
    mid_of,
    quote_of,
    sign_of,
    taken_side,
)
from libs.common.events import VenueCandidate, VenueShare
from services.venues.costs import charges
from services.venues.split import Ladder, Split, cost_of, split, whole_lots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import BookTop, TakerSide
    from libs.common.live_books import BookFault, Patience
    from libs.common.venues.venue import Instrument
    from services.venues.costs import Terms

SAME_COST: Final = 1e-9  # bps: a split must save more than rounding
TOLD_BPS: Final = 0.05  # parts below are not worth a word


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of the gates."""

    patience: Patience  # with a book
    off_market_bps: float  # gap of a mid to the median mid
    min_rate_remaining: float  # share of the venue's rate limit
    max_failures: int  # in a row


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the order may go."""

    most: int | None = None  # venues that the split may use; None: any number
    venues: tuple[str, ...] = ()  # that may be used; empty: all


ANYWHERE: Final = Wish()


@dataclass(frozen=True, slots=True)
class Offer:
    """One venue's book of the symbol, and what is known about the venue."""

    venue: str
    top: BookTop | None
    fault: BookFault | None  # why its book may not be used
    instrument: Instrument | None  # None: nobody says what an order is to be, so none can be made out
    terms: Terms
    failures: int  # in a row


@dataclass(frozen=True, slots=True)
class Routing:
    """The judgement; `candidates` are in the order of the module's docstring, then those behind a gate."""

    candidates: tuple[VenueCandidate, ...]
    allocation: tuple[VenueShare, ...] = ()  # empty where the eligible ones together cannot take the size
    allocation_bps: float | None = None
    saving_bps: float = 0.0
    fair: float | None = None
    visible: float = 0.0  # base units at all that are eligible, where these are too few
    bounded: bool = False  # together they take the size, and as many as may be used do not

    @property
    def best(self) -> VenueCandidate | None:
        """The venue to take, None where the size cannot be taken."""
        return self.candidates[0] if self.allocation or self.bounded else None


@dataclass(frozen=True, slots=True)
class _Eligible:
    offer: Offer
    top: BookTop
    instrument: Instrument
    charges: Charges
    quote: Quote


def route(
    offers: Sequence[Offer], side: TakerSide, size: float, policy: Policy, wish: Wish = ANYWHERE
) -> Routing:
    """Judge every offer for an order of `size` base units, and split it over those that pass."""
    fair = fair_of(offers)
    judged = [(offer, _unwanted(offer, wish) or _judged(offer, side, size, fair, policy)) for offer in offers]
    eligible = sorted(
        (each for _, each in judged if isinstance(each, _Eligible)), key=lambda each: each.quote.rank
    )
    barred = sorted((offer.venue, _barred(offer, why)) for offer, why in judged if isinstance(why, str))
    if fair is None or not eligible:
        return Routing(tuple(each for _, each in barred), fair=fair)
    passed = [_candidate(each, size, fair) for each in eligible]
    candidates = (*passed, *(each for _, each in barred))
    allocated = _allocate(eligible, side, size, fair, wish.most)
    if allocated is None and wish.most is not None and _allocate(eligible, side, size, fair, None):
        return Routing(candidates, fair=fair, bounded=True)
    if allocated is None:
        visible = math.fsum(each.quote.available for each in eligible)
        return Routing(candidates, fair=fair, visible=visible)
    return Routing(candidates, *allocated, fair=fair)


def judge(offer: Offer, side: TakerSide, size: float, fair: float | None, policy: Policy) -> VenueCandidate:
    """Return one venue's candidate; `fair` is the median mid of all usable books."""
    judged = _judged(offer, side, size, fair, policy)
    if fair is None or isinstance(judged, str):
        return _barred(offer, str(judged))
    return _candidate(judged, size, fair)


def fair_of(offers: Sequence[Offer]) -> float | None:
    """Return the median mid of the books that may be used, None if there are none."""
    return fair_mid(offer.top for offer in offers if offer.top is not None and offer.fault is None)


def _unwanted(offer: Offer, wish: Wish) -> str | None:
    if not wish.venues or offer.venue in wish.venues:
        return None
    return f"not asked for: only {', '.join(wish.venues)} may be used"


def _judged(
    offer: Offer, side: TakerSide, size: float, fair: float | None, policy: Policy
) -> _Eligible | str:
    """Return what the venue asks, or the gate that it is behind."""
    top, instrument = offer.top, offer.instrument
    if offer.fault is not None:
        return str(offer.fault)
    if top is None or fair is None:
        return "no book yet"
    if instrument is None:
        return (
            "neither the venue nor the table says what an order of the pair is to be, so none can be made out"
        )
    known = charges(offer.terms)
    quote = quote_of(top, side, size, fair, instrument, known)
    gate = _size_gate(top, side, size, instrument, quote) or _gate(offer, top, fair, policy)
    if gate is not None or quote is None:
        return str(gate)
    return _Eligible(offer, top, instrument, known, quote)


def _size_gate(
    top: BookTop, side: TakerSide, size: float, instrument: Instrument, quote: Quote | None
) -> str | None:
    levels = taken_side(top, side)
    least = least_size(instrument, _lowest_price(quote, levels[0][0]))
    if size < least:
        return f"under the venue's minimum of {least:.10g}"
    if quote is None or quote.available < least:
        visible = f"{depth_of(levels):.10g} are visible on {len(levels)} levels"
        return f"too thin: {visible}, less than the venue's minimum of {least:.10g}"
    return None


def _gate(offer: Offer, top: BookTop, fair: float, policy: Policy) -> str | None:
    gap = basis_bps(mid_of(top), fair)
    if abs(gap) > policy.off_market_bps:
        return f"off market: its mid is {gap:+.1f} bps from the median of the venues"
    if offer.terms.rate_remaining < policy.min_rate_remaining:
        return f"rate limit nearly spent: {offer.terms.rate_remaining:.0%} are left"
    if offer.failures >= policy.max_failures:
        return f"{offer.failures} failures in a row"
    return None


def _lowest_price(quote: Quote | None, best: float) -> float:
    """Return the least price of the order, at which its value is least too."""
    return best if quote is None else min(quote.walked.best, quote.walked.last)


def _barred(offer: Offer, gate: str) -> VenueCandidate:
    top = offer.top
    return VenueCandidate(
        venue=offer.venue,
        eligible=False,
        reasons=(gate,),
        mid=None if top is None or not (top.bids and top.asks) else mid_of(top),
        epoch=None if top is None else top.epoch,
        seq=None if top is None else top.seq,
    )


def _candidate(each: _Eligible, size: float, fair: float) -> VenueCandidate:
    quote, mid = each.quote, mid_of(each.top)
    return VenueCandidate(
        venue=quote.venue,
        eligible=True,
        available=quote.available,
        score=-quote.cost.total,
        cost_bps=quote.cost,
        reasons=_reasons(each, size, basis_bps(mid, fair)),
        mid=mid,
        epoch=each.top.epoch,
        seq=each.top.seq,
        basis_bps=basis_bps(mid, fair),
        lasting_basis_bps=each.charges.lasting_bps,
    )


def _reasons(each: _Eligible, size: float, gap: float) -> tuple[str, ...]:
    """Return what the cost is made of, the greatest part first; before it, that it takes a part only."""
    terms, quote, cost = each.offer.terms, each.quote, each.quote.cost
    lasting = each.charges.lasting_bps
    parts = [
        (cost.fee, f"taker fee {terms.taker_bps:g} bps"),
        (cost.spread, f"half spread {cost.spread:.2f} bps"),
        (cost.impact, f"walks {quote.walked.levels} levels: {cost.impact:.2f} bps"),
        (
            cost.basis,
            f"its mid is {gap:+.2f} bps from the fair one, {lasting:+.2f} to last: {cost.basis:+.2f} bps",
        ),
        (cost.latency, f"{terms.delay_s * 1e3:.0f} ms until the order arrives: {cost.latency:+.2f} bps"),
        (cost.reliability, f"well {_well(terms):.1%} of the time: {cost.reliability:.2f} bps"),
        (cost.slippage, f"own orders there paid more than expected: {cost.slippage:+.2f} bps"),
    ]
    told = [text for bps, text in sorted(parts, key=lambda part: -abs(part[0])) if abs(bps) >= TOLD_BPS]
    if not quote.whole:
        told.insert(0, f"takes {quote.available:.10g} of {size:.10g}: its book shows no more")
    return tuple(told)


def _well(terms: Terms) -> float:
    return terms.alpha / (terms.alpha + terms.beta)


def _allocate(
    eligible: Sequence[_Eligible], side: TakerSide, size: float, fair: float, most: int | None
) -> tuple[tuple[VenueShare, ...], float, float] | None:
    """Split over `most` of those that passed, in integers of their coarsest lot; None where they cannot fill.

    What is left of `size` below one such lot stands with the largest share that has room for it, so that the
    shares sum to it; where none has room, one lot more is split, and the largest takes so much less. Returned
    are the shares, their cost and what they save against the best venue alone.
    """
    first = eligible[0].quote
    whole = ((VenueShare(venue=first.venue, size=size),), first.cost.total, 0.0) if first.whole else None
    coarsest = max(each.instrument.lot for each in eligible)
    lot = float(coarsest)
    lots = whole_lots(size / lot)
    ladders = [_ladder(each, side, lot, fair) for each in eligible]
    alone = [
        cost
        for each, ladder in zip(eligible, ladders, strict=True)
        if each.quote.whole and (cost := cost_of(ladder, lots)) is not None
    ]
    found = split(ladders, lots, most) if lots else None
    if found is None or (alone and min(alone) - found.cost <= SAME_COST * lots):
        return whole
    rooms = {
        ladder.venue: (ladder.min_lots * lot, depth_of(taken_side(each.top, side)) * (1 + ROUNDING))
        for each, ladder in zip(eligible, ladders, strict=True)
    }
    sizes = _sizes(found, coarsest, size, rooms)
    if sizes is None and whole is None and (more := split(ladders, lots + 1, most)) is not None:
        found, lots = more, lots + 1
        sizes = _sizes(found, coarsest, size, rooms)
    if sizes is None:
        return whole
    allocation = tuple(VenueShare(venue=venue, size=float(part)) for venue, part in sizes.items())
    saving = (min(alone) - found.cost) / lots if alone else 0.0
    return allocation, found.cost / lots, saving


def _sizes(
    found: Split, lot: Decimal, size: float, rooms: Mapping[str, tuple[float, float]]
) -> dict[str, Decimal] | None:
    """Return the shares in base units, largest first; None where none has room for what is left over.

    `rooms` are the least and the most that each venue takes.
    """
    shares = sorted(found.lots.items(), key=lambda item: (-item[1], item[0]))
    sizes = {venue: count * lot for venue, count in shares}  # exact, for people to read
    rest = Decimal(repr(size)) - sum(sizes.values(), Decimal())
    for venue, (least, most) in ((venue, rooms[venue]) for venue in sizes):
        if least <= float(sizes[venue] + rest) <= most:
            return sizes | {venue: sizes[venue] + rest}
    return None


def _ladder(each: _Eligible, side: TakerSide, lot: float, fair: float) -> Ladder:
    mid, s, known = mid_of(each.top), sign_of(side), each.charges
    flat = math.fsum(flat_bps(known, mid, fair, side)) + known.reliability_bps + known.slippage_bps
    levels = taken_side(each.top, side)
    least = least_size(each.instrument, _lowest_price(each.quote, levels[0][0]))
    return Ladder(
        each.quote.venue,
        tuple(
            (BPS * s * (price - mid) / fair + known.taker_bps * price / fair + flat, available / lot)
            for price, available in levels
        ),
        max(1, math.ceil(least / lot - 1e-6)),
    )
