"""From a decision to its reward: the window opens at the choice and closes at the symbol's next one; pure.

The window of a symbol's newest decision is open, at most until its policy's horizon; all others are closed.
The reward is told when the window is closed and the execution has ended, whichever is later. Where there is
no LIVE book when the next decision is made, the mid of its command is the mark of both; at the horizon the
venue of the begin is waited for, then whatever reference there is counts, else the last mid known.

A decision that had nothing to act on is void: the router is told why at once, and learns nothing. It has no
window, as it decided nothing: the symbol's decision before it goes on answering for what is held.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.command_rules import MAX_WITHIN_S
from libs.common.events import BOOK, ExecutionStatus, RewardOutcome, RewardPolicy
from libs.common.time_units import NS_PER_S
from services.execution.audit.logged import decision
from services.execution.broker import holdings
from services.execution.broker.exact_amounts import EXACT, exact
from services.execution.decide.marks import Mark, reference_mark, venue_mark
from services.execution.decide.policies import horizon_of
from services.execution.decide.reward import MOST, RewardInputs, reward
from services.execution.kept import kept_of
from services.execution.market_data import Unusable
from services.execution.saga.phases import DecisionWindow, Ended, window_key
from services.execution.saga.unit_of_work import unit_of
from services.execution.saga.windows import Window, WindowEnd
from services.execution.timers import RewardDue

if TYPE_CHECKING:
    from libs.common.events import CommandRejected, PolicyChosen, PolicyRewarded
    from services.execution.decide.reward import Earned
    from services.execution.market_data import MarketData
    from services.execution.saga.phases import Request
    from services.execution.saga.unit_of_work import UnitOfWork
    from services.execution.saga.windows import Closed
    from services.execution.settings import ExecutionSettings

REWARD: Final = "RewardPolicy"
MARGIN_S: Final = 300.0
WORDS: Final = {"at_target": "at target", "no_short": "no short", "flat": "flat"}


def open_window(unit: UnitOfWork, policy_id: str) -> None:
    """Begin the window of a decision, and end that of the symbol's last one."""
    market, symbol, now = unit.market, unit.symbol, unit.now
    mark = reference_mark(market, symbol, now)
    if isinstance(mark, Unusable):
        mark = _command_mark(unit, mark)
    earlier = kept_of(unit.state).sagas.deciding.get(symbol)
    if earlier is not None and (other := unit_of(unit.state, earlier, market, now)) is not None:
        window = unit.state[window_key(earlier)].window
        same = venue_mark(market, window.mark.venue, symbol, now)
        _close(other, window, "next decision", _instead(mark, same) if isinstance(same, Unusable) else same)
        unit.also(other.finish())
    own = holdings.own(unit.state, symbol)
    budget = market.risk.items.get(BOOK.encode())
    window = Window(
        begin_ts=now,
        mark=mark,
        held=holdings.held(unit.state, symbol, market.positions.items.get(symbol.encode())),
        equity=Decimal(0) if budget is None else budget.equity,
        filled=own.quantity,
        mid_cash=own.mid_cash,
        fills=own.fills,
    )
    horizon_s = horizon_of(policy_id, unit.settings.horizon_s, market.policies.registered(policy_id))
    horizon_ts = now + round(horizon_s * NS_PER_S)
    _keep(unit, window, horizon_ts)
    unit.wake(horizon_ts, RewardDue(unit.execution_id))


def rewarded_within_s(settings: ExecutionSettings) -> float:
    """Return within what time of the choice its reward is told, whatever is chosen, seconds.

    The longest window that may be or the longest execution, the patience after it, and `MARGIN_S` for
    restarts. So a choice that nobody here holds, as its answer came too late, is learnt by the router with
    its default.
    """
    working_s = 2 * settings.step_timeout_s + settings.deadline_s + settings.patience_s
    return min(max(settings.horizon_s, working_s) + settings.patience_s + MARGIN_S, MAX_WITHIN_S)


