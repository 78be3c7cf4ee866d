"""The saga of an execution from its plan to its end: children, fills, costs, reward; pure.

``filled + open + unscheduled`` is the size of the parent after any message. A child that is rejected or
canceled gives its rest back, and the rest is spread over the slices still to come; after the last one it is
tried again until the patience ends.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from libs.common.events import (
    BookTop,
    CommandRejected,
    ExecType,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderSubmitted,
    OrdStatus,
    PaperOrder,
    RewardOutcome,
    RewardPolicy,
)
from libs.common.instruments import instrument_of, venue_of
from services.execution import paper_broker
from services.execution.audit import decision
from services.execution.calibration import CostHistory, CostObservation, fit
from services.execution.cost import impact_bps, prior
from services.execution.market_data import Unusable
from services.execution.paper_broker import BPS, exact, minimum_fault, terms_of
from services.execution.planner import Slice, pov_child, reschedule
from services.execution.record import ZERO, record_fill
from services.execution.reward import RewardInputs, reward
from services.execution.saga import (
    ChildTerms,
    CostCurve,
    Saga,
    Step,
    Trigger,
    curve_key,
    impact_key,
    saga_key,
)
from services.execution.shortfall import ShortfallFill, ShortfallInputs, shortfall

if TYPE_CHECKING:
    from libs.common.events import OrderFilled, TakerSide
    from libs.common.handling import State
    from libs.common.instruments import Instrument
    from services.execution.parent_order import Parent
    from services.execution.planner import Plan
    from services.execution.turn import Turn

REWARD: Final = "RewardPolicy"
NS: Final = 1_000_000_000


def on_slice(turn: Turn) -> None:
    """Send the next child, if its time has come and its book is LIVE; else wait."""
    saga = turn.saga
    if saga.step is not Step.WORKING or saga.open_orders or not saga.slices:
        return
    due = saga.slices[0].at_ts
    if due > turn.now:
        turn.wake(due, "slice")
        return
    plan, parent, venue = _work(saga)
    top = turn.market.book(venue, saga.symbol, turn.now)
    if isinstance(top, Unusable):
        _wait(turn, top.reason)
        return
    turn.update(waiting="")
    qty = _next_qty(turn, plan, parent, venue)
    instrument = instrument_of(venue, saga.symbol)
    price = exact(_best(top, _side(saga)))
    if qty and minimum_fault(instrument, qty, price) is None:
        _submit(turn, top, instrument, qty)
    elif plan.participation is not None and parent.unscheduled >= plan.min_child:
        _postpone(turn, plan.interval_s, "the volume since the last child is too small")
    elif len(turn.saga.slices) > 1:
        _spread(turn, plan, turn.saga.slices[1:])
        on_slice(turn)
    else:
        fault = minimum_fault(instrument, parent.unscheduled, price)
        _finish(turn, f"a rest stays: {fault}")


def on_arrival(turn: Turn, cl_ord_id: str) -> None:
    """Let a child reach the paper broker."""
    order = next((o for o in turn.saga.open_orders if o.cl_ord_id == cl_ord_id), None)
    if order is None:
        return
    top = turn.market.book(order.venue, order.symbol, turn.now)
    if isinstance(top, Unusable):
        gone = paper_broker.reject(order, f"the venue's book may not be used: {top.reason}")
        _close(turn, gone)
        turn.audit("order_rejected", order=gone)
        turn.say(OrderRejected(order=gone, ts=turn.now))
    else:
        _fill(turn, order, top)
    _after_child(turn)


def withdraw(turn: Turn, text: str) -> None:
    """Take every open child back."""
    for order in turn.saga.open_orders:
        gone = paper_broker.cancel(order, text)
        _close(turn, gone)
        turn.audit("order_canceled", order=gone)
        turn.say(OrderCanceled(order=gone, ts=turn.now))


def end(turn: Turn, trigger: Trigger, reason: str) -> None:
    """End the execution: its costs, and when its policy is rewarded."""
    turn.move(trigger, reason)
    turn.update(slices=(), terms={})
    saga = turn.saga
    if saga.parent is not None and saga.arrival_px is not None:
        inputs = _shortfall_inputs(saga, saga.parent, saga.arrival_px)
        found = shortfall(inputs)
        turn.update(shortfall=found)
        turn.audit("shortfall", **decision(inputs, found))
    turn.audit("ended", step=str(saga.step), reason=reason)
    if not saga.answered:
        turn.answer()
    flat = saga.signal is not None and saga.signal.value == 0.0
    if saga.fills or flat:
        horizon = saga.created_ts + round(turn.settings.execution_horizon_s * NS)
        turn.wake(max(turn.now, horizon), "horizon")
    else:
        turn.update(reward=RewardOutcome(reward=None, reason="nothing was traded"))
    turn.wake(turn.now + round(_remembered_s(turn) * NS), "forget")


def on_horizon(turn: Turn) -> None:
    """Tell the router what its policy earned."""
    saga = turn.saga
    if not saga.ended or saga.reward is not None or saga.signal is None or saga.policy is None:
        return
    venue = saga.venue or turn.settings.execution_reference_venue
    top = (
        turn.market.book(venue, saga.symbol, turn.now)
        if saga.venue
        else turn.market.reference_book(saga.symbol, turn.now)
    )
    if isinstance(top, Unusable):
        patience = saga.created_ts + round(_reward_until_s(turn) * NS)
        if turn.now < patience:
            turn.wake(turn.now + round(turn.settings.execution_retry_ms * 1e6), "horizon")
        else:
            turn.update(reward=RewardOutcome(reward=None, reason=f"no LIVE book: {top.reason}"))
        return
    assert top.features is not None  # noqa: S101 -- of a usable book
    inputs = RewardInputs(
        signal=saga.signal.value,
        side=None if saga.sizing is None else saga.sizing.side,
        decision_px=_decision_px(saga, exact(top.features.mid)),
        horizon_px=exact(top.features.mid),
        filled=sum((order.cum_qty for order in saga.orders), ZERO),
        cum_quote=sum((order.cum_quote for order in saga.orders), ZERO),
        fees=sum((order.fees for order in saga.orders), ZERO),
    )
    earned = reward(inputs)
    turn.audit("reward", **decision(inputs, earned))
    turn.update(
        reward=RewardOutcome(reward=earned, reason="at the horizon", mid=top.features.mid, counted=None)
    )
    command = RewardPolicy(
        command_id=turn.id_of(REWARD),
        reply_key=saga.symbol,
        scope=saga.scope,
        policy_id=saga.policy.policy_id,
        reward=earned,
        context={**saga.context, "symbol": saga.symbol},
        decision_id=saga.decision_id,
    )
    turn.ask(command, None)


def on_reward_refused(turn: Turn, answer: CommandRejected) -> None:
    """Note that the router did not learn."""
    if turn.saga.reward is not None:
        reason = f"the router refused it: {answer.detail}"
        turn.update(reward=replace(turn.saga.reward, reason=reason, counted=False))


def note_counted(turn: Turn, *, counted: bool) -> None:
    """Note whether the router learnt from it."""
    if turn.saga.reward is not None:
        turn.update(reward=replace(turn.saga.reward, counted=counted))


def in_flight(state: State[Any], symbol: str) -> Decimal:
    """Return what this partition's executions of a symbol still mean to hold more, base units, signed."""
    found = ZERO
    for saga in state.values():
        if isinstance(saga, Saga) and saga.symbol == symbol and not saga.ended and saga.sizing is not None:
            quantity = saga.sizing.qty if saga.parent is None else saga.parent.quantity - saga.parent.filled
            found += quantity if saga.sizing.side == "buy" else -quantity
    return found


