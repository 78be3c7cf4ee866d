"""SmartVenueRouter: which venue takes an order at the least expected all-in cost, and the best split; pure.

Gates come first: a venue behind one is not scored, and the gate is named. All others are scored by minus
their cost in bps (`services.venues.costs`), ties go by venue id. The split is that of `services.venues.split`
over the venues that passed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Final

from libs.common.events import VenueCandidate, VenueShare
from services.venues.costs import (
    BPS,
    Terms,
    Walk,
    cost_bps,
    mid_of,
    pressure_bps,
    sign_of,
    taken_side,
    walk,
)
from services.venues.split import Ladder, cost_of, split, whole_lots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import BookTop, CostBps, TakerSide
    from libs.common.live_books import BookFault, Patience
    from libs.common.venues.venue import Instrument

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
    """The judgement; `candidates` are best first, then those behind a gate by venue id."""

    candidates: tuple[VenueCandidate, ...]
    allocation: tuple[VenueShare, ...]  # empty where no venue is eligible
    saving_bps: float

    @property
    def best(self) -> VenueCandidate | None:
        """The venue to take, None where every one is behind a gate."""
        return next((each for each in self.candidates if each.eligible), None)


def route(offers: Sequence[Offer], side: TakerSide, size: float, policy: Policy) -> Routing:
    """Judge every offer for an order of `size` base units, and split it over those that pass."""
    middle = median_mid(offers)
    judged = sorted(
        (judge(offer, side, size, middle, policy) for offer in offers),
        key=lambda each: (-each.score if each.score is not None else math.inf, each.venue),
    )
    candidates = tuple(judged)
    by_venue = {offer.venue: offer for offer in offers}
    eligible = [(by_venue[each.venue], each) for each in candidates if each.eligible]
    if not eligible:
        return Routing(candidates, (), 0.0)
    return Routing(candidates, *_allocate(eligible, side, size))


def judge(offer: Offer, side: TakerSide, size: float, middle: float | None, policy: Policy) -> VenueCandidate:
    """Return one venue's candidate; `middle` is the median mid of all usable books."""
    top = offer.top
    shown = (None, None) if top is None else (top.epoch, top.seq)
    mid = None if top is None or not (top.bids and top.asks) else mid_of(top)
    gate = None if offer.fault is None else str(offer.fault)
    walked: Walk | None = None
    if gate is None and top is not None:
        walked = walk(taken_side(top, side), size)
        gate = _gate(offer, side, size, walked, middle, policy)
    if gate is not None or walked is None or mid is None:
        reasons = (gate or "no book yet",)
        return VenueCandidate(
            venue=offer.venue, eligible=False, reasons=reasons, mid=mid, epoch=shown[0], seq=shown[1]
        )
    cost = cost_bps(walked, mid, side, offer.terms)
    return VenueCandidate(
        venue=offer.venue,
        eligible=True,
        score=-cost.total,
        cost_bps=cost,
        reasons=_reasons(offer, cost, walked, mid, middle),
        mid=mid,
        epoch=shown[0],
        seq=shown[1],
        basis_bps=None if middle is None else BPS * (mid - middle) / middle,
    )


def median_mid(offers: Sequence[Offer]) -> float | None:
    """Return the median mid of the books that may be used, None if there are none."""
    mids = [mid_of(offer.top) for offer in offers if offer.top is not None and offer.fault is None]
    return median(mids) if mids else None


def least_size(instrument: Instrument, price: float) -> float:
    """Return the least order in base units at this price: the venue's lot, minimum size and minimum value."""
    return max(float(instrument.lot), float(instrument.min_qty), float(instrument.min_notional) / price)


def _gate(
    offer: Offer, side: TakerSide, size: float, walked: Walk | None, middle: float | None, policy: Policy
) -> str | None:
    top, instrument = offer.top, offer.instrument
    assert top is not None  # noqa: S101 -- of a usable book
    if instrument is None:
        return (
            "neither the venue nor the table says what an order of the pair is to be, so none can be made out"
        )
    levels = taken_side(top, side)
    least = least_size(instrument, _lowest_price(walked, levels[0][0]))
    if size < least:
        return f"under the venue's minimum of {least:.10g}"
    if walked is None:
        depth = math.fsum(available for _, available in levels)
        return f"too thin: {depth:.10g} are visible on {len(levels)} levels, {size:.10g} are wanted"
    mid = mid_of(top)
    gap = 0.0 if middle is None else BPS * (mid - middle) / middle
    if abs(gap) > policy.off_market_bps:
        return f"off market: its mid is {gap:+.1f} bps from the median of the venues"
    if offer.terms.rate_remaining < policy.min_rate_remaining:
        return f"rate limit nearly spent: {offer.terms.rate_remaining:.0%} are left"
    if offer.failures >= policy.max_failures:
        return f"{offer.failures} failures in a row"
    return None


