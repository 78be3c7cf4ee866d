"""From a decision to its reward: the window opens at the choice and closes at the symbol's next one; pure.

The window of a symbol's newest decision is open, at most until its policy's horizon; all others are closed.
The reward is told when the window is closed and the execution has ended, whichever is later. Where there is
no LIVE book when the next decision is made, the mid of its command is the mark of both; at the horizon the
venue of the begin is waited for, then whatever reference there is counts, else the last mid known.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.command_rules import MAX_WITHIN_S
from libs.common.events import BOOK, RewardOutcome, RewardPolicy
from libs.common.time_units import NS_PER_S
from services.execution.audit.logged import decision
from services.execution.broker import holdings
from services.execution.broker.paper_broker import EXACT, exact
from services.execution.decide.marks import reference_mark, venue_mark
from services.execution.decide.policies import POLICIES, horizon_of
from services.execution.decide.reward import MOST, RewardInputs, reward
from services.execution.market_data import Unusable
from services.execution.saga.standing import standing_of
from services.execution.saga.state import Step
from services.execution.saga.unit_of_work import Turn
from services.execution.saga.windows import Mark, Window, WindowEnd

if TYPE_CHECKING:
    from libs.common.events import CommandRejected, PolicyRewarded
    from services.execution.decide.reward import Earned
    from services.execution.market_data import MarketData
    from services.execution.saga.state import Saga
    from services.execution.saga.windows import Closed
    from services.execution.settings import ExecutionSettings

REWARD: Final = "RewardPolicy"
MARGIN_S: Final = 300.0
WORDS: Final = {"at_target": "at target", "no_short": "no short", "flat": "flat"}


def open_window(turn: Turn, policy_id: str) -> None:
    """Begin the window of a decision, and end that of the symbol's last one."""
    saga, market, now = turn.saga, turn.market, turn.now
    mark = reference_mark(market, saga.symbol, now)
    if isinstance(mark, Unusable):
        mark = _command_mark(turn, mark)
    earlier = standing_of(turn.state).deciding.get(saga.symbol)
    if earlier is not None and earlier.window is not None:
        same = venue_mark(market, earlier.window.mark.venue, saga.symbol, now)
        other = Turn(turn.state, earlier, market, now)
        _close(other, "next decision", _instead(mark, same) if isinstance(same, Unusable) else same)
        turn.also(other.finish())
    own = holdings.own(turn.state, saga.symbol)
    budget = market.risk.items.get(BOOK.encode())
    window = Window(
        begin_ts=now,
        mark=mark,
        held=holdings.held(turn.state, saga.symbol, market.positions.items.get(saga.symbol.encode())),
        equity=Decimal(0) if budget is None else budget.equity,
        filled=own.quantity,
        mid_cash=own.mid_cash,
        fills=own.fills,
    )
    horizon_ts = now + round(horizon_of(policy_id, turn.settings.horizon_s) * NS_PER_S)
    turn.update(window=window, horizon_ts=horizon_ts)
    turn.wake(horizon_ts, "horizon")


def rewarded_within_s(settings: ExecutionSettings) -> float:
    """Return within what time of the choice its reward is told, whatever is chosen, seconds.

    The longest window or execution, the patience after it, and `MARGIN_S` for restarts. So a choice that
    nobody here holds, as its answer came too late, is learnt by the router with its default.
    """
    longest_s = max(horizon_of(policy_id, settings.horizon_s) for policy_id in POLICIES)
    working_s = 2 * settings.step_timeout_s + settings.deadline_s + settings.patience_s
    return min(max(longest_s, working_s) + settings.patience_s + MARGIN_S, MAX_WITHIN_S)


def on_horizon(turn: Turn) -> None:
    """Close the window at its policy's horizon, on the book of the venue that it began on."""
    saga, window = turn.saga, turn.saga.window
    if window is None:
        settle(turn)  # of an older version
        return
    if window.end is not None:
        return
    mark = venue_mark(turn.market, window.mark.venue, saga.symbol, turn.now)
    if isinstance(mark, Unusable):
        until = saga.horizon_ts + round(turn.settings.patience_s * NS_PER_S)
        if turn.now < until:
            turn.wake(until, "horizon")  # or when there is a book
            return
        mark = _last_mark(turn, window, mark)
    _close(turn, "horizon", mark)


