"""What the chosen policy wants, and what all others would, as the router is told; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.command_rules import MAX_POLICIES, MAX_TEXT
from libs.common.told import OWN
from services.execution.audit import logged
from services.execution.decide.policies import POLICIES, signal_of
from services.execution.decide.told_signal import MODEL, ToldInputs, ToldSignal, counting, told_signal
from services.execution.market_data import Unusable
from services.execution.saga.sizing_inputs import market_seen

if TYPE_CHECKING:
    from libs.common.events import BookTop, PolicyChosen, PolicySignal
    from services.execution.market_data import MarketData
    from services.execution.saga.unit_of_work import UnitOfWork

OTHERS_MOST: Final = MAX_POLICIES - len(POLICIES)  # policies of others that a choice is told of


def is_own(policy_id: str) -> bool:
    """Tell whether it is, or would be, the name of a built-in policy."""
    return policy_id.startswith(OWN)


def tell(unit: UnitOfWork, chosen: PolicyChosen) -> ToldSignal:
    """Return what a policy of others wants now, or why that may not be used; and write how that was found."""
    inputs = _told_inputs(unit.market, chosen.policy_id, unit.symbol, unit.now, chosen.policy_version)
    told = told_signal(inputs)
    unit.audit("told", **logged.decision(inputs, told))
    return told


def compute(unit: UnitOfWork, policy_id: str, top: BookTop) -> PolicySignal:
    """Return what a built-in policy wants now, and write how that was found.

    Raises
    ------
    UnknownPolicyError
        If there is no such policy.
    """
    market = market_seen(unit.market, unit.symbol, top, unit.now)
    signal = signal_of(policy_id, market)
    seen = {
        "policy_id": policy_id,
        "market": logged.logged_market(market, unit.settings.reference_venue, unit.symbol, unit.market.lines),
    }
    unit.audit("signal", **logged.decision(seen, signal, book=logged.seen(top)))
    return signal


def arms(unit: UnitOfWork) -> dict[str, dict[str, float]]:
    """Return what each policy wants now: the router's side information.

    What it would trade is left out: who learns the reward of one decision at a time would never enter. Of
    others' policies these are the first `OTHERS_MOST` in order of their names, without those that have no
    signal to use.
    """
    top = unit.market.reference_book(unit.symbol, unit.now)
    if isinstance(top, Unusable):
        return {}
    market = market_seen(unit.market, unit.symbol, top, unit.now)
    wanted = {policy_id: signal_of(policy_id, market) for policy_id in POLICIES}
    for policy_id in unit.market.policies.run_by_others(OTHERS_MOST):
        told = told_signal(_told_inputs(unit.market, policy_id, unit.symbol, unit.now))
        if told.signal is not None:
            wanted[policy_id] = told.signal
    return {policy_id: {"signal": signal.value} for policy_id, signal in wanted.items()}


def _told_inputs(market: MarketData, policy_id: str, symbol: str, now: int, decided: str = "") -> ToldInputs:
    policy = counting(market.policies.registered(policy_id))
    newest = market.signals.newest(policy_id, symbol, policy, now)
    return ToldInputs(
        policy_id=policy_id,
        symbol=symbol,
        signal=newest.signal,
        unfit=newest.unfit,
        policy=policy,
        now=now,
        decided=decided[:MAX_TEXT],
        model=MODEL,
    )
