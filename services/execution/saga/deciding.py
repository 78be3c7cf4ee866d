"""An execution from its command to its plan: policy, signal, size, venues, plan.

Each step is a command out and an event back. The id of a command is uuid5 of the execution's id and the
step's name, so a step done again after a crash, before its transaction was committed, is the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.common.audit_chain import GENESIS
from libs.common.events import (
    AuditHead,
    BookTop,
    ChoosePolicy,
    CommandRejected,
    ExecutionCanceled,
    ExecutionStatus,
    ScoreVenues,
)
from libs.common.trading_limits import halt_of
from services.execution import bounds, refusals
from services.execution.audit import logged
from services.execution.broker.exact_amounts import exact
from services.execution.decide.planner import CannotPlanError
from services.execution.decide.policies import UnknownPolicyError
from services.execution.decide.sizing import size
from services.execution.decide.split import MODEL as SPLIT_MODEL
from services.execution.decide.split import SplitInputs, sized, split
from services.execution.limits.gate import halted
from services.execution.limits.pre_trade import begin_fault
from services.execution.market_data import Unusable
from services.execution.saga import completion, reallocation, rewarding, working
from services.execution.saga.offering import offer_of
from services.execution.saga.phases import (
    Choosing,
    Course,
    Ended,
    Leg,
    Request,
    Scoring,
    Working,
)
from services.execution.saga.signals import arms, compute, is_own, tell
from services.execution.saga.sizing_inputs import sizing_inputs
from services.execution.saga.unit_of_work import UnitOfWork, step_id
from services.execution.saga.venue_doors import closed_door

if TYPE_CHECKING:
    from libs.common.events import (
        CancelExecution,
        Event,
        PlanAndExecute,
        PolicyChosen,
        PolicyRewarded,
        VenueScored,
    )
    from libs.common.handling import State, WakeAt
    from services.execution.decide.offers import Offer
    from services.execution.decide.split import Split
    from services.execution.market_data import MarketData

CHOOSE: Final = "ChoosePolicy"
SCORE: Final = "ScoreVenues"


def begin(state: State[Any], command: PlanAndExecute, market: MarketData, now: int) -> list[Event | WakeAt]:
    """Start an execution, or refuse it: a symbol nobody lists, a halt, too many under way, no LIVE book."""
    fault = _fault(state, command, market, now)
    if fault is not None:
        return [fault]
    books = market.books(command.symbol, now)
    mids = {
        venue: top.features.mid for venue, top in books.items() if isinstance(top, BookTop) and top.features
    }
    request = Request(
        execution_id=command.command_id,
        symbol=command.symbol,
        urgency=command.urgency,
        scope=command.scope,
        context=command.context,
        decision_id=step_id(command.command_id, CHOOSE),
        max_venues=command.max_venues,
        venues=command.venues,
        mids=mids,
        created_ts=now,
    )
    course = Course(execution_id=command.command_id, audit=AuditHead(entries=0, head=GENESIS))
    unit = UnitOfWork(state, Choosing(request=request), course, market, now)
    unit.audit(
        "requested",
        symbol=command.symbol,
        urgency=command.urgency,
        scope=command.scope,
        context=command.context,
        max_venues=command.max_venues,
        venues=command.venues,
        mids=mids,
    )
    unit.ask(
        ChoosePolicy(
            command_id=request.decision_id,
            reply_key=command.symbol,
            scope=command.scope,
            context={**command.context, "symbol": command.symbol},
            arms=arms(unit),
            reward_within_s=rewarding.rewarded_within_s(unit.settings),
        ),
        unit.settings.step_timeout_s,
    )
    return unit.finish()


def on_chosen(unit: UnitOfWork, chosen: PolicyChosen) -> None:
    """Turn the policy into a signal, the signal into a size, and ask for venues."""
    unit.stop_asking(chosen.command_id)
    if not isinstance(unit.saga, Choosing):
        return
    unit.audit("policy_chosen", choice=chosen)
    symbol, failed = unit.symbol, ExecutionStatus.FAILED
    halt = halt_of(unit.market.controls.halts, symbol, policy_id=chosen.policy_id)
    told = None if halt is not None or is_own(chosen.policy_id) else tell(unit, chosen)
    if told is not None and told.signal is None:
        completion.end(unit, ExecutionStatus.SKIPPED, told.fault, policy=chosen, void=told.fault)
        return
    rewarding.open_window(unit, chosen.policy_id)
    if halt is not None:
        completion.end(unit, ExecutionStatus.CANCELED, halted(halt), policy=chosen)
        return
    top = unit.market.reference_book(symbol, unit.now)
    if isinstance(top, Unusable):
        completion.end(unit, failed, f"no LIVE book to size on: {top.reason}", policy=chosen)
        return
    try:
        signal = told.signal if told and told.signal else compute(unit, chosen.policy_id, top)
    except UnknownPolicyError as error:
        completion.end(unit, failed, str(error), policy=chosen)
        return
    inputs = sizing_inputs(unit, chosen, signal.value, top)
    try:
        sizing = size(inputs)
    except ValueError as error:  # the router's widths are no widths
        completion.end(unit, failed, f"no size: {error}", policy=chosen, signal=signal)
        return
    unit.audit("sizing", **logged.decision(inputs, sizing, book=logged.seen(top)))
    unit.emit(sizing)
    if sizing.side is None or sizing.qty == 0:
        why = f"{sizing.reason}: {signal.reason}"
        completion.end(unit, ExecutionStatus.SKIPPED, why, policy=chosen, signal=signal, sizing=sizing)
        return
    unit.move(
        Scoring(request=unit.saga.request, policy=chosen, signal=signal, sizing=sizing, side=sizing.side)
    )
    request = unit.saga.request
    unit.ask(
        ScoreVenues(
            command_id=unit.id_of(SCORE),
            reply_key=symbol,
            symbol=symbol,
            size=float(sizing.qty),
            side=sizing.side,
            max_venues=request.max_venues,
            venues=request.venues,
        ),
        unit.settings.step_timeout_s,
    )


def on_scored(unit: UnitOfWork, scored: VenueScored) -> None:
    """Plan at the venues that cost least together, and send the first children that are due."""
    unit.stop_asking(scored.command_id)
    unit.audit("venue_scored", scored=scored)
    saga = unit.saga
    if not isinstance(saga, Scoring) or isinstance(saga, Working):
        return
    refused: list[str] = []
    offers = _offers(unit, saga, scored, refused)
    if isinstance(offers, str):
        completion.end(unit, ExecutionStatus.SKIPPED, offers)
        return
    if not offers:
        why = "; ".join(refused) or "none is eligible"
        completion.end(unit, ExecutionStatus.FAILED, f"no usable venue: {why}")
        return
    inputs = SplitInputs(
        offers=offers,
        quantity=saga.sizing.qty,
        shares={share.venue: exact(share.size) for share in scored.allocation},
        max_venues=saga.request.max_venues,
        fixed_bps=unit.settings.split_fixed_bps,
        model=SPLIT_MODEL,
    )
    try:
        made = split(inputs, saga.execution_id)
    except CannotPlanError as error:
        completion.end(unit, ExecutionStatus.FAILED, f"no plan: {error}")
        return
    _audit_plans(unit, inputs, made)
    _work(unit, saga, scored, made)
    working.on_slice(unit)
    unit.answer()


def on_refused(unit: UnitOfWork, answer: CommandRejected) -> None:
    """End what another service will not answer."""
    unit.stop_asking(answer.command_id)
    unit.audit("refused", answer=answer)
    if isinstance(unit.saga, Ended):
        rewarding.on_reward_refused(unit, answer)
    elif not isinstance(unit.saga, Working):
        why = f"{answer.command} was refused: {answer.detail}"
        completion.end(unit, ExecutionStatus.FAILED, why)


def on_timeout(unit: UnitOfWork, step: str) -> None:
    """End an execution that still waits at that step."""
    if isinstance(unit.saga, Ended) or type(unit.saga).__name__.lower() != step:
        return
    asked = CHOOSE if isinstance(unit.saga, Choosing) else SCORE
    unit.stop_asking(unit.id_of(asked))
    patience_s = unit.settings.step_timeout_s
    completion.end(unit, ExecutionStatus.FAILED, f"no answer to {asked} within {patience_s:g} s")


def on_rewarded(unit: UnitOfWork, answer: PolicyRewarded) -> None:
    """Note that the router has learnt."""
    unit.stop_asking(answer.command_id)
    unit.audit("rewarded", answer=answer)
    rewarding.note_counted(unit, answer)


def on_cancel(unit: UnitOfWork, command: CancelExecution) -> None:
    """End an execution now; one that has ended is told as it ended."""
    if not isinstance(unit.saga, Ended):
        unit.audit("cancel_wished", command_id=command.command_id)
        stop_asking(unit)
        completion.cancel(unit, "the execution is canceled", "canceled on request")
    unit.emit(ExecutionCanceled(command_id=command.command_id, record=unit.record(), ts=unit.now))


def stop_asking(unit: UnitOfWork) -> None:
    """Await no answer of a step any more."""
    for step in (CHOOSE, SCORE):
        unit.stop_asking(unit.id_of(step))


def _offers(
    unit: UnitOfWork, saga: Scoring, scored: VenueScored, refused: list[str]
) -> tuple[Offer, ...] | str:
    """Return the venues that may take part; in words why nothing is to be done, if so."""
    wanted = {share.venue for share in scored.allocation}
    found: list[Offer] = []
    too_small = ""
    for candidate in scored.candidates:
        if not candidate.eligible or (found and candidate.venue not in wanted):
            continue
        why = closed_door(unit.market, saga, candidate.venue, unit.now)
        top = unit.market.book(candidate.venue, saga.symbol, unit.now)
        if isinstance(top, Unusable) or why:
            refused.append(why)
            continue
        offer = offer_of(unit, saga, top, saga.sizing.qty, candidate)
        if isinstance(offer, str):
            too_small = too_small or offer
        else:
            found.append(offer)
    if not found and too_small:
        return f"size 0: {too_small}"
    return tuple(found)


def _audit_plans(unit: UnitOfWork, inputs: SplitInputs, made: Split) -> None:
    """Write how the order was split, and how each leg was planned."""
    if len(inputs.offers) > 1:
        unit.audit("split", **logged.decision(inputs, made))
    if len(made.legs) == 1:
        (leg,) = made.legs
        offer = next(each for each in inputs.offers if each.inputs.venue == leg.venue)
        unit.audit("plan", **logged.decision(sized(offer, leg.quantity), leg.plan))


def _work(unit: UnitOfWork, saga: Scoring, scored: VenueScored, made: Split) -> None:
    """Begin to work the legs."""
    by_venue = {candidate.venue: candidate for candidate in scored.candidates}
    legs = []
    for part in made.legs:
        candidate, top = by_venue[part.venue], unit.market.book(part.venue, saga.symbol, unit.now)
        assert isinstance(top, BookTop)  # noqa: S101 -- it made an offer
        legs.append(
            Leg(
                venue=part.venue,
                instrument=unit.market.instrument_at(top),
                quantity=part.quantity,
                plan=part.plan,
                taker_bps=unit.market.fees(part.venue).taker_bps,
                score=candidate.score,
                reasons=candidate.reasons,
                why=part.why,
                planned_ts=unit.now,
                planned_venue_ts=top.venue_ts,
                planned_stepped_ns=unit.course.stepped_ns,
            )
        )
    work = Working(
        request=saga.request,
        policy=saga.policy,
        signal=saga.signal,
        sizing=saga.sizing,
        side=saga.side,
        quantity=made.quantity,
        legs=tuple(legs),
        single_venue=made.single,
        single_bps=made.single_bps,
        saving_bps=made.saving_bps,
        split_reason=made.why,
    )
    unit.move(work)
    for leg in legs:
        reallocation.begin(unit, leg)


def _fault(
    state: State[Any], command: PlanAndExecute, market: MarketData, now: int
) -> CommandRejected | None:
    if not market.instruments(command.symbol):
        return refusals.unlisted(command, now)
    if halt := halt_of(market.controls.halts, command.symbol):
        return refusals.unavailable(command, now, halted(halt))
    if use := begin_fault(state, market, command.symbol, now):
        return refusals.unavailable(command, now, use.text)
    if full := bounds.no_execution(state, command.symbol, market.settings):
        return refusals.unavailable(command, now, full)
    top = market.reference_book(command.symbol, now)
    if isinstance(top, Unusable):
        detail = f"No book of {command.symbol} is LIVE ({top.reason})."
        return refusals.unavailable(command, now, detail)
    return None
