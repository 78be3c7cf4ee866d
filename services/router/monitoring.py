"""What the router tells Prometheus and the log of its decisions and of what it learnt."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from libs.common.events import CommandRejected, PoliciesChanged, PolicyChosen, PolicyRewarded, RouterSnapshot
from libs.common.metrics import Family, Names
from libs.common.monitoring import Line, refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from libs.common.handling import State
    from libs.common.partition import Step

SCOPE = "default"  # users name scopes as they like; only this one has series of its own


class RouterMonitor:
    """Counts decisions and rewards by policy."""

    def __init__(self) -> None:
        self._policies = Names()
        self._choices: Counter[str] = Counter()
        self._rewards: Counter[tuple[str, str]] = Counter()
        self._explored = 0
        self._drifts = 0
        self._means: dict[str, float] = {}

    def saw(self, step: Step) -> Iterable[Line]:
        """Count, and tell every decision and reward."""
        for event in step.events:
            match event:
                case PolicyChosen():
                    self._choices[self._policies.of(event.policy_id)] += 1
                    self._explored += event.explored
                    facts = {"policy": event.policy_id, "scope": event.scope, "propensity": event.propensity}
                    yield Line("policy_chosen", facts | {"explored": event.explored})
                case PolicyRewarded():
                    counted = str(event.counted).lower()
                    self._rewards[self._policies.of(event.policy_id), counted] += 1
                    self._drifts += event.drift_alarm
                    facts = {"policy": event.policy_id, "scope": event.scope, "reward": event.reward}
                    yield Line("policy_rewarded", facts | {"counted": event.counted})
                case PoliciesChanged():
                    yield Line("policies_changed", {"scope": event.scope, "policies": list(event.policies)})
                case RouterSnapshot(scope="default"):
                    self._means = {
                        self._policies.of(each.policy_id): each.mean_reward
                        for each in event.policies
                        if each.mean_reward is not None
                    }
                case CommandRejected():
                    yield refused(event)

    def families(self, _states: Collection[State[Any]]) -> Iterable[Family]:
        """Return the router's own metrics."""
        prefix = "bookrunner_router"
        choices = {(policy,): count for policy, count in self._choices.items()}
        yield Family(f"{prefix}_choices_total", "Policies chosen", "counter", ("policy",), choices)
        yield Family(
            f"{prefix}_explored_total",
            "Choices drawn by the uniform part of the mixture",
            "counter",
            (),
            {(): self._explored},
        )
        yield Family(
            f"{prefix}_rewards_total",
            "Rewards by policy, and whether they were counted or repeated",
            "counter",
            ("policy", "counted"),
            self._rewards,
        )
        yield Family(
            f"{prefix}_drift_alarms_total",
            "Alarms that a policy no longer earns what it did",
            "counter",
            (),
            {(): self._drifts},
        )
        yield Family(
            f"{prefix}_mean_reward_ratio",
            "Mean of all rewards of a policy in the default scope, return units",
            "gauge",
            ("policy",),
            {(policy,): mean for policy, mean in self._means.items()},
        )