def on_horizon(unit: UnitOfWork) -> None:
    """Close the window at its policy's horizon, on the book of the venue that it began on."""
    kept = unit.window
    if kept is None:
        settle(unit)  # of an older version
        return
    window = kept.window
    if window.end is not None:
        return
    mark = venue_mark(unit.market, window.mark.venue, unit.symbol, unit.now)
    if isinstance(mark, Unusable):
        until = kept.horizon_ts + round(unit.settings.patience_s * NS_PER_S)
        if unit.now < until:
            unit.wake(until, RewardDue(unit.execution_id))  # or when there is a book
            return
        mark = _last_mark(unit, window, mark)
    _close(unit, window, "horizon", mark)


def settle(unit: UnitOfWork) -> None:
    """Tell the router what its policy earned, once the window is closed and the execution has ended."""
    saga, kept = unit.saga, unit.window
    if not isinstance(saga, Ended) or saga.reward is not None:
        return
    if saga.void:
        _tell_void(unit, saga)
        return
    if kept is None or saga.policy is None:
        older = "an older version chose its policy, and kept no window"
        why = "no policy was chosen" if saga.policy is None else older
        unit.move(replace(saga, reward=RewardOutcome(reward=None, reason=why)))
        return
    window = kept.window
    if window.end is None:
        return
    budget = unit.market.risk.items.get(BOOK.encode())
    equity = window.equity or (Decimal(0) if budget is None else budget.equity)
    if equity <= 0:
        reason = f"{_what(saga)}; the equity of the book is not known, so the router's default counts"
        unit.move(replace(saga, reward=_outcome(window, window.end, None, equity, reason)))
        return
    inputs = RewardInputs(
        begin_mid=window.mark.mid,
        end_mid=window.end.mark.mid,
        held=window.held,
        traded=window.end.traded,
        mid_cash=window.end.mid_cash,
        cost=unit.course.cost,
        equity=equity,
    )
    earned = reward(inputs)
    unit.audit("earned", **decision(inputs, earned, window=window))
    reason = "; ".join(filter(None, (_what(saga), *_notes(window, window.end, earned))))
    unit.move(replace(saga, reward=_outcome(window, window.end, earned, equity, reason)))
    unit.ask(_command(unit, saga.request, saga.policy, reward=earned.reward))


def is_due(kept: DecisionWindow, market: MarketData, now: int) -> bool:
    """Tell whether a window that waits for a book beyond its horizon can be closed."""
    if kept.window.end is not None or kept.horizon_ts > now:
        return False
    return isinstance(venue_mark(market, kept.window.mark.venue, kept.symbol, now), Mark)


def on_reward_refused(unit: UnitOfWork, answer: CommandRejected) -> None:
    """Note that the router did not learn."""
    refused = f"the router refused it: {answer.detail}"
    void = unit.saga.void if isinstance(unit.saga, Ended) else ""
    _note(unit, counted=False, reason="; ".join(filter(None, (void, refused))))


def note_counted(unit: UnitOfWork, answer: PolicyRewarded) -> None:
    """Note whether the router learnt from it, and what it says of that."""
    saga = unit.saga
    told = saga.reward.reason if isinstance(saga, Ended) and saga.reward is not None else ""
    said = answer.reason if answer.counted else f"the router did not count it: {answer.reason}"
    if isinstance(saga, Ended) and saga.void and not answer.counted:
        said = ""  # as it was told to
    _note(unit, counted=answer.counted, reason="; ".join(filter(None, (told, said))))


def _note(unit: UnitOfWork, *, counted: bool, reason: str) -> None:
    saga = unit.saga
    if isinstance(saga, Ended) and saga.reward is not None:
        unit.move(replace(saga, reward=replace(saga.reward, counted=counted, reason=reason)))


def _tell_void(unit: UnitOfWork, saga: Ended) -> None:
    assert saga.policy is not None  # noqa: S101 -- a void decision is a choice
    unit.move(replace(saga, reward=RewardOutcome(reward=None, reason=saga.void)))
    unit.ask(_command(unit, saga.request, saga.policy, reward=0.0, void=saga.void))


