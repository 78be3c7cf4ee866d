"""What a scope looks like after a command, for people: the posterior at the last choice's context; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.events import PolicySummary, RouterSnapshot
from services.router.context import Statistics, vector
from services.router.contrasts import best_of
from services.router.evaluation import halves, sums_of
from services.router.providers import PROVIDERS

if TYPE_CHECKING:
    from libs.common.events import RouterPolicyState, RouterScopeState
    from services.router.arms import Arms
    from services.router.thompson import Bank

STUBS: Final = tuple(provider.name for provider in PROVIDERS if provider.stub)


def snapshot_of(
    scope: str,
    shared: RouterScopeState,
    records: list[RouterPolicyState],
    bank: Bank,
    arms: Arms,
    pending: int,
    now: int,
) -> RouterSnapshot:
    """Return the snapshot; `records` and `bank` hold the active policies, in the order of `shared.policies`.

    Parameters
    ----------
    pending
        How many decisions and answers of the scope are remembered.
    """
    if shared.last is None:
        x = vector({}, Statistics(shared.means, shared.variances, shared.counts))
    else:
        x = np.array(list(shared.last.features.values()))
    projection = bank.project(x)
    half = projection.width() / 2
    sums = [sums_of(shared, policy_id) for policy_id in shared.policies]
    unsure = halves(sums)
    best = best_of(shared.contrasts, shared.policies)
    summaries = []
    for k, policy_id in enumerate(shared.policies):
        record, mean = records[k], float(projection.mean[k])
        summaries.append(
            PolicySummary(
                policy_id=policy_id,
                updates=record.updates,
                mean_reward=record.reward_sum / record.updates if record.updates else None,
                estimate=mean,
                low=mean - float(half[k]),
                high=mean + float(half[k]),
                choices=record.choices,
                share=record.choices / shared.choices if shared.choices else 0.0,
                cusum=record.cusum,
                resets=record.resets,
                registered=policy_id in arms,
                rewarded=int(sums[k].seen),
                ess=sums[k].ess,
                dr=sums[k].estimate(float(unsure[k])),
            )
        )
    last = shared.last
    return RouterSnapshot(
        scope=scope,
        last_choice=last.policy_id if last else None,
        decision_id=last.command_id if last else None,
        decided_ts=last.ts if last else None,
        sampled_scores=last.scores if last else {},
        features=last.features if last else {},
        inputs=last.inputs if last else {},
        filled=last.filled if last else (),
        missing=last.missing if last else (),
        policies=tuple(summaries),
        retired=shared.retired,
        best=best.policy_id,
        best_why=best.why,
        choices=shared.choices,
        updates=sum(record.updates for record in records),
        noise=math.sqrt(bank.pooled_variance()),
        pooled_cusum=shared.pooled_cusum,
        drift_alarms=shared.drift_alarms,
        ignored_keys=shared.ignored_keys,
        pending=pending,
        stubs=STUBS,
        layout=shared.layout,
        ts=now,
    )