def _submit(turn: Turn, top: BookTop, instrument: Instrument, qty: Decimal) -> None:
    saga = turn.saga
    plan, parent, venue = _work(saga)
    side = _side(saga)
    assert top.features is not None  # noqa: S101 -- of a usable book
    mid, best = top.features.mid, _best(top, side)
    s = 1 if side == "buy" else -1
    cl_ord_id = turn.id_of(f"order/{len(saga.orders)}")
    arrives_ts = turn.now + turn.market.latency_ns(venue, saga.symbol)
    protection_bps = turn.settings.execution_protection_bps
    order = PaperOrder(
        cl_ord_id=cl_ord_id,
        execution_id=saga.execution_id,
        venue=venue,
        symbol=saga.symbol,
        side=side,
        order_qty=qty,
        ord_type="limit",
        price=protected(best, side, protection_bps, instrument.tick),
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
        expected_px=mid * (1 + s * plan.expected_bps / 1e4),
        epoch=top.epoch,
        seq=top.seq,
    )
    depth = turn.market.depth(top, side)
    curve = turn.state.get(curve_key(venue, saga.symbol))
    known = curve.fit if isinstance(curve, CostCurve) else prior()
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


def _fill(turn: Turn, order: PaperOrder, top: BookTop) -> None:
    key = impact_key(order.venue, order.symbol)
    terms = terms_of(venue_of(order.venue), instrument_of(order.venue, order.symbol))
    impact = turn.state.get(key)
    worked = paper_broker.arrive(order, top, impact, terms, turn.now)
    if worked.impact != impact:
        turn.state.put(key, worked.impact)
    accepted = replace(order, ord_status=OrdStatus.NEW, exec_type=ExecType.NEW)
    turn.audit("order_accepted", order=accepted, book={"epoch": top.epoch, "seq": top.seq})
    turn.say(OrderAccepted(order=accepted, ts=turn.now))
    for fill in worked.fills:
        _note_fill(turn, fill, order)
    assert top.features is not None  # noqa: S101 -- of a usable book
    turn.update(last_px=exact(top.features.mid))
    _learn(turn, worked.order)
    _close(turn, worked.order)
    if worked.order.ord_status is OrdStatus.CANCELED:
        turn.audit("order_canceled", order=worked.order)
        turn.say(OrderCanceled(order=worked.order, ts=turn.now))


