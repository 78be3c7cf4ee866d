"""The end of an execution: its costs, and what its policy is taught; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.events import CommandRejected, RewardOutcome, RewardPolicy
from libs.common.time_units import NS_PER_S
from services.execution.audit import decision
from services.execution.children import side_of
from services.execution.market_data import Unusable
from services.execution.paper_broker import exact
from services.execution.record import ZERO
from services.execution.reward import RewardInputs, reward
from services.execution.shortfall import ShortfallChild, ShortfallInputs, shortfall

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import BookTop, PolicyRewarded
    from services.execution.market_data import MarketData
    from services.execution.parent_order import Parent
    from services.execution.saga import Saga, Trigger
    from services.execution.turn import Turn

REWARD: Final = "RewardPolicy"


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
    turn.audit("ended", step=str(saga.step), reason=reason, elapsed_ns=saga.elapsed_ns(turn.now))
    if not saga.answered:
        turn.answer()
    flat = saga.signal is not None and saga.signal.value == 0.0
    if saga.fills or flat:
        horizon_ns = round(turn.settings.horizon_s * NS_PER_S) + saga.stepped_ns
        horizon = saga.created_ts + horizon_ns
        turn.update(horizon_ts=max(turn.now, horizon))
        turn.wake(turn.saga.horizon_ts, "horizon")
    else:
        turn.update(reward=RewardOutcome(reward=None, reason="nothing was traded"))
    turn.wake(turn.now + round(_remembered_s(turn) * NS_PER_S), "forget")


def on_horizon(turn: Turn) -> None:
    """Tell the router what its policy earned."""
    saga = turn.saga
    if not saga.ended or saga.reward is not None or saga.signal is None or saga.policy is None:
        return
    top = _book(saga, turn.market, turn.now)
    if isinstance(top, Unusable):
        until = saga.horizon_ts + round(turn.settings.patience_s * NS_PER_S)
        if turn.now < until:
            turn.wake(until, "horizon")  # or when there is a book
        else:
            turn.update(reward=RewardOutcome(reward=None, reason=f"no LIVE book: {top.reason}"))
        return
    assert top.features is not None  # noqa: S101 -- of a usable book
    inputs = RewardInputs(
        signal=saga.signal.value,
        side=None if saga.sizing is None else saga.sizing.side,
        decision_px=_decision_px(saga, saga.arrival_px or exact(top.features.mid)),
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


def horizon_name(saga: Saga) -> str:
    """Return the name of the tick at which the policy is rewarded."""
    return f"saga/{saga.execution_id}/horizon"


def is_due(saga: Saga, market: MarketData, now: int) -> bool:
    """Tell whether the policy of an execution that has ended can be rewarded."""
    if not saga.waits_for_book or saga.horizon_ts > now or saga.signal is None or saga.policy is None:
        return False
    return not isinstance(_book(saga, market, now), Unusable)


def on_reward_refused(turn: Turn, answer: CommandRejected) -> None:
    """Note that the router did not learn."""
    if turn.saga.reward is not None:
        reason = f"the router refused it: {answer.detail}"
        turn.update(reward=replace(turn.saga.reward, reason=reason, counted=False))


def note_counted(turn: Turn, answer: PolicyRewarded) -> None:
    """Note whether the router learnt from it, and why not."""
    if turn.saga.reward is not None:
        reason = f"the router did not count it: {answer.reason}" if answer.reason else turn.saga.reward.reason
        turn.update(reward=replace(turn.saga.reward, counted=answer.counted, reason=reason))


def _shortfall_inputs(saga: Saga, parent: Parent, arrival_px: Decimal) -> ShortfallInputs:
    assert saga.last_px is not None  # noqa: S101 -- a plan has a mid
    return ShortfallInputs(
        side=side_of(saga),
        quantity=parent.quantity,
        decision_px=_decision_px(saga, arrival_px),
        arrival_px=arrival_px,
        end_px=saga.last_px,
        children=tuple(
            ShortfallChild(
                qty=order.cum_qty, paid=order.cum_quote, mid_px=exact(order.mid), best_px=exact(order.best_px)
            )
            for order in saga.orders
            if order.cum_qty
        ),
        fees=sum((order.fees for order in saga.orders), ZERO),
    )


def _book(saga: Saga, market: MarketData, now: int) -> BookTop | Unusable:
    if saga.venue:
        return market.book(saga.venue, saga.symbol, now)
    return market.reference_book(saga.symbol, now)


def _decision_px(saga: Saga, otherwise: Decimal) -> Decimal:
    """Return the venue's mid at the decision; where its book was not LIVE then, the first one used."""
    venue = saga.venue or next(iter(saga.mids), None)
    return exact(saga.mids[venue]) if venue in saga.mids else otherwise


def _remembered_s(turn: Turn) -> float:
    reward_until_s = turn.settings.horizon_s + turn.settings.patience_s
    return max(turn.settings.remember_s, 2 * reward_until_s)