def _lowest_price(walked: Walk | None, best: float) -> float:
    """Return the least price of the order, at which its value is least too."""
    return best if walked is None else min(walked.best, walked.last)


def _reasons(offer: Offer, cost: CostBps, walked: Walk, mid: float, middle: float | None) -> tuple[str, ...]:
    """Return what the cost is made of, the greatest part first."""
    terms = offer.terms
    pressure = pressure_bps(terms.rate_remaining)
    parts = [
        (cost.fee, f"taker fee {cost.fee:g} bps"),
        (cost.spread, f"half spread {cost.spread:.2f} bps"),
        (cost.impact, f"walks {walked.levels} levels: {cost.impact:.2f} bps"),
        (cost.latency, f"{terms.delay_s * 1e3:.0f} ms of delay: {cost.latency:.2f} bps"),
        (
            cost.reliability - pressure,
            f"well {_well(terms):.1%} of the time: {cost.reliability - pressure:.2f} bps",
        ),
        (pressure, f"rate limit {terms.rate_remaining:.0%} left: {pressure:.2f} bps"),
    ]
    told = [text for bps, text in sorted(parts, reverse=True) if bps >= TOLD_BPS]
    basis = 0.0 if middle is None else BPS * (mid - middle) / middle
    if abs(basis) >= 1:
        told.append(f"its mid is {basis:+.1f} bps from the median (not scored)")
    return tuple(told)


def _well(terms: Terms) -> float:
    return terms.alpha / (terms.alpha + terms.beta)


def _allocate(
    eligible: Sequence[tuple[Offer, VenueCandidate]], side: TakerSide, size: float
) -> tuple[tuple[VenueShare, ...], float]:
    """Split over the venues that passed, in integers of their coarsest lot.

    What is left of `size` below one such lot stands with the largest share, so that the shares sum to it.
    """
    coarsest = max(offer.instrument.lot for offer, _ in eligible if offer.instrument is not None)
    lot = float(coarsest)
    lots = whole_lots(size / lot)
    ladders = [_ladder(offer, candidate, side, size, lot) for offer, candidate in eligible]
    best = eligible[0][0].venue
    alone = [cost for each in ladders if (cost := cost_of(each, lots)) is not None]
    found = split(ladders, lots)
    if not lots or not alone or found is None or min(alone) - found.cost <= SAME_COST * lots:
        return (VenueShare(venue=best, size=size),), 0.0
    shares = sorted(found.lots.items(), key=lambda item: (-item[1], item[0]))
    sizes = [count * coarsest for _, count in shares]  # exact, for people to read
    sizes[0] = Decimal(repr(size)) - sum(sizes[1:], Decimal())
    allocation = tuple(
        VenueShare(venue=venue, size=float(part)) for (venue, _), part in zip(shares, sizes, strict=True)
    )
    return allocation, (min(alone) - found.cost) / lots


def _ladder(offer: Offer, candidate: VenueCandidate, side: TakerSide, size: float, lot: float) -> Ladder:
    top, instrument, cost = offer.top, offer.instrument, candidate.cost_bps
    assert top is not None  # noqa: S101 -- it is eligible
    assert instrument is not None  # noqa: S101 -- as above
    assert cost is not None  # noqa: S101 -- as above
    mid, s = mid_of(top), sign_of(side)
    flat = cost.fee + cost.latency + cost.reliability
    levels = taken_side(top, side)
    least = least_size(instrument, _lowest_price(walk(levels, size), levels[0][0]))
    return Ladder(
        offer.venue,
        tuple((BPS * s * (price - mid) / mid + flat, available / lot) for price, available in levels),
        max(1, math.ceil(least / lot - 1e-6)),
    )
