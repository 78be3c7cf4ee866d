"""The saga of an execution up to its plan: policy, signal, size, venue, plan; its table is in ``saga.py``.

Each step is a command out and an event back. The id of a command is uuid5 of the execution's id and the
step's name, so a step done again after a crash, before its transaction was committed, is the same one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import (
    BOOK,
    BookTop,
    ChoosePolicy,
    CommandRejected,
    ExecutionCanceled,
    PolicySignal,
    ScoreVenues,
)
from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from services.execution import refusals
from services.execution.audit import logged as audit
from services.execution.broker import holdings
from services.execution.broker.order_faults import size_fault
from services.execution.broker.paper_broker import exact
from services.execution.decide.planner import CannotPlanError, plan
from services.execution.decide.planning import Wish, plan_generator, plan_inputs
from services.execution.decide.policies import POLICIES, Market, UnknownPolicyError, signal_of
from services.execution.decide.sizing import MODEL, SizingInputs, size
from services.execution.decide.volume_days import keep_days
from services.execution.market_data import Unusable
from services.execution.saga import bounds, children, rewarding, working
from services.execution.saga import completion as ending
from services.execution.saga.parent_order import parent_of
from services.execution.saga.record import record_of, sizing_snapshot
from services.execution.saga.state import Saga, Step, Trigger
from services.execution.saga.unit_of_work import Turn, step_id

if TYPE_CHECKING:
    from libs.common.events import (
        CancelExecution,
        Event,
        PlanAndExecute,
        PolicyChosen,
        PolicyRewarded,
        RiskBudget,
        TakerSide,
        VenueScored,
    )
    from libs.common.handling import State, WakeAt
    from services.execution.market_data import MarketData

CHOOSE: Final = "ChoosePolicy"
SCORE: Final = "ScoreVenues"


def begin(state: State[Any], command: PlanAndExecute, market: MarketData, now: int) -> list[Event | WakeAt]:
    """Start an execution, or refuse it: a symbol nobody lists, too many under way, no LIVE book."""
    fault = _fault(state, command, market, now)
    if fault is not None:
        return [fault]
    books = market.books(command.symbol, now)
    mids = {
        venue: top.features.mid for venue, top in books.items() if isinstance(top, BookTop) and top.features
    }
    execution_id = command.command_id
    saga = Saga(
        execution_id=execution_id,
        symbol=command.symbol,
        urgency=command.urgency,
        scope=command.scope,
        context=command.context,
        decision_id=step_id(execution_id, CHOOSE),
        mids=mids,
        created_ts=now,
    )
    turn = Turn(state, saga, market, now)
    turn.audit(
        "requested",
        symbol=command.symbol,
        urgency=command.urgency,
        scope=command.scope,
        context=command.context,
        mids=mids,
    )
    turn.ask(
        ChoosePolicy(
            command_id=saga.decision_id,
            reply_key=command.symbol,
            scope=command.scope,
            context={**command.context, "symbol": command.symbol},
            arms=_arms(turn),
            reward_within_s=rewarding.rewarded_within_s(turn.settings),
        ),
        turn.settings.step_timeout_s,
    )
    return turn.finish()


def on_chosen(turn: Turn, chosen: PolicyChosen) -> None:
    """Turn the policy into a signal, the signal into a size, and ask for a venue."""
    turn.stop_asking(chosen.command_id)
    turn.update(policy=chosen)
    turn.audit("policy_chosen", choice=chosen)
    rewarding.open_window(turn, chosen.policy_id)
    symbol = turn.saga.symbol
    top = turn.market.reference_book(symbol, turn.now)
    if isinstance(top, Unusable):
        ending.end(turn, Trigger.REFUSED, f"no LIVE book to size on: {top.reason}")
        return
    market = _market(turn, top)
    try:
        signal = signal_of(chosen.policy_id, market)
    except UnknownPolicyError as error:
        ending.end(turn, Trigger.REFUSED, str(error))
        return
    logged = audit.logged_market(market, turn.settings.reference_venue, symbol)
    seen = {"policy_id": chosen.policy_id, "market": logged}
    turn.audit("signal", **audit.decision(seen, signal, book=_seen(top)))
    turn.update(signal=PolicySignal(signal.value, signal.reason))
    inputs = _sizing_inputs(turn, chosen, signal.value, top)
    try:
        sizing = size(inputs)
    except ValueError as error:  # the router's widths are no widths
        ending.end(turn, Trigger.REFUSED, f"no size: {error}")
        return
    snapshot = sizing_snapshot(turn.saga.execution_id, symbol, inputs, sizing, turn.now)
    turn.update(sizing=snapshot)
    turn.audit("sizing", **audit.decision(inputs, sizing, book=_seen(top)))
    turn.say(snapshot)
    if sizing.side is None or sizing.qty == 0:
        ending.end(turn, Trigger.NOTHING_TO_DO, f"{sizing.reason}: {signal.reason}")
        return
    turn.move(Trigger.SIZED)
    command = ScoreVenues(
        command_id=turn.id_of(SCORE),
        reply_key=symbol,
        symbol=symbol,
        size=float(sizing.qty),
        side=sizing.side,
    )
    turn.ask(command, turn.settings.step_timeout_s)


def on_scored(turn: Turn, scored: VenueScored) -> None:
    """Plan at the best venue whose book is LIVE, and send the first child if it is due."""
    turn.stop_asking(scored.command_id)
    turn.audit("venue_scored", scored=scored)
    saga = turn.saga
    sizing = saga.sizing
    if sizing is None or sizing.side is None:
        raise AssertionError("venues are asked for a size and a side")
    refused = []
    for candidate in scored.candidates:
        if not candidate.eligible:
            continue
        top = turn.market.book(candidate.venue, saga.symbol, turn.now)
        if isinstance(top, Unusable):
            refused.append(top.reason)
            continue
        turn.update(venue=candidate.venue, venue_score=candidate.score, venue_reasons=candidate.reasons)
        _plan_at(turn, top, sizing.side, sizing.qty)
        return
    ending.end(turn, Trigger.REFUSED, "no usable venue: " + ("; ".join(refused) or "none is eligible"))


def on_refused(turn: Turn, answer: CommandRejected) -> None:
    """End what another service will not answer."""
    turn.stop_asking(answer.command_id)
    turn.audit("refused", answer=answer)
    if turn.saga.ended:
        rewarding.on_reward_refused(turn, answer)
    else:
        ending.end(turn, Trigger.REFUSED, f"{answer.command} was refused: {answer.detail}")


def on_timeout(turn: Turn, step: str) -> None:
    """End an execution that still waits at that step."""
    if turn.saga.step != step:
        return
    asked = CHOOSE if turn.saga.step is Step.CHOOSING else SCORE
    turn.stop_asking(turn.id_of(asked))
    patience_s = turn.settings.step_timeout_s
    ending.end(turn, Trigger.TIMED_OUT, f"no answer to {asked} within {patience_s:g} s")


def on_rewarded(turn: Turn, answer: PolicyRewarded) -> None:
    """Note that the router has learnt."""
    turn.stop_asking(answer.command_id)
    turn.audit("rewarded", answer=answer)
    rewarding.note_counted(turn, answer)


def on_cancel(turn: Turn, command: CancelExecution) -> None:
    """End an execution now; one that has ended is told as it ended."""
    saga = turn.saga
    if not saga.ended:
        turn.audit("cancel_wished", command_id=command.command_id)
        for step in (CHOOSE, SCORE):
            turn.stop_asking(turn.id_of(step))
        children.withdraw(turn, "the execution is canceled")
        ending.end(turn, Trigger.CANCELED, "canceled on request")
    record = record_of(turn.saga, turn.now)
    turn.say(ExecutionCanceled(command_id=command.command_id, record=record, ts=turn.now))


def _plan_at(turn: Turn, top: BookTop, side: TakerSide, wanted: Decimal) -> None:
    saga = turn.saga
    instrument = turn.market.instrument_at(top)
    quantity = wanted - wanted % instrument.lot
    assert top.features is not None  # noqa: S101 -- of a usable book
    fault = size_fault(instrument, quantity, exact(top.features.mid))
    if fault is not None:
        ending.end(turn, Trigger.NOTHING_TO_DO, f"size 0: {fault}")
        return
    policy = saga.policy
    vol = None if policy is None else policy.forecast_vol
    wish = Wish(side=side, quantity=quantity, urgency=saga.urgency, forecast_vol=vol)
    inputs = plan_inputs(turn.state, turn.market, top, wish, turn.now)
    keep_days(turn.state, turn.market, top.venue, top.symbol, turn.now)
    try:
        made = plan(inputs, plan_generator(saga.execution_id))
    except CannotPlanError as error:
        ending.end(turn, Trigger.REFUSED, f"no plan: {error}")
        return
    turn.audit("plan", **audit.decision(inputs, made, book=_seen(top)))
    turn.update(
        plan=made,
        instrument=instrument,
        plan_mid=top.features.mid,
        plan_epoch=top.epoch,
        plan_seq=top.seq,
        planned_ts=turn.now,
        planned_venue_ts=top.venue_ts,
        planned_stepped_ns=saga.stepped_ns,
        slices=made.slices,
        parent=parent_of(quantity),
        last_px=exact(top.features.mid),
    )
    turn.update(volume_seen=turn.market.volume_since(top.venue, saga.symbol, turn.saga.volume_from_ts))
    turn.move(Trigger.PLANNED)
    turn.answer()
    working.on_slice(turn)


def _arms(turn: Turn) -> dict[str, dict[str, float]]:
    """Return what each policy of this process wants now: the router's side information.

    What it would trade is left out: who learns the reward of one decision at a time would never enter.
    """
    top = turn.market.reference_book(turn.saga.symbol, turn.now)
    if isinstance(top, Unusable):
        return {}
    market = _market(turn, top)
    return {policy_id: {"signal": signal_of(policy_id, market).value} for policy_id in POLICIES}


def _market(turn: Turn, top: BookTop) -> Market:
    settings, symbol = turn.settings, turn.saga.symbol
    return Market(
        minutes=tuple(turn.market.minutes(symbol)[-settings.minutes :]),
        days=tuple(turn.market.days(symbol)[-settings.days :]),
        features=top.features,
    )


def _sizing_inputs(turn: Turn, chosen: PolicyChosen, signal: float, top: BookTop) -> SizingInputs:
    settings, market, symbol = turn.settings, turn.market, turn.saga.symbol
    budget: RiskBudget | None = market.risk.items.get(BOOK.encode())
    own = None if budget is None else budget.by_symbol.get(symbol)
    others = 0.0 if budget is None else budget.cvar_used - (own.used if own else 0.0)
    assert top.features is not None  # noqa: S101 -- of a usable book
    instrument = market.instrument_at(top)
    position = market.positions.items.get(symbol.encode())
    held = holdings.held(turn.state, symbol, position) + holdings.in_flight(turn.state, symbol)
    price, taker_bps = exact(top.features.mid), venue_of(top.venue).taker_bps
    # The budget's cash knows the portfolio's position only, and not what is bought beyond it.
    bought = max(Decimal(0), held - (Decimal(0) if position is None else position.quantity))
    owed = bought * price * (1 + exact(taker_bps) / 10_000) + holdings.reserved_cash(turn.state)
    owed += holdings.owed_elsewhere(turn.state, symbol, market.positions.items)
    return SizingInputs(
        signal=signal,
        uncertainty_width=chosen.width,
        prior_width=chosen.prior_width,
        w_star=settings.w_star,
        s_max=settings.s_max,
        forecast_vol=chosen.forecast_vol,
        vol_target=settings.vol_target,
        cvar_budget=None if budget is None else budget.cvar_budget,
        cvar_of_others=max(0.0, others),
        cvar_of_one=None if own is None else own.cvar,
        position_cap=settings.position_cap,
        equity=Decimal(0) if budget is None else budget.equity,
        cash=Decimal(0) if budget is None else max(Decimal(0), market.cash(budget) - owed),
        price=price,
        taker_bps=taker_bps,
        held=held,
        reserved=holdings.resting(turn.state, symbol, "sell") + holdings.meant(turn.state, symbol, "buy"),
        lot=instrument.lot,
        min_qty=instrument.min_qty,
        min_notional=instrument.min_notional,
        allow_short=settings.allow_short,
        model=MODEL,
    )


def _fault(
    state: State[Any], command: PlanAndExecute, market: MarketData, now: int
) -> CommandRejected | None:
    if not market.instruments(command.symbol):
        return refusals.unlisted(command, now)
    if full := bounds.no_execution(state, command.symbol, market.settings):
        return refusals.unavailable(command, now, full)
    top = market.reference_book(command.symbol, now)
    if isinstance(top, Unusable):
        detail = f"No book of {command.symbol} is LIVE ({top.reason})."
        return refusals.unavailable(command, now, detail)
    return None


def _seen(top: BookTop) -> dict[str, object]:
    return {
        "venue": top.venue,
        "epoch": top.epoch,
        "seq": top.seq,
        "receivedMs": top.received_ts // NS_PER_MS,
    }
