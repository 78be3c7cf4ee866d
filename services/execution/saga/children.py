"""The children of an execution: sent to the paper broker, filled, closed, learnt from; pure."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.common.events import OrderSubmitted
from libs.common.time_units import NS_PER_S
from services.execution.broker import order_life, self_impact
from services.execution.broker.exact_amounts import EXACT, exact
from services.execution.broker.order_life import newest, record_fill
from services.execution.decide.calibration import CostObservation
from services.execution.decide.cost import impact_bps
from services.execution.decide.cost_history import cost_fit, learn
from services.execution.decide.reward import fill_cost
from services.execution.decide.saved import Filled, single_cost
from services.execution.kept import impact_of
from services.execution.market_data import Unusable
from services.execution.saga.phases import ZERO, Child, ChildTerms
from services.execution.timers import ChildArrives

if TYPE_CHECKING:
    from libs.common.events import BookTop, PaperOrder
    from services.execution.broker.order_life import Met
    from services.execution.saga.child_schedule import NextChild
    from services.execution.saga.phases import Leg
    from services.execution.saga.unit_of_work import UnitOfWork


def submit(unit: UnitOfWork, leg: Leg, top: BookTop, coming: NextChild) -> None:
    """Send a child on its way to the venue."""
    side, n = unit.work.side, unit.course.children
    assert top.features is not None  # noqa: S101 -- of a usable book
    mid, plan = top.features.mid, leg.plan
    s = 1 if side == "buy" else -1
    own_bps = plan.expected_bps - (plan.meta_impact_bps or 0.0)  # what children moved is in this mid
    wish = order_life.Wish(
        cl_ord_id=unit.id_of(f"order/{n}"),
        execution_id=unit.execution_id,
        side=side,
        qty=coming.qty,
        ord_type="limit",
        price=coming.limit_px,
        time_in_force="ioc",
        expected_px=mid * (1 + s * own_bps / 1e4),
    )
    order = order_life.submitted(wish, top, unit.market, unit.now)
    depth = unit.market.depth(top, side)
    known = cost_fit(unit.state, leg.venue, unit.symbol)
    terms = ChildTerms(
        depth=depth,
        spread_bps=top.features.spread_bps,
        predicted_bps=impact_bps(known, float(coming.qty) / depth),
    )
    unit.put_child(Child(execution_id=unit.execution_id, n=n, order=order, terms=terms))
    unit.put_leg(
        leg.venue,
        next=coming.then,
        retry_ts=None,
        child=n,
        open=coming.qty,
        arrival_px=unit.course.legs[leg.venue].arrival_px or exact(mid),
        last_px=exact(mid),
    )
    unit.go(children=n + 1)
    unit.audit("order_submitted", order=order)
    unit.emit(OrderSubmitted(order=order, ts=unit.now))
    unit.wake(order.arrives_ts, ChildArrives(unit.execution_id, order.cl_ord_id))


def reach(unit: UnitOfWork, leg: Leg, child: Child, top: BookTop) -> None:
    """Let a child take what the book offers, and learn what that cost."""
    worked = order_life.meet(unit.state, child.order, leg.instrument, top, unit.market, unit.now)
    assert worked is not None  # noqa: S101 -- nothing else is asked what it may be filled with
    met = order_life.settle(unit.state, child.order, worked, unit.market, unit.now)
    if met.accepted is not None:
        unit.audit("order_accepted", order=met.accepted.order, book={"epoch": top.epoch, "seq": top.seq})
    filled_at = unit.course.audit.entries
    _count(unit, leg, child, met)
    assert top.features is not None  # noqa: S101 -- of a usable book
    unit.put_leg(leg.venue, last_px=exact(top.features.mid))
    _compare(unit, child, met.order)
    _learn(unit, child, met.order)
    fills = newest((*child.fills, *(record_fill(fill, child.order) for fill, _ in met.fills)))
    _close(unit, leg, replace(child, order=met.order, fills=fills, filled_at=filled_at))
    if met.canceled is not None:
        unit.audit("order_canceled", order=met.order)
    unit.emit(*met.events)


def refuse(unit: UnitOfWork, leg: Leg, child: Child, why: str) -> None:
    """Let the venue not take a child that is on its way."""
    gone = order_life.refused(child.order, why, unit.now)
    _close(unit, leg, replace(child, order=gone.order))
    unit.audit("order_rejected", order=gone.order)
    unit.emit(gone)


def withdraw(unit: UnitOfWork, why: str) -> None:
    """Take every open child back."""
    for leg in unit.work.legs:
        n = unit.course.legs[leg.venue].child
        if n is not None:
            child = unit.child(n)
            gone = order_life.withdrawn(child.order, why, unit.now)
            _close(unit, leg, replace(child, order=gone.order))
            unit.audit("order_canceled", order=gone.order)
            unit.emit(gone)


def _close(unit: UnitOfWork, leg: Leg, child: Child) -> None:
    """Note that a child is over; what it has not filled is unscheduled again."""
    unit.put_child(replace(child, terms=None))
    unit.put_leg(leg.venue, child=None, open=ZERO)


def _count(unit: UnitOfWork, leg: Leg, child: Child, met: Met) -> None:
    """Add up what was filled."""
    for fill, mark in met.fills:
        with localcontext(EXACT):
            unit.go(cost=unit.course.cost + fill_cost(fill, mark.mid))
        unit.audit("fill", fill=fill, reference=mark)
    before, course = child.order, unit.course.legs[leg.venue]
    filled = met.order.cum_qty - before.cum_qty
    with localcontext(EXACT):
        unit.put_leg(
            leg.venue,
            filled=course.filled + filled,
            open=course.open - filled,
            paid=course.paid + met.order.cum_quote - before.cum_quote,
            fees=course.fees + met.order.fees - before.fees,
        )


def _compare(unit: UnitOfWork, child: Child, order: PaperOrder) -> None:
    """Note what a child of another venue would have cost at the best single one."""
    work, before = unit.work, child.order
    filled = order.cum_qty - before.cum_qty
    if not filled or work.single_venue is None or order.venue == work.single_venue:
        return
    top = unit.market.book(work.single_venue, unit.symbol, unit.now)
    shown = None
    if not isinstance(top, Unusable):
        shown = self_impact.offered(top, work.side, impact_of(unit.state, top), unit.now)
    with localcontext(EXACT):
        part = Filled(
            side=work.side,
            qty=filled,
            quote=order.cum_quote - before.cum_quote,
            fees=order.fees - before.fees,
            ts=unit.now,
        )
    taker_bps = exact(unit.market.fees(work.single_venue).taker_bps)
    half_life_ns = round(unit.settings.book_half_life_s * NS_PER_S)
    unit.go(elsewhere=single_cost(unit.course.elsewhere, part, shown, taker_bps, half_life_ns))


def _learn(unit: UnitOfWork, child: Child, order: PaperOrder) -> None:
    terms = child.terms
    if terms is None or order.avg_px is None:
        return
    s = 1 if order.side == "buy" else -1
    paid_bps = s * (float(order.avg_px) / order.mid - 1) * 1e4 - terms.spread_bps / 2
    seen = CostObservation(
        x=float(order.cum_qty) / terms.depth, paid_bps=paid_bps, predicted_bps=terms.predicted_bps
    )
    learn(unit.state, order.venue, order.symbol, seen)
