"""The JSON of the router's answers, and how it is made of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from libs.common.events import (
        OffPolicyEstimate,
        PoliciesChanged,
        PolicyChosen,
        PolicyRegistered,
        PolicyRewarded,
        PolicySummary,
        RouterSnapshot,
    )


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Field names in camel case on the wire."""


class ChoiceAnswer(_Answer, frozen=True, kw_only=True):
    """The policy chosen, and all that explains it."""

    policy_id: str
    score: Annotated[float, Meta(description="the chosen policy's sampled expected reward, return units")]
    exploration_bonus: Annotated[
        float,
        Meta(
            description="score minus posterior mean, return units, signed: how much of the score was chance"
        ),
    ]
    decision_id: Annotated[str, Meta(description="name it in the update")]
    propensity: Annotated[float, Meta(description="probability with which this policy was chosen, 0 to 1")]
    scores: Annotated[dict[str, float], Meta(description="sampled expected rewards by policy, return units")]
    means: Annotated[dict[str, float], Meta(description="posterior means by policy, return units")]
    propensities: Annotated[dict[str, float], Meta(description="probabilities by policy; they sum to 1")]
    explored: Annotated[bool, Meta(description="drawn by the uniform part of the mixture, not by score")]
    uncertainty_width: Annotated[
        float, Meta(description="90 % credible width of the policy's expected reward, return units")
    ]
    prior_width: Annotated[
        float, Meta(description="that width at this context before any reward, return units")
    ]
    forecast_vol: Annotated[float | None, Meta(description="sigmaHAR used, fraction per day; null: unknown")]
    inputs: Annotated[dict[str, float | str], Meta(description="values used, live ones included")]
    filled: Annotated[tuple[str, ...], Meta(description="inputs filled from live topics and providers")]
    missing: Annotated[tuple[str, ...], Meta(description="inputs without a value")]
    versions: Annotated[dict[str, int], Meta(description="posterior version by policy")]
    scope: str
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


class RewardAnswer(_Answer, frozen=True, kw_only=True):
    """What the policy has earned so far."""

    policy_id: str
    updates: Annotated[int, Meta(description="rewards of the policy counted so far")]
    mean_reward: Annotated[
        float, Meta(description="of the policy's rewards, return units; 0 before the first")
    ]
    reward: Annotated[float, Meta(description="return units")]
    counted: Annotated[bool, Meta(description="false: nothing was learnt, see `reason`")]
    reason: Annotated[
        str, Meta(description="why not: `decision expired` or `decision rewarded before`; empty if counted")
    ]
    decision_id: str | None
    drift_alarm: Annotated[
        bool, Meta(description="rewards left what the model expects; what it knew was reset")
    ]
    scope: str
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


class PoliciesAnswer(_Answer, frozen=True, kw_only=True):
    """The policies of a scope."""

    policy_id: str
    policies: Annotated[tuple[str, ...], Meta(description="that may be chosen now")]
    changed: Annotated[bool, Meta(description="false: it was so already")]
    scope: str
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


class RegisteredPolicy(_Answer, frozen=True, kw_only=True):
    """A policy that somebody can turn into a signal, so that a scope may choose it."""

    policy_id: str
    kind: str
    summary: str
    parameters: dict[str, float | str | bool]
    version: str


class EstimateAnswer(_Answer, frozen=True, kw_only=True):
    """A value with its 95 % interval, return units; without one below 30 rewarded decisions."""

    value: float
    low: float | None
    high: float | None


class ProviderAnswer(_Answer, frozen=True, kw_only=True):
    """A source of an input that no topic carries."""

    name: Annotated[str, Meta(description="of the input")]
    stub: Annotated[bool, Meta(description="true: its numbers mean nothing")]


class PolicyAnswer(_Answer, frozen=True, kw_only=True):
    """What is known of one policy."""

    policy_id: str
    updates: Annotated[int, Meta(description="rewards counted")]
    mean_reward: Annotated[
        float | None, Meta(description="of all its rewards, return units; null before the first")
    ]
    estimate: Annotated[
        float, Meta(description="posterior mean of the expected reward at `features`, return units")
    ]
    low: Annotated[float, Meta(description="lower end of its 90 % credible interval, return units")]
    high: Annotated[float, Meta(description="upper end, return units")]
    registered: Annotated[
        bool, Meta(description="false: nobody implements it, so it is not chosen until it is registered")
    ]
    choices: int
    share: Annotated[float, Meta(description="of all choices of the scope, 0 to 1")]
    cusum: Annotated[float, Meta(description="of its drift alarm, which rings at 40 by default")]
    resets: Annotated[int, Meta(description="by drift alarms")]
    rewarded: Annotated[
        int,
        Meta(description="n of the off-policy values: rewarded decisions in which it could be chosen"),
    ]
    ess: Annotated[float, Meta(description="effective sample size of the importance weights")]
    ips: Annotated[EstimateAnswer | None, Meta(description="value of always this policy, inverse propensity")]
    snips: Annotated[EstimateAnswer | None, Meta(description="the same, self-normalised")]
    dr: Annotated[EstimateAnswer | None, Meta(description="the same, doubly robust")]


