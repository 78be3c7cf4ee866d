"""What a leg cannot send goes to the other legs, or to a venue that is not used yet; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from services.execution.audit.logged import decision
from services.execution.broker.exact_amounts import exact
from services.execution.decide.planner import CannotPlanError
from services.execution.decide.reallocation import MODEL, ReallocationInputs, reallocate
from services.execution.decide.split import leg_generator, leg_of
from services.execution.market_data import Unusable
from services.execution.saga.offering import offer_of
from services.execution.saga.phases import Leg, LegCourse, volume_from_ts
from services.execution.saga.venue_doors import closed_door

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from services.execution.decide.offers import Offer
    from services.execution.saga.unit_of_work import UnitOfWork


def give_away(unit: UnitOfWork, lost: Leg, why: str) -> tuple[str, ...]:
    """Give what a leg has in no child to venues that can take it; return these, none: nothing moved.

    The leg keeps what no other takes: a part of a lot of theirs.
    """
    at = unit.course.legs[lost.venue]
    if not at.unscheduled or at.child is not None:
        return ()
    offers = {offer.inputs.venue: offer for offer in _offers(unit, lost, at.unscheduled)}
    waiting = {venue: unit.course.legs[venue].unscheduled for venue in offers if venue in unit.course.legs}
    inputs = ReallocationInputs(
        rest=at.unscheduled, waiting=waiting, offers=tuple(offers.values()), model=MODEL
    )
    made = reallocate(inputs, unit.execution_id)
    try:
        new = {
            venue: _new_leg(unit, offers[venue], share, why)
            for venue, share in made.added.items()
            if venue not in unit.course.legs
        }
    except CannotPlanError:
        return ()
    if not made.added:
        return ()
    unit.audit("reallocated", **decision(inputs, made), venue=lost.venue, reason=why)
    given = at.unscheduled - made.left
    unit.put_leg(lost.venue, quantity=at.quantity - given, over=why, waiting="", retry_ts=None)
    if new:
        unit.move(replace(unit.work, legs=(*unit.work.legs, *new.values())))
    for venue, share in made.added.items():
        if venue in new:
            begin(unit, new[venue])
        else:
            _add(unit, unit.work.leg(venue), share)
    unit.tell_whole()
    return tuple(made.added)


def _offers(unit: UnitOfWork, lost: Leg, rest: Decimal) -> Iterator[Offer]:
    """Yield what the other legs that gave nothing up offer, and venues that may still be used."""
    work, legs = unit.work, unit.course.legs
    used = [venue for venue, leg in legs.items() if venue != lost.venue and not leg.over]
    may_add = len(used) < work.request.max_venues
    for venue in unit.market.instruments(unit.symbol):
        allowed = not work.request.venues or venue in work.request.venues
        if venue not in used and (venue in legs or not may_add or not allowed):
            continue
        top = unit.market.book(venue, unit.symbol, unit.now)
        if isinstance(top, Unusable) or closed_door(unit.market, work, venue, unit.now):
            continue
        offer = offer_of(unit, work, top, rest)
        if not isinstance(offer, str):
            yield offer


def _new_leg(unit: UnitOfWork, offer: Offer, share: Decimal, why: str) -> Leg:
    venue = offer.inputs.venue
    generator = leg_generator(unit.execution_id, venue, None)
    made = leg_of(offer, share, generator, f"took over {share:f}: {why}")
    top = unit.market.book(venue, unit.symbol, unit.now)
    assert not isinstance(top, Unusable)  # noqa: S101 -- it made an offer
    return Leg(
        venue=venue,
        instrument=unit.market.instrument_at(top),
        quantity=share,
        plan=made.plan,
        taker_bps=offer.taker_bps,
        score=None,
        reasons=(),
        why=made.why,
        planned_ts=unit.now,
        planned_venue_ts=top.venue_ts,
        planned_stepped_ns=unit.course.stepped_ns,
    )


def begin(unit: UnitOfWork, leg: Leg) -> None:
    """Let a leg that is planned begin."""
    since_ts = volume_from_ts(unit.course, leg)
    volume = unit.market.volume_since(leg.venue, unit.symbol, since_ts)
    course = LegCourse(quantity=leg.quantity, last_px=exact(leg.plan.mid), volume_seen=volume)
    unit.go(legs={**unit.course.legs, leg.venue: course})


def _add(unit: UnitOfWork, leg: Leg, share: Decimal) -> None:
    """Let a leg send more; after its last slice that is tried at once."""
    at = unit.course.legs[leg.venue]
    late = at.next >= len(leg.plan.slices) and at.child is None
    retry_ts = unit.now if late else at.retry_ts
    unit.put_leg(leg.venue, quantity=at.quantity + share, over=None, retry_ts=retry_ts)