def _note_fill(turn: Turn, fill: OrderFilled, order: PaperOrder) -> None:
    parent = turn.saga.parent
    assert parent is not None  # noqa: S101 -- an order has a parent
    turn.update(
        parent=parent.fill(fill.cl_ord_id, fill.cum_qty),
        fills=(*turn.saga.fills, record_fill(fill, order)),
    )
    turn.audit("fill", fill=fill)
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


def _close(turn: Turn, order: PaperOrder) -> None:
    saga = turn.saga
    assert saga.parent is not None  # noqa: S101 -- an order has a parent
    orders = tuple(order if o.cl_ord_id == order.cl_ord_id else o for o in saga.orders)
    terms = {name: of for name, of in saga.terms.items() if name != order.cl_ord_id}
    turn.update(parent=saga.parent.close(order.cl_ord_id), orders=orders, terms=terms)


def _after_child(turn: Turn) -> None:
    saga = turn.saga
    plan, parent, _venue = _work(saga)
    if parent.done:
        end(turn, Trigger.FILLED, "")
        return
    if parent.unscheduled == sum((piece.qty for piece in saga.slices), ZERO):
        on_slice(turn)
        return
    if saga.slices and plan.participation is None:
        _spread(turn, plan, saga.slices)
        on_slice(turn)
        return
    _postpone(turn, max(plan.interval_s if plan.participation else 0.0, _retry_s(turn)), "a rest is unfilled")


def _spread(turn: Turn, plan: Plan, slices: tuple[Slice, ...]) -> None:
    _, parent, venue = _work(turn.saga)
    lot = instrument_of(venue, turn.saga.symbol).lot
    turn.update(slices=reschedule(parent.unscheduled, slices, lot, plan.min_child))


def _postpone(turn: Turn, pause_s: float, why: str) -> None:
    """Try all that is unscheduled after a pause, while there is patience."""
    _, parent, _ = _work(turn.saga)
    at_ts = turn.now + round(pause_s * NS)
    if at_ts > _until(turn):
        _finish(turn, f"{parent.unscheduled:f} of {parent.quantity:f} unfilled in time: {why}")
        return
    limit_px = turn.saga.slices[0].limit_px if turn.saga.slices else ZERO
    later = turn.saga.slices[1:]
    ahead = sum((piece.qty for piece in later), ZERO)
    rest = parent.unscheduled - ahead
    turn.update(slices=(Slice(at_ts=at_ts, qty=rest, limit_px=limit_px), *later))
    turn.wake(at_ts, "slice")


def _wait(turn: Turn, why: str) -> None:
    if turn.saga.waiting != why:
        turn.update(waiting=why)
        turn.audit("slice_waiting", reason=why)
    if turn.now + round(_retry_s(turn) * NS) > _until(turn):
        _finish(turn, f"no usable book in time: {why}")
    else:
        turn.wake(turn.now + round(_retry_s(turn) * NS), "slice")


