"""What executions and choices say of costs, policies, venues and regret; pure."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from scipy.special import stdtrit

from libs.common.off_policy import LEAST, LEAST_ESS, Sums, halves
from libs.performance.answer import CostTerm, PolicyNumbers, Regret, VenueNumbers
from libs.performance.executions import BPS, TERMS, PolicyTrades
from libs.performance.figures import Figure, known, unknown

if TYPE_CHECKING:
    from libs.performance.choices import Choices, Moments
    from libs.performance.executions import Executions, Ratio

ERROR: Final = 0.05
LEAST_SHARE: Final = 0.5  # of the rewarded decisions that must tell of a policy, for it to be the best
FORECAST: Final = ("impact", "fees", "total")
METHOD: Final = (
    "Doubly robust: what always one policy would have earned is estimated from the propensities and expected "
    "rewards of each choice. The interval is simultaneous over the policies (Bonferroni, normal)."
)
UNPLANNED: Final = "plans forecast spread, walk and the way of the mid together, as impact"
NEVER_PLANNED: Final = "plans forecast none: to them the mid goes nowhere"


def costs_of(executions: Executions) -> tuple[CostTerm, ...]:
    """Return each term of the costs."""
    none = "no execution with a fill has ended with a known cost"
    found = []
    for term in TERMS:
        realized, expected = executions.realized.get(term), executions.expected.get(term)
        why = none if term in FORECAST else UNPLANNED
        if term in ("delay", "opportunity"):
            why = NEVER_PLANNED
        found.append(
            CostTerm(
                term=term,
                predicted_bps=unknown(why) if expected is None else _ratio(expected),
                realized_bps=unknown(none) if realized is None else _ratio(realized),
                realized=unknown(none) if realized is None else known(realized.a),
            )
        )
    return tuple(found)


def _ratio(sums: Ratio) -> Figure:
    """Return Σa/ΣV in bps with the interval of a ratio of means: Cochran 1977, equation 6.12."""
    R = sums.a / sums.V
    if sums.n < 2:  # noqa: PLR2004 -- a deviation needs two
        return known(R * BPS, why="an interval needs 2 executions; there is 1")
    squares = max(0.0, sums.aa - 2 * R * sums.aV + R * R * sums.VV)
    error = math.sqrt(squares * sums.n / (sums.n - 1)) / sums.V
    return known(R * BPS, _t95(sums.n) * error * BPS)


def mean_of(n: int, total: float, squares: float, why: str) -> Figure:
    """Return a mean with Student's interval."""
    if not n:
        return unknown(why)
    if n == 1:
        return known(total, why="an interval needs 2 of them; there is 1")
    return known(total / n, _t95(n) * _error(n, total, squares))


def _t95(n: int) -> float:
    """Return the 97.5 % quantile of Student's t for the deviation of n values."""
    return float(stdtrit(n - 1, 0.975))


def _error(n: int, total: float, squares: float) -> float:
    mean = total / n
    return math.sqrt(max(0.0, squares / n - mean * mean) / (n - 1))


def policies_of(choices: Choices, executions: Executions) -> tuple[PolicyNumbers, ...]:
    """Return the numbers of each policy that was chosen, or could be."""
    names = sorted({*choices.chosen, *choices.values, *filter(None, executions.policies)})
    total = choices.chosen.total()
    sums = tuple(choices.values.get(name, Sums()) for name in names)
    half = dict(zip(names, halves(sums), strict=True)) if names else {}
    told = {} if choices.snapshot is None else {each.policy_id: each for each in choices.snapshot.policies}
    found = []
    for name in names:
        rewards, trades = choices.rewards.get(name), executions.policies.get(name, PolicyTrades())
        estimate = choices.values.get(name, Sums()).estimate(half[name])
        router = told[name].dr if name in told else None
        found.append(
            PolicyNumbers(
                policy_id=name,
                choices=choices.chosen[name],
                share=known(choices.chosen[name] / total) if total else unknown("nothing was chosen"),
                rewards=rewards.n if rewards else 0,
                mean_reward=_mean(rewards),
                value=Figure(value=estimate.value, low=estimate.low, high=estimate.high, why=estimate.why),
                router_value=unknown("the router has told nothing of it")
                if router is None
                else Figure(value=router.value, low=router.low, high=router.high, why=router.why),
                trades=trades.trades,
                profit=known(trades.profit) if trades.known else unknown("no trade of it has a known result"),
            )
        )
    return tuple(found)


def _mean(rewards: Moments | None) -> Figure:
    none = "no choice of it was rewarded"
    return unknown(none) if rewards is None else mean_of(rewards.n, rewards.sum, rewards.squares, none)


def venues_of(executions: Executions) -> tuple[VenueNumbers, ...]:
    """Return the numbers of each venue with a fill."""
    found = []
    for name, at in sorted(executions.venues.items()):

        def bps(amount: float, notional: float = at.notional) -> Figure:
            return known(amount / notional * BPS) if notional > 0 else unknown("nothing was worth anything")

        found.append(
            VenueNumbers(
                venue=name,
                fills=at.fills,
                notional=at.notional,
                fees=at.fees,
                fee_bps=bps(at.fees),
                against_mid_bps=bps(at.against_mid),
                slippage_bps=bps(at.slippage),
            )
        )
    return tuple(found)


def regret_of(choices: Choices) -> Regret:
    """Return the regret, see `choices`."""
    judged = {
        name: gain
        for name, gain in choices.gains.items()
        if gain.n >= max(LEAST, LEAST_SHARE * choices.rewarded) and choices.values[name].ess >= LEAST_ESS
    }
    if not judged:
        why = (
            f"no policy was likely enough in {LEAST} rewarded choices, worth {LEAST_ESS:.0f}, and half of all"
        )
        return Regret(per_decision=unknown(why), total=unknown(why), method=METHOD)
    z = NormalDist().inv_cdf(1 - ERROR / len(judged) / 2)
    bounds = {
        name: (gain.sum / gain.n, z * _error(gain.n, gain.sum, gain.squares)) for name, gain in judged.items()
    }
    best = max(bounds, key=lambda name: (bounds[name][0], name))
    value = bounds[best][0]
    low = max(mean - half for mean, half in bounds.values())
    high = max(mean + half for mean, half in bounds.values())
    n = choices.rewarded
    return Regret(
        best=best,
        per_decision=Figure(value=value, low=low, high=high),
        total=Figure(value=value * n, low=low * n, high=high * n),
        decisions=judged[best].n,
        method=METHOD,
    )
