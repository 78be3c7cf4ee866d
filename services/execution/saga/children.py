"""The children of an execution: sent to the paper broker, filled, closed, learnt from; pure."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.common.events import (
    ExecType,
    OrderAccepted,
    OrderCanceled,
    OrderSubmitted,
    OrdStatus,
    PaperOrder,
)
from libs.common.venues import venue_of
from services.execution.broker import holdings, paper_broker
from services.execution.broker.paper_broker import EXACT, exact, terms_of
from services.execution.decide.calibration import CostHistory, CostObservation, fit
from services.execution.decide.cost import PRIOR, impact_bps
from services.execution.decide.marks import fill_mark
from services.execution.decide.reward import fill_cost
from services.execution.saga.record import ZERO, newest, record_fill
from services.execution.saga.standing import impact_of
from services.execution.saga.state import ChildTerms, CostCurve, curve_key, impact_key

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import BookTop, OrderFilled, TakerSide
    from services.execution.decide.planner import Plan
    from services.execution.saga.parent_order import Parent
    from services.execution.saga.state import Saga
    from services.execution.saga.unit_of_work import Turn


def withdraw(turn: Turn, text: str) -> None:
    """Take every open child back."""
    for order in turn.saga.open_orders:
        gone = paper_broker.cancel(order, text)
        close(turn, gone)
        turn.audit("order_canceled", order=gone)
        turn.say(OrderCanceled(order=gone, ts=turn.now))


def submit(turn: Turn, top: BookTop, qty: Decimal) -> None:
    """Send a child on its way to the venue, with the limit of its slice."""
    saga = turn.saga
    plan, parent, venue = work_of(saga)
    side = side_of(saga)
    assert top.features is not None  # noqa: S101 -- of a usable book
    mid, best = top.features.mid, best_of(top, side)
    s = 1 if side == "buy" else -1
    own_bps = plan.expected_bps - (plan.meta_impact_bps or 0.0)  # what children moved is in this mid
    cl_ord_id = turn.id_of(f"order/{len(saga.orders)}")
    arrives_ts = turn.now + turn.market.latency_ns(venue, saga.symbol)
    order = PaperOrder(
        cl_ord_id=cl_ord_id,
        execution_id=saga.execution_id,
        venue=venue,
        symbol=saga.symbol,
        side=side,
        order_qty=qty,
        ord_type="limit",
        price=saga.slices[0].limit_px,
        time_in_force="ioc",
        ord_status=OrdStatus.PENDING_NEW,
        exec_type=ExecType.PENDING_NEW,
        cum_qty=ZERO,
        leaves_qty=qty,
        cum_quote=ZERO,
        fees=ZERO,
        avg_px=None,
        submitted_ts=turn.now,
        arrives_ts=arrives_ts,
        mid=mid,
        best_px=best,
        expected_px=mid * (1 + s * own_bps / 1e4),
        epoch=top.epoch,
        seq=top.seq,
    )
    depth = turn.market.depth(top, side)
    curve = turn.state.get(curve_key(venue, saga.symbol))
    known = curve.fit if isinstance(curve, CostCurve) else PRIOR
    terms = ChildTerms(
        depth=depth,
        spread_bps=top.features.spread_bps,
        predicted_bps=impact_bps(known, float(qty) / depth),
    )
    turn.update(
        parent=parent.submit(cl_ord_id, qty),
        orders=(*saga.orders, order),
        terms={**saga.terms, cl_ord_id: terms},
        slices=turn.saga.slices[1:],
        arrival_px=saga.arrival_px or exact(mid),
        last_px=exact(mid),
    )
    turn.audit("order_submitted", order=order)
    turn.say(OrderSubmitted(order=order, ts=turn.now))
    turn.wake(arrives_ts, f"arrive/{cl_ord_id}")


def fill(turn: Turn, order: PaperOrder, top: BookTop) -> None:
    """Let a child take what the book offers, and learn what that cost."""
    key = impact_key(order.venue, order.symbol)
    half_life_s = turn.market.settings.book_half_life_s
    terms = terms_of(venue_of(order.venue), turn.saga.planned_to, half_life_s)
    worked = paper_broker.arrive(order, top, impact_of(turn.state, top), terms, turn.now)
    if worked.fills or worked.impact != turn.state.get(key):
        turn.state.put(key, worked.impact)
    accepted = replace(order, ord_status=OrdStatus.NEW, exec_type=ExecType.NEW)
    turn.audit("order_accepted", order=accepted, book={"epoch": top.epoch, "seq": top.seq})
    turn.say(OrderAccepted(order=accepted, ts=turn.now))
    for fill in worked.fills:
        _note_fill(turn, fill, order)
    assert top.features is not None  # noqa: S101 -- of a usable book
    turn.update(last_px=exact(top.features.mid))
    _learn(turn, worked.order)
    close(turn, worked.order)
    if worked.order.ord_status is OrdStatus.CANCELED:
        turn.audit("order_canceled", order=worked.order)
        turn.say(OrderCanceled(order=worked.order, ts=turn.now))


def close(turn: Turn, order: PaperOrder) -> None:
    """Note that a child is no more open; what it has not filled is unscheduled again."""
    saga = turn.saga
    assert saga.parent is not None  # noqa: S101 -- an order has a parent
    orders = tuple(order if o.cl_ord_id == order.cl_ord_id else o for o in saga.orders)
    terms = {name: of for name, of in saga.terms.items() if name != order.cl_ord_id}
    turn.update(parent=saga.parent.close(order.cl_ord_id), orders=orders, terms=terms)


def work_of(saga: Saga) -> tuple[Plan, Parent, str]:
    """Return the plan, the accounts and the venue of an execution that has them."""
    if saga.plan is None or saga.parent is None or saga.venue is None:
        raise AssertionError(f"{saga.execution_id} works without a plan")
    return saga.plan, saga.parent, saga.venue


def side_of(saga: Saga) -> TakerSide:
    """Return the side of an execution that has one."""
    if saga.sizing is None or saga.sizing.side is None:
        raise AssertionError(f"{saga.execution_id} works without a side")
    return saga.sizing.side


def best_of(top: BookTop, side: TakerSide) -> float:
    """Return the best price that a taker of `side` is offered."""
    return top.asks[0][0] if side == "buy" else top.bids[0][0]


def _note_fill(turn: Turn, fill: OrderFilled, order: PaperOrder) -> None:
    parent = turn.saga.parent
    assert parent is not None  # noqa: S101 -- an order has a parent
    mark = fill_mark(turn.market, fill)
    with localcontext(EXACT):
        cost = turn.saga.cost + fill_cost(fill, mark.mid)
    turn.update(
        parent=parent.fill(fill.cl_ord_id, fill.cum_qty),
        fills=newest((*turn.saga.fills, record_fill(fill, order))),
        cost=cost,
    )
    holdings.note(turn.state, fill, mark.mid)
    turn.audit("fill", fill=fill, reference=mark)
    turn.say(fill)


def _learn(turn: Turn, order: PaperOrder) -> None:
    terms = turn.saga.terms.get(order.cl_ord_id)
    if terms is None or order.avg_px is None:
        return
    s = 1 if order.side == "buy" else -1
    paid_bps = s * (float(order.avg_px) / order.mid - 1) * 1e4 - terms.spread_bps / 2
    seen = CostObservation(
        x=float(order.cum_qty) / terms.depth, paid_bps=paid_bps, predicted_bps=terms.predicted_bps
    )
    key = curve_key(order.venue, order.symbol)
    curve = turn.state.get(key)
    history = (curve.history if isinstance(curve, CostCurve) else CostHistory()).and_then(seen)
    turn.state.put(key, CostCurve(history=history, fit=fit(history.observations)))