def _finish(turn: Turn, reason: str) -> None:
    """End with a rest: completed if it is only dust, under the venue's minimum."""
    _, parent, venue = _work(turn.saga)
    instrument = instrument_of(venue, turn.saga.symbol)
    assert turn.saga.last_px is not None  # noqa: S101 -- a plan has a mid
    dust = minimum_fault(instrument, parent.unscheduled, turn.saga.last_px) is not None
    end(turn, Trigger.FILLED if dust and parent.filled else Trigger.TIMED_OUT, reason)


def _next_qty(turn: Turn, plan: Plan, parent: Parent, venue: str) -> Decimal:
    if plan.participation is None:
        return min(turn.saga.slices[0].qty, parent.unscheduled)
    volume = turn.market.volume_since(venue, turn.saga.symbol, turn.saga.planned_ts - 60 * NS)
    lot = instrument_of(venue, turn.saga.symbol).lot
    since = max(0.0, volume - turn.saga.volume_seen)
    qty = pov_child(parent.unscheduled, since, plan.participation, lot, plan.min_child)
    if qty:
        turn.update(volume_seen=volume)
    return qty


def _shortfall_inputs(saga: Saga, parent: Parent, arrival_px: Decimal) -> ShortfallInputs:
    assert saga.last_px is not None  # noqa: S101 -- a plan has a mid
    return ShortfallInputs(
        side=_side(saga),
        quantity=parent.quantity,
        decision_px=_decision_px(saga, arrival_px),
        arrival_px=arrival_px,
        end_px=saga.last_px,
        fills=tuple(
            ShortfallFill(qty=f.size, px=f.price, mid_px=exact(f.mid), best_px=exact(f.best_px))
            for f in saga.fills
        ),
        fees=sum((order.fees for order in saga.orders), ZERO),
    )


def _decision_px(saga: Saga, otherwise: Decimal) -> Decimal:
    """Return the venue's mid at the decision; where its book was not LIVE then, the first one used."""
    venue = saga.venue or next(iter(saga.mids), None)
    return exact(saga.mids[venue]) if venue in saga.mids else otherwise


def _work(saga: Saga) -> tuple[Plan, Parent, str]:
    if saga.plan is None or saga.parent is None or saga.venue is None:
        raise AssertionError(f"{saga.execution_id} works without a plan")
    return saga.plan, saga.parent, saga.venue


def _side(saga: Saga) -> TakerSide:
    if saga.sizing is None or saga.sizing.side is None:
        raise AssertionError(f"{saga.execution_id} works without a side")
    return saga.sizing.side


def _best(top: BookTop, side: TakerSide) -> float:
    return top.asks[0][0] if side == "buy" else top.bids[0][0]


def protected(best: float, side: TakerSide, protection_bps: float, tick: Decimal) -> Decimal:
    """Return the limit that much beyond the best price, on a tick, never further."""
    sign = 1 if side == "buy" else -1
    limit = exact(best) * (1 + sign * exact(protection_bps) / BPS)
    rounding = ROUND_FLOOR if side == "buy" else ROUND_CEILING
    return (limit / tick).to_integral_value(rounding) * tick


def _until(turn: Turn) -> int:
    plan, _, _ = _work(turn.saga)
    span_s = turn.settings.execution_deadline_s if plan.participation else 0.0
    last = max((piece.at_ts for piece in plan.slices), default=turn.saga.planned_ts)
    return max(last, turn.saga.planned_ts + round(span_s * NS)) + round(
        turn.settings.execution_patience_s * NS
    )


def _retry_s(turn: Turn) -> float:
    return turn.settings.execution_retry_ms / 1e3


def _reward_until_s(turn: Turn) -> float:
    return turn.settings.execution_horizon_s + turn.settings.execution_patience_s


def _remembered_s(turn: Turn) -> float:
    return max(turn.settings.execution_remember_s, 2 * _reward_until_s(turn))


def forget(state: State[Any], execution_id: str) -> None:
    """Forget an execution that ended long ago; its record and audit stay on their topics."""
    saga = state.get(saga_key(execution_id))
    if isinstance(saga, Saga) and saga.ended:
        state.remove(saga_key(execution_id))
