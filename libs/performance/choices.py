r"""Choices and rewards, folded as they come: shares, mean rewards, off-policy values and regret; pure.

Of decisions the newest `KNOWN` are kept, for their rewards; a reward that comes later teaches nothing here.
The values are those of `libs.common.off_policy`, over the decisions of the time alone.

**Regret.** Of the rewarded decisions in which policy k could be chosen with overlap, with φ_k the doubly
robust reward of k and r the one that came, D_k = Σ(φ_k - r)/n is what always k would have earned more. The
regret is the largest D_k. Its interval is simultaneous: of K policies each D_k has a normal one at level
1 - 0.05/K, from the variance of its terms, and [max low, max high] of these holds the largest true one.

References
----------
Dudík, Erhan, Langford & Li 2014 (φ); Bonferroni's inequality (the interval).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.off_policy import OVERLAP, Sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import PolicyChosen, PolicyRewarded, RouterSnapshot

KNOWN: Final = 20_000


class Decision(NamedTuple):
    """What of a choice its reward needs."""

    policy_id: str
    means: Mapping[str, float]
    propensities: Mapping[str, float]


@dataclass
class Moments:
    """Number, sum and sum of squares; changes in place."""

    n: int = 0
    sum: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Add one."""
        self.n += 1
        self.sum += value
        self.squares += value * value


@dataclass
class Choices:
    """All that is kept of the choices of a scope; changes in place."""

    scope: str
    chosen: Counter[str] = field(default_factory=Counter)
    rewards: dict[str, Moments] = field(default_factory=dict)  # by policy
    values: dict[str, Sums] = field(default_factory=dict)  # of the off-policy value, by policy
    gains: dict[str, Moments] = field(default_factory=dict)  # φ - r, by policy
    rewarded: int = 0  # decisions of the time that were
    unknown: int = 0  # counted rewards of decisions that are not among those kept
    snapshot: RouterSnapshot | None = None
    _known: dict[str, Decision | None] = field(default_factory=dict)  # by id; None: it is closed

    def choose(self, event: PolicyChosen) -> None:
        """Take a choice."""
        if event.scope != self.scope or event.command_id in self._known:
            return
        self.chosen[event.policy_id] += 1
        self._known[event.command_id] = Decision(event.policy_id, event.means, event.propensities)
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    def reward(self, event: PolicyRewarded) -> None:
        """Take a reward; one that the router did not count teaches nothing here either."""
        if event.scope != self.scope or not event.counted:
            return
        if event.decision_id is None or event.decision_id not in self._known:
            self.unknown += 1
            return
        decision, self._known[event.decision_id] = self._known[event.decision_id], None
        if decision is None:
            return  # told again
        self.rewarded += 1
        self.rewards.setdefault(decision.policy_id, Moments()).add(event.reward)
        e = event.reward - decision.means[decision.policy_id]
        for name, p in decision.propensities.items():
            q, earned = decision.means[name], e if name == decision.policy_id else None
            self.values[name] = self.values.get(name, Sums()).after(p, q, earned)
            if p >= OVERLAP:
                phi = q if earned is None else q + earned / p
                self.gains.setdefault(name, Moments()).add(phi - event.reward)

    def told(self, event: RouterSnapshot) -> None:
        """Take what the router says of itself; the newest counts."""
        if event.scope == self.scope and (self.snapshot is None or event.ts >= self.snapshot.ts):
            self.snapshot = event