class SnapshotAnswer(_Answer, frozen=True, kw_only=True):
    """A scope of the router as it is."""

    scope: str
    last_choice: Annotated[str | None, Meta(description="policy; null before the first choice")]
    decision_id: str | None = None
    decided_ts: Annotated[int | None, Meta(description="of the last choice, ms since 1970 UTC")] = None
    sampled_scores: Annotated[dict[str, float], Meta(description="of the last choice, return units")] = {}
    features: Annotated[dict[str, float], Meta(description="the vector of the last choice, unitless")] = {}
    inputs: Annotated[dict[str, float | str], Meta(description="before transformation")] = {}
    filled: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    policies: Annotated[tuple[PolicyAnswer, ...], Meta(description="that may be chosen, if registered")] = ()
    retired: tuple[str, ...] = ()
    choices: int = 0
    updates: int = 0
    noise: Annotated[
        float | None, Meta(description="pooled scale of rewards around their means, return units")
    ] = None
    drift: Annotated[dict[str, float], Meta(description="`pooledCusum`, and `alarms` so far")] = {}
    ignored_keys: Annotated[int, Meta(description="unknown keys that came on Kafka, so far")] = 0
    pending: Annotated[int, Meta(description="decisions and answers remembered")] = 0
    providers: Annotated[tuple[ProviderAnswer, ...], Meta(description="of inputs no topic carries")] = ()
    layout: Annotated[int | None, Meta(description="version of the feature layout")] = None
    ts: Annotated[int | None, Meta(description="ms since 1970 UTC; null: the scope was never used")] = None


def choice_answer(event: PolicyChosen) -> ChoiceAnswer:
    """Return the answer to a choice."""
    return ChoiceAnswer(
        policy_id=event.policy_id,
        score=event.score,
        exploration_bonus=event.exploration_bonus,
        decision_id=event.command_id,
        propensity=event.propensity,
        scores=event.scores,
        means=event.means,
        propensities=event.propensities,
        explored=event.explored,
        uncertainty_width=event.width,
        prior_width=event.prior_width,
        forecast_vol=event.forecast_vol,
        inputs=event.inputs,
        filled=event.filled,
        missing=event.missing,
        versions=event.versions,
        scope=event.scope,
        ts=event.ts // NS_PER_MS,
    )


def reward_answer(event: PolicyRewarded) -> RewardAnswer:
    """Return the answer to a reward."""
    return RewardAnswer(
        policy_id=event.policy_id,
        updates=event.updates,
        mean_reward=event.mean_reward,
        reward=event.reward,
        counted=event.counted,
        reason=event.reason,
        decision_id=event.decision_id,
        drift_alarm=event.drift_alarm,
        scope=event.scope,
        ts=event.ts // NS_PER_MS,
    )


def policies_answer(event: PoliciesChanged) -> PoliciesAnswer:
    """Return the answer to a change of the policies."""
    return PoliciesAnswer(
        policy_id=event.policy_id,
        policies=event.policies,
        changed=event.changed,
        scope=event.scope,
        ts=event.ts // NS_PER_MS,
    )


def registered_policy(event: PolicyRegistered) -> RegisteredPolicy:
    """Return a policy as it is registered."""
    return RegisteredPolicy(
        policy_id=event.policy_id,
        kind=event.kind,
        summary=event.summary,
        parameters=event.parameters,
        version=event.version,
    )


def snapshot_answer(scope: str, event: RouterSnapshot | None) -> SnapshotAnswer:
    """Return a scope as it is; one that was never used is empty."""
    if event is None:
        return SnapshotAnswer(scope=scope, last_choice=None)
    return SnapshotAnswer(
        scope=scope,
        last_choice=event.last_choice,
        decision_id=event.decision_id,
        decided_ts=None if event.decided_ts is None else event.decided_ts // NS_PER_MS,
        sampled_scores=event.sampled_scores,
        features=event.features,
        inputs=event.inputs,
        filled=event.filled,
        missing=event.missing,
        policies=tuple(map(_policy, event.policies)),
        retired=event.retired,
        choices=event.choices,
        updates=event.updates,
        noise=event.noise,
        drift={"pooledCusum": event.pooled_cusum, "alarms": event.drift_alarms},
        ignored_keys=event.ignored_keys,
        pending=event.pending,
        providers=tuple(ProviderAnswer(name=name, stub=True) for name in event.stubs),
        layout=event.layout,
        ts=event.ts // NS_PER_MS,
    )


def _policy(summary: PolicySummary) -> PolicyAnswer:
    return PolicyAnswer(
        policy_id=summary.policy_id,
        updates=summary.updates,
        mean_reward=summary.mean_reward,
        estimate=summary.estimate,
        low=summary.low,
        high=summary.high,
        registered=summary.registered,
        choices=summary.choices,
        share=summary.share,
        cusum=summary.cusum,
        resets=summary.resets,
        rewarded=summary.rewarded,
        ess=summary.ess,
        ips=_estimate(summary.ips),
        snips=_estimate(summary.snips),
        dr=_estimate(summary.dr),
    )


def _estimate(estimate: OffPolicyEstimate | None) -> EstimateAnswer | None:
    if estimate is None:
        return None
    return EstimateAnswer(value=estimate.value, low=estimate.low, high=estimate.high)