def settle(turn: Turn) -> None:
    """Tell the router what its policy earned, once the window is closed and the execution has ended."""
    saga, window = turn.saga, turn.saga.window
    if not saga.ended or saga.reward is not None:
        return
    if window is None:
        older = "an older version chose its policy, and kept no window"
        why = "no policy was chosen" if saga.policy is None else older
        turn.update(reward=RewardOutcome(reward=None, reason=why))
        return
    if window.end is None:
        return
    budget = turn.market.risk.items.get(BOOK.encode())
    equity = window.equity or (Decimal(0) if budget is None else budget.equity)
    if equity <= 0:
        reason = f"{_what(saga)}; the equity of the book is not known, so the router's default counts"
        turn.update(reward=_outcome(window, window.end, None, equity, reason))
        return
    inputs = RewardInputs(
        begin_mid=window.mark.mid,
        end_mid=window.end.mark.mid,
        held=window.held,
        traded=window.end.traded,
        mid_cash=window.end.mid_cash,
        cost=saga.cost,
        equity=equity,
    )
    earned = reward(inputs)
    turn.audit("earned", **decision(inputs, earned, window=window))
    reason = "; ".join(filter(None, (_what(saga), *_notes(window, window.end, earned))))
    turn.update(reward=_outcome(window, window.end, earned, equity, reason))
    assert saga.policy is not None  # noqa: S101 -- of one that has a window
    command = RewardPolicy(
        command_id=turn.id_of(REWARD),
        reply_key=saga.symbol,
        scope=saga.scope,
        policy_id=saga.policy.policy_id,
        reward=earned.reward,
        context={**saga.context, "symbol": saga.symbol},
        decision_id=saga.decision_id,
    )
    turn.ask(command, None)


def horizon_name(saga: Saga) -> str:
    """Return the name of the tick at which the window is closed at the latest."""
    return f"saga/{saga.execution_id}/horizon"


def is_due(saga: Saga, market: MarketData, now: int) -> bool:
    """Tell whether a window that waits for a book beyond its horizon can be closed."""
    if not saga.window_open or saga.horizon_ts > now or saga.window is None:
        return False
    return isinstance(venue_mark(market, saga.window.mark.venue, saga.symbol, now), Mark)


def on_reward_refused(turn: Turn, answer: CommandRejected) -> None:
    """Note that the router did not learn."""
    if turn.saga.reward is not None:
        reason = f"the router refused it: {answer.detail}"
        turn.update(reward=replace(turn.saga.reward, reason=reason, counted=False))


def note_counted(turn: Turn, answer: PolicyRewarded) -> None:
    """Note whether the router learnt from it, and what it says of that."""
    if turn.saga.reward is not None:
        said = answer.reason if answer.counted else f"the router did not count it: {answer.reason}"
        reason = "; ".join(filter(None, (turn.saga.reward.reason, said)))
        turn.update(reward=replace(turn.saga.reward, counted=answer.counted, reason=reason))


def _close(turn: Turn, closed: Closed, mark: Mark) -> None:
    window = turn.saga.window
    assert window is not None  # noqa: S101 -- an open one
    own = holdings.own(turn.state, turn.saga.symbol)
    with localcontext(EXACT):
        traded, mid_cash = own.quantity - window.filled, own.mid_cash - window.mid_cash
    end = WindowEnd(ts=turn.now, closed=closed, mark=mark, traded=traded, mid_cash=mid_cash)
    turn.update(window=replace(window, end=end))
    if turn.saga.ended:
        settle(turn)
        turn.forget_later()


def _command_mark(turn: Turn, why: Unusable) -> Mark:
    """Return the mid at the command: of the reference venue, where it had one."""
    mids, reference = turn.saga.mids, turn.settings.reference_venue
    venue = reference if reference in mids else min(mids)
    return Mark(mid=exact(mids[venue]), venue=venue, note=f"the mid at the command: {why.reason}")


def _instead(mark: Mark, why: Unusable) -> Mark:
    """Return a mark that stands for another venue's, and says so."""
    return replace(mark, note=mark.note or f"the mid of {mark.venue} instead: {why.reason}")


def _last_mark(turn: Turn, window: Window, why: Unusable) -> Mark:
    """Return another reference's mid, else that of the newest fill, else that of the begin."""
    found = reference_mark(turn.market, turn.saga.symbol, turn.now)
    if isinstance(found, Mark):
        return _instead(found, why)
    own = holdings.own(turn.state, turn.saga.symbol)
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


def _what(saga: Saga) -> str:
    """Say what became of the decision."""
    if saga.step is Step.CANCELED:
        return "canceled"
    if saga.step is Step.FAILED:
        return f"failed: {saga.reason}"
    if saga.step is Step.COMPLETED:
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
