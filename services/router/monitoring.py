"""What the router tells Prometheus and the log of its decisions, of what it learnt, and of what it lacks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from libs.common.events import (
    CommandRejected,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    RouterScopeState,
    RouterSnapshot,
)
from libs.common.metrics import Family, Names
from libs.common.monitoring import Line, refused
from libs.common.time_units import NS_PER_S
from services.router.roster import without_room
from services.router.rules import MOST_POLICIES
from services.router.scopes import ScopeArchived, ScopeForgotten

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from libs.common.handling import State
    from libs.common.partition import Step
    from services.router.arms import Arms

SCOPE = "default"  # users name scopes as they like; only this one has series of its own


def _policies_of(states: Collection[State[Any]]) -> Iterable[str]:
    """Yield the policies of all scopes that this process owns."""
    for state in states:
        for kept in state.values():
            if isinstance(kept, RouterScopeState):
                yield from kept.policies


class RouterMonitor:
    """Counts decisions and rewards by policy.

    Parameters
    ----------
    policies
        Of a new scope, by the settings.
    """

    def __init__(self, policies: tuple[str, ...], arms: Arms) -> None:
        self._defaults = policies
        self._arms = arms
        self._missing: set[str] = set()  # policies told of, because nobody has registered them
        self._roomless: set[tuple[str, str]] = set()  # scopes and policies told of, as there is no room
        self._policies = Names()
        self._choices: Counter[str] = Counter()
        self._rewards: Counter[tuple[str, str]] = Counter()
        self._explored = 0
        self._drifts = 0
        self._defaults_learnt = 0
        self._clipped = 0
        self._trust: dict[str, float] = {}
        self._means: dict[str, float] = {}
        self._ended: Counter[str] = Counter(archived=0, forgotten=0)

    def saw(self, step: Step) -> Iterable[Line]:
        """Count, and tell every decision and reward, and once of a policy that cannot be chosen."""
        yield from self._unregistered(self._defaults, "ROUTER_POLICIES")
        for event in step.events:
            match event:
                case PolicyChosen():
                    self._choices[self._policies.of(event.policy_id)] += 1
                    self._explored += event.explored
                    facts = {"policy": event.policy_id, "scope": event.scope, "propensity": event.propensity}
                    yield Line("policy_chosen", facts | {"explored": event.explored})
                case PolicyRewarded():
                    self._defaults_learnt += event.defaulted
                    self._clipped += event.learnt is not None and event.learnt != event.reward
                    counted = str(event.counted).lower()
                    self._rewards[self._policies.of(event.policy_id), counted] += 1
                    self._drifts += event.drift_alarm
                    facts = {"policy": event.policy_id, "scope": event.scope, "reward": event.reward}
                    facts |= {"reason": event.reason} if event.reason else {}
                    yield Line("policy_rewarded", facts | {"counted": event.counted})
                case PoliciesChanged():
                    yield Line("policies_changed", {"scope": event.scope, "policies": list(event.policies)})
                case RouterSnapshot():
                    yield from self._unregistered([each.policy_id for each in event.policies], event.scope)
                    yield from self._without_room(step, event)
                    if event.scope == SCOPE:
                        self._means = {
                            self._policies.of(each.policy_id): each.mean_reward
                            for each in event.policies
                            if each.mean_reward is not None
                        }
                        self._trust = {memory.name: memory.weight for memory in event.memories}
                case ScopeArchived():
                    self._ended["archived"] += 1
                    yield Line("scope_archived", {"scope": event.scope})
                case ScopeForgotten():
                    self._ended["forgotten"] += 1
                    yield Line("scope_forgotten", {"scope": event.scope, "idle_s": event.idle_ns / NS_PER_S})
                case CommandRejected():
                    yield refused(event)

    def _unregistered(self, policies: Iterable[str], named_by: str) -> Iterable[Line]:
        if not self._arms:
            return  # execution is not up yet
        for policy in policies:
            if policy in self._arms:
                self._missing.discard(policy)
            elif policy not in self._missing and not self._arms.starting(policy):
                self._missing.add(policy)
                facts = {"policy": policy, "named_by": named_by, "why": self._arms.why_not(policy)}
                yield Line("policy_not_registered", facts, error=True)

    def _without_room(self, step: Step, snapshot: RouterSnapshot) -> Iterable[Line]:
        if not any(isinstance(event, PolicyChosen) for event in step.events):
            return  # only a choice makes room
        names = (*(each.policy_id for each in snapshot.policies), *snapshot.retired)
        for policy in without_room(names, snapshot.scope, self._arms):
            if (snapshot.scope, policy) not in self._roomless:
                self._roomless.add((snapshot.scope, policy))
                facts = {"policy": policy, "scope": snapshot.scope, "most": MOST_POLICIES}
                yield Line("policy_without_room", facts, error=True)

    def families(self, states: Collection[State[Any]]) -> Iterable[Family]:
        """Return the router's own metrics."""
        prefix = "bookrunner_router"
        registered: dict[tuple[str], int] = {}
        for policy in dict.fromkeys((*self._defaults, *_policies_of(states))):
            label = (self._policies.of(policy),)
            known = policy in self._arms or self._arms.starting(policy)
            registered[label] = min(registered.get(label, 1), int(known))
        yield Family(
            f"{prefix}_policy_registered",
            "1 if somebody has registered the policy, else 0: then it is never chosen",
            "gauge",
            ("policy",),
            registered,
        )
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
            "Rewards by policy, and whether they were counted; else repeated or too late",
            "counter",
            ("policy", "counted"),
            self._rewards,
        )
        yield Family(
            f"{prefix}_drift_alarms_total",
            "Alarms that rewards left what was expected; each began a challenger that forgot the past",
            "counter",
            (),
            {(): self._drifts},
        )
        yield Family(
            f"{prefix}_memory_weight_ratio",
            "How much the choices of the default scope trust each copy of the model, by what it forgets",
            "gauge",
            ("memory",),
            {(name,): weight for name, weight in self._trust.items()},
        )
        yield Family(
            f"{prefix}_default_rewards_total",
            "Decisions that learnt their default because no reward came in time",
            "counter",
            (),
            {(): self._defaults_learnt},
        )
        yield Family(
            f"{prefix}_clipped_rewards_total",
            "Rewards learnt as 6 noise scales from what was expected, because they were further",
            "counter",
            (),
            {(): self._clipped},
        )
        yield Family(
            f"{prefix}_mean_reward_ratio",
            "Mean of all rewards of a policy in the default scope, return units",
            "gauge",
            ("policy",),
            {(policy,): mean for policy, mean in self._means.items()},
        )
        kept = [each for state in states for each in state.values() if isinstance(each, RouterScopeState)]
        archived = sum(each.archive_ts is None for each in kept)
        yield Family(
            f"{prefix}_scopes",
            "Scopes kept: in use, or archived because nobody used them for ROUTER_SCOPE_IDLE_S",
            "gauge",
            ("state",),
            {("used",): len(kept) - archived, ("archived",): archived},
        )
        yield Family(
            f"{prefix}_scopes_ended_total",
            "Scopes archived because they were idle, or forgotten because there are too many",
            "counter",
            ("how",),
            {(how,): count for how, count in self._ended.items()},
        )
