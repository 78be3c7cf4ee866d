"""What the router does with each command: choose, learn, add, retire; pure, the table of contents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never
from uuid import UUID

import numpy as np
from msgspec.structs import replace

from libs.common.command_rules import rejected
from libs.common.context_fields import LAYOUT, unknown_keys
from libs.common.events import (
    AddPolicy,
    ChoosePolicy,
    CommandRejected,
    Fault,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    Refusal,
    RetirePolicy,
    RewardPolicy,
    RouterAnswer,
    RouterScopeState,
)
from libs.common.handling import Tick
from services.router import scopes
from services.router.context import NAMES, Statistics, missing, vector
from services.router.evaluation import evaluated
from services.router.records import (
    Record,
    answer_key,
    bank_of,
    find,
    names_of,
    new_scope,
    pending,
    policy_key,
    policy_of,
    posterior_fields,
    remember_answer,
    scope_key,
)
from services.router.rules import MOST_POLICIES, Rules
from services.router.snapshot import snapshot_of
from services.router.thompson import draw, propensities

if TYPE_CHECKING:
    from libs.common.events import Event, RouterPolicyState
    from libs.common.handling import State, WakeAt
    from services.router.arms import Arms
    from services.router.live import LiveInputs
    from services.router.thompson import Bank

EXPIRED: Final = "decision expired"
REWARDED: Final = "decision rewarded before"

Returned: TypeAlias = "list[Event | WakeAt]"
RouterCommand: TypeAlias = ChoosePolicy | RewardPolicy | AddPolicy | RetirePolicy


@dataclass(frozen=True, slots=True)
class Router:
    """The handler: `handle` changes `state` in place, and its views are read, never changed."""

    rules: Rules
    live: LiveInputs
    arms: Arms

    def handle(self, state: State[Record], message: RouterCommand | Tick, now: int) -> Returned:
        """Answer a command; a refused one changes nothing, a repeated one is answered again.

        Raises
        ------
        ValueError
            If the stored posterior belongs to another layout of the features.
        """
        if isinstance(message, Tick):
            return scopes.on_tick(state, message, self.rules, now)
        kept = find(state, answer_key(message.scope, message.command_id), RouterAnswer)
        if kept is not None:
            if isinstance(kept.answer, _answer_kind(message)):
                return [kept.answer]
            wrong = "is that of another command"
            return [_refused(message, Refusal.INVALID, now, "command_id", wrong)]
        known = find(state, scope_key(message.scope), RouterScopeState)
        if known is None and (why := scopes.too_many(state, self.rules, now)):
            return [_unavailable(message, now, why)]
        shared = known or new_scope(self.rules.policies)
        if shared.layout != LAYOUT:
            raise ValueError(
                f"scope {message.scope} learnt layout {shared.layout} of the features, this is {LAYOUT}"
            )
        match message:
            case ChoosePolicy():
                return self._choose(state, shared, message, now)
            case RewardPolicy():
                return self._reward(state, shared, message, now)
            case AddPolicy():
                return self._add(state, shared, message, now)
            case RetirePolicy():
                return self._retire(state, shared, message, now)
            case _ as unreachable:
                assert_never(unreachable)

    def _choose(
        self, state: State[Record], shared: RouterScopeState, command: ChoosePolicy, now: int
    ) -> Returned:
        among = self.arms.among(shared.policies)
        if not among:
            return [self._without_arms(command, shared, now)]
        ignored = unknown_keys(command.context)
        context = {key: value for key, value in command.context.items() if key not in ignored}
        filled = self.live.fill(context, now)
        statistics = _statistics(shared)
        x = vector(context, statistics)
        records, bank = self._bank(state, command.scope, shared, shared.policies)
        policies = tuple(shared.policies[k] for k in among)
        projection = bank.project(x).of(among)
        drawn = draw(projection, self.rules.tuning, UUID(command.command_id))
        p = propensities(projection, self.rules.tuning)
        k = drawn.chosen
        width = float(projection.width()[k])
        spread, prior_spread = float(projection.spread[k]), math.sqrt(float(x @ x) / self.rules.tuning.lam)
        sigma = context.get("sigmaHAR")
        chosen = PolicyChosen(
            command_id=command.command_id,
            scope=command.scope,
            policy_id=policies[k],
            score=float(drawn.scores[k]),
            exploration_bonus=float(drawn.scores[k] - projection.mean[k]),
            propensity=float(p[k]),
            explored=drawn.explored,
            scores=_by_policy(policies, drawn.scores.tolist()),
            means=_by_policy(policies, projection.mean.tolist()),
            propensities=_by_policy(policies, p.tolist()),
            width=width,
            prior_width=width * prior_spread / spread,
            forecast_vol=None if sigma is None else float(sigma),
            features=dict(zip(NAMES, x.tolist(), strict=True)),
            inputs=context,
            filled=filled,
            missing=missing(context),
            ignored=ignored,
            layout=LAYOUT,
            versions={shared.policies[j]: records[j].updates + records[j].resets for j in among},
            ts=now,
        )
        at = among[k]
        records[at] = replace(records[at], choices=records[at].choices + 1)
        state.put(policy_key(command.scope, chosen.policy_id), records[at])
        after = statistics.after(context)
        shared = replace(
            shared,
            means=after.means,
            variances=after.variances,
            counts=after.counts,
            choices=shared.choices + 1,
            ignored_keys=shared.ignored_keys + len(ignored),
            last=chosen,
        )
        return self._finish(state, command.scope, shared, chosen, records, bank)

    def _reward(
        self, state: State[Record], shared: RouterScopeState, command: RewardPolicy, now: int
    ) -> Returned:
        if command.policy_id not in shared.policies + shared.retired:
            return [_unknown_policy(command, shared, now)]
        key = answer_key(command.scope, command.decision_id or "")
        kept = find(state, key, RouterAnswer)
        decision = kept.answer if kept and isinstance(kept.answer, PolicyChosen) else None
        if decision is not None and decision.policy_id != command.policy_id:
            wrong = f"that decision chose {decision.policy_id}"
            return [_refused(command, Refusal.INVALID, now, "policy_id", wrong)]
        # The policies that share the noise, and the rewarded one if it is retired.
        names = tuple(dict.fromkeys((*shared.policies, command.policy_id)))
        records, bank = self._bank(state, command.scope, shared, names)
        k = names.index(command.policy_id)
        alarm = False
        reason = ""
        if command.decision_id is not None and decision is None:
            reason = EXPIRED  # nobody knows any more whether it was rewarded
        elif kept is not None and kept.rewarded:
            reason = REWARDED
        if not reason:
            if kept is None or decision is None:
                x = vector(_known(command.context), _statistics(shared))
            else:
                x = np.array(list(decision.features.values()))
                shared = evaluated(shared, decision, command.reward)
                state.put(key, replace(kept, rewarded=True))
            learnt = bank.learn(k, x, command.reward)
            alarm = learnt.alarm
            records[k] = replace(records[k], reward_sum=records[k].reward_sum + command.reward)
            for j in learnt.changed:
                records[j] = replace(records[j], **posterior_fields(bank, j))
                state.put(policy_key(command.scope, names[j]), records[j])
            shared = replace(
                shared, pooled_cusum=bank.pooled_C, drift_alarms=shared.drift_alarms + learnt.alarm
            )
        record = records[k]
        rewarded = PolicyRewarded(
            command_id=command.command_id,
            scope=command.scope,
            policy_id=command.policy_id,
            reward=command.reward,
            decision_id=command.decision_id,
            counted=not reason,
            reason=reason,
            updates=record.updates,
            mean_reward=record.reward_sum / record.updates if record.updates else 0.0,
            drift_alarm=alarm,
            ts=now,
        )
        active = len(shared.policies)
        return self._finish(state, command.scope, shared, rewarded, records[:active], bank)

    def _add(self, state: State[Record], shared: RouterScopeState, command: AddPolicy, now: int) -> Returned:
        name = command.policy_id
        if not self.arms:
            return [self._without_arms(command, shared, now)]
        if name not in self.arms:
            wrong = f"is not registered; registered are: {self.arms.names}"
            return [_refused(command, Refusal.INVALID, now, "policy_id", wrong)]
        changed = name not in shared.policies
        if changed:
            known = {*shared.policies, *shared.retired, name}
            if len(known) > MOST_POLICIES:
                wrong = f"would be one more than {MOST_POLICIES} policies"
                return [_refused(command, Refusal.INVALID, now, "policy_id", wrong)]
            retired = tuple(other for other in shared.retired if other != name)
            shared = replace(shared, policies=(*shared.policies, name), retired=retired)
        return self._changed(state, shared, command, now, changed=changed)

    def _retire(
        self, state: State[Record], shared: RouterScopeState, command: RetirePolicy, now: int
    ) -> Returned:
        name = command.policy_id
        if name not in shared.policies + shared.retired:
            return [_unknown_policy(command, shared, now)]
        changed = name in shared.policies
        if changed:
            policies = tuple(other for other in shared.policies if other != name)
            if not policies or (name in self.arms and not self.arms.among(policies)):
                wrong = "is the last policy that can be chosen; add another one first"
                return [_refused(command, Refusal.INVALID, now, "policy_id", wrong)]
            shared = replace(shared, policies=policies, retired=(*shared.retired, name))
        return self._changed(state, shared, command, now, changed=changed)

    def _changed(
        self,
        state: State[Record],
        shared: RouterScopeState,
        command: AddPolicy | RetirePolicy,
        now: int,
        *,
        changed: bool,
    ) -> Returned:
        answer = PoliciesChanged(
            command_id=command.command_id,
            scope=command.scope,
            policy_id=command.policy_id,
            policies=shared.policies,
            changed=changed,
            ts=now,
        )
        records, bank = self._bank(state, command.scope, shared, shared.policies)
        return self._finish(state, command.scope, shared, answer, records, bank)

    def _bank(
        self, state: State[Record], scope: str, shared: RouterScopeState, names: tuple[str, ...]
    ) -> tuple[list[RouterPolicyState], Bank]:
        records = [policy_of(state, scope, name) for name in names]
        return records, bank_of(records, shared.pooled_cusum, self.rules.tuning)

    def _finish(
        self,
        state: State[Record],
        scope: str,
        shared: RouterScopeState,
        answer: PolicyChosen | PolicyRewarded | PoliciesChanged,
        records: list[RouterPolicyState],
        bank: Bank,
    ) -> Returned:
        """Remember the answer, keep the scope, and show it."""
        new = scope_key(scope) not in state
        ended = scopes.begin(state, self.rules, answer.ts) if new else []
        remember_answer(state, scope, shared, answer, self.rules)
        shared, wishes = scopes.used(shared, scope, self.rules, answer.ts)
        state.put(scope_key(scope), shared)
        remembered = pending(state, scope)
        shown = snapshot_of(scope, shared, records, bank, self.arms, remembered, answer.ts)
        return [answer, shown, *ended, *wishes]

    def _without_arms(
        self, command: ChoosePolicy | AddPolicy, shared: RouterScopeState, now: int
    ) -> CommandRejected:
        if self.arms:
            ours = f"Of scope {command.scope} no policy is registered ({names_of(shared.policies)})"
            why = f"{ours}; registered are: {self.arms.names}."
        else:
            why = "No policy is registered yet: execution registers its own when it starts."
        return _unavailable(command, now, why)


def _answer_kind(command: RouterCommand) -> type[PolicyChosen | PolicyRewarded | PoliciesChanged]:
    match command:
        case ChoosePolicy():
            return PolicyChosen
        case RewardPolicy():
            return PolicyRewarded
        case AddPolicy() | RetirePolicy():
            return PoliciesChanged
        case _ as unreachable:
            assert_never(unreachable)


def _statistics(shared: RouterScopeState) -> Statistics:
    return Statistics(shared.means, shared.variances, shared.counts)


def _known(context: dict[str, float | str]) -> dict[str, float | str]:
    ignored = unknown_keys(context)
    return {key: value for key, value in context.items() if key not in ignored}


def _by_policy(policies: tuple[str, ...], values: list[float]) -> dict[str, float]:
    return dict(zip(policies, values, strict=True))


def _unknown_policy(
    command: RewardPolicy | RetirePolicy, shared: RouterScopeState, now: int
) -> CommandRejected:
    wrong = f"is no policy of this scope; known are: {names_of((*shared.policies, *shared.retired))}"
    return _refused(command, Refusal.UNKNOWN, now, "policy_id", wrong)


def _refused(command: RouterCommand, refusal: Refusal, now: int, field: str, wrong: str) -> CommandRejected:
    return rejected(command, command.scope, refusal, now, Fault(field=field, message=wrong))


def _unavailable(command: RouterCommand, now: int, detail: str) -> CommandRejected:
    return rejected(command, command.scope, Refusal.UNAVAILABLE, now, detail=detail)
