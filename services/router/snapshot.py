"""What a scope looks like after a command, for people: the posterior at the last choice's context; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from libs.common.events import PolicyBelief, PolicySummary, RouterSnapshot
from libs.common.off_policy import halves
from libs.common.told import STUB
from services.router.context import Statistics, layout_of
from services.router.contrasts import best_of
from services.router.evaluation import sums_of
from services.router.posteriors import memories_of
from services.router.thompson import Estimates, Posterior, best_probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import RouterScopeState
    from services.router.arms import Arms
    from services.router.posteriors import Posteriors


class Outlook(NamedTuple):
    """What is expected of policies at a context: the whole laws, and their means and widths."""

    posterior: Posterior
    estimates: Estimates


def at_last_choice(shared: RouterScopeState, posteriors: Posteriors) -> Outlook:
    """Return what is expected of each policy at the last choice's context; before one, at an empty one."""
    last, layout = shared.last, layout_of(shared.declared)
    if last is None:
        x = layout.vector({}, Statistics(shared.means, shared.variances, shared.counts))
    else:
        x = layout.decided_on(last.features)
    X = layout.rows(x, last.arms if last else {}, posteriors.names)
    posterior = posteriors.mixture.project(X)
    return Outlook(posterior, posterior.estimates())


def beliefs_of(posterior: Posterior, policies: Sequence[str], among: Sequence[int]) -> list[PolicyBelief]:
    """Return what is believed of each policy, and how probable each of those `among` which is chosen is best.

    Parameters
    ----------
    posterior
        Of these policies, and of others after them.
    among
        Where those that may be chosen now stand in `policies`, in order.
    """
    chances = best_probabilities(posterior.of(list(among))).tolist() if among else []
    best = dict(zip(among, chances, strict=True))
    laws = zip(posterior.nu.tolist(), posterior.means.T.tolist(), posterior.scales.T.tolist(), strict=True)
    return [
        PolicyBelief(degrees=nu, means=tuple(means), scales=tuple(scales), best=best.get(k))
        for k, (nu, means, scales) in enumerate(list(laws)[: len(policies)])
    ]


def snapshot_of(
    scope: str,
    shared: RouterScopeState,
    posteriors: Posteriors,
    outlook: Outlook,
    arms: Arms,
    pending: int,
    now: int,
) -> RouterSnapshot:
    """Return the snapshot; `posteriors` begin with the active policies, in the order of `shared.policies`.

    Parameters
    ----------
    outlook
        Of all these policies, at the last choice's context.
    pending
        How many decisions and answers of the scope are remembered.
    """
    records, mixture, last = posteriors.records, posteriors.mixture, shared.last
    sources = last.sources if last else {}
    posterior, estimates = outlook
    half = estimates.width / 2
    beliefs = beliefs_of(posterior, shared.policies, arms.among(shared.policies))
    sums = tuple(sums_of(shared, policy_id) for policy_id in shared.policies)
    unsure = halves(sums)
    best = best_of(shared.contrasts, shared.policies)
    summaries = []
    for k, policy_id in enumerate(shared.policies):
        record, mean = records[k], float(estimates.mean[k])
        choices = record.choices + shared.chosen.get(policy_id, 0)
        stated = shared.priors.get(policy_id, (None, None))
        summaries.append(
            PolicySummary(
                policy_id=policy_id,
                updates=record.updates,
                mean_reward=record.reward_sum / record.updates if record.updates else None,
                estimate=mean,
                low=mean - float(half[k]),
                high=mean + float(half[k]),
                choices=choices,
                share=choices / shared.choices if shared.choices else 0.0,
                expected_reward=stated[0],
                confidence=stated[1],
                registered=policy_id in arms,
                version=record.version,
                rewarded=int(sums[k].seen),
                ess=sums[k].ess,
                dr=sums[k].estimate(unsure[k]),
                belief=beliefs[k],
            )
        )
    return RouterSnapshot(
        scope=scope,
        last_choice=last.policy_id if last else None,
        decision_id=last.command_id if last else None,
        decided_ts=last.ts if last else None,
        sampled_scores=last.scores if last else {},
        features=last.features if last else {},
        inputs=last.inputs if last else {},
        filled=last.filled if last else (),
        sources=sources,
        missing=last.missing if last else (),
        policies=tuple(summaries),
        retired=shared.retired,
        best=best.policy_id,
        best_why=best.why,
        choices=shared.choices,
        updates=sum(record.updates for record in records[: len(shared.policies)]),
        noise=mixture.noise(),
        memories=memories_of(mixture),
        weights=tuple(posterior.weights.tolist()),
        drift_alarms=shared.drift_alarms,
        ignored_keys=shared.ignored_keys,
        pending=pending,
        stubs=tuple(name for name, source in sources.items() if source == STUB),
        layout=shared.layout,
        layout_version=layout_of(shared.declared).version,
        declared=shared.declared,
        ts=now,
    )