def _command(
    unit: UnitOfWork, request: Request, policy: PolicyChosen, *, reward: float, void: str = ""
) -> RewardPolicy:
    return RewardPolicy(
        command_id=unit.id_of(REWARD),
        reply_key=request.symbol,
        scope=request.scope,
        policy_id=policy.policy_id,
        reward=reward,
        context={**request.context, "symbol": request.symbol},
        decision_id=request.decision_id,
        void=void,
    )


def _keep(unit: UnitOfWork, window: Window, horizon_ts: int) -> None:
    kept = DecisionWindow(
        execution_id=unit.execution_id, symbol=unit.symbol, horizon_ts=horizon_ts, window=window
    )
    unit.state.put(window_key(unit.execution_id), kept)


def _close(unit: UnitOfWork, window: Window, closed: Closed, mark: Mark) -> None:
    own = holdings.own(unit.state, unit.symbol)
    with localcontext(EXACT):
        traded, mid_cash = own.quantity - window.filled, own.mid_cash - window.mid_cash
    end = WindowEnd(ts=unit.now, closed=closed, mark=mark, traded=traded, mid_cash=mid_cash)
    kept: DecisionWindow = unit.state[window_key(unit.execution_id)]
    _keep(unit, replace(window, end=end), kept.horizon_ts)
    if isinstance(unit.saga, Ended):
        settle(unit)
        unit.forget_later()


def _command_mark(unit: UnitOfWork, why: Unusable) -> Mark:
    """Return the mid at the command: of the reference venue, where it had one."""
    mids, reference = unit.saga.request.mids, unit.settings.reference_venue
    venue = reference if reference in mids else min(mids)
    return Mark(mid=exact(mids[venue]), venue=venue, note=f"the mid at the command: {why.reason}")


def _instead(mark: Mark, why: Unusable) -> Mark:
    """Return a mark that stands for another venue's, and says so."""
    return replace(mark, note=mark.note or f"the mid of {mark.venue} instead: {why.reason}")


def _last_mark(unit: UnitOfWork, window: Window, why: Unusable) -> Mark:
    """Return another reference's mid, else that of the newest fill, else that of the begin."""
    found = reference_mark(unit.market, unit.symbol, unit.now)
    if isinstance(found, Mark):
        return _instead(found, why)
    own = holdings.own(unit.state, unit.symbol)
    mid = own.mid if own.fills > window.fills else window.mark.mid
    return Mark(mid=mid, venue=window.mark.venue, note=f"the last mid known: {why.reason}")


def _outcome(
    window: Window, end: WindowEnd, earned: Earned | None, equity: Decimal, reason: str
) -> RewardOutcome:
    told = RewardOutcome(
        reward=None, reason=reason, begin_ts=window.begin_ts, end_ts=end.ts, closed=end.closed
    )
    if earned is None:
        return told
    return replace(
        told,
        reward=earned.reward,
        unchanged=earned.unchanged,
        gross=earned.gross,
        cost=earned.cost,
        equity=equity,
        begin_mid=float(window.mark.mid),
        mid=float(end.mark.mid),
    )


def _what(saga: Ended) -> str:
    """Say what became of the decision."""
    if saga.status is ExecutionStatus.CANCELED:
        return "canceled"
    if saga.status is ExecutionStatus.FAILED:
        return f"failed: {saga.reason}"
    if saga.status is ExecutionStatus.COMPLETED:
        return "traded"
    limit = "" if saga.sizing is None else saga.sizing.reason
    return f"{WORDS.get(limit, f'refused: {saga.reason}')}: what was held"


def _notes(window: Window, end: WindowEnd, earned: Earned) -> tuple[str, ...]:
    """Say what a reader must know of the number."""
    return (
        f"begun at {window.mark.note}" if window.mark.note else "",
        f"closed at {end.mark.note}" if end.mark.note else "",
        f"cut to {MOST:g} of the equity" if earned.cut else "",
    )
