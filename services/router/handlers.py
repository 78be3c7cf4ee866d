"""What the router does with each command: choose, learn, declare, add, retire; pure, the contents page."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, assert_never
from uuid import UUID

from msgspec.structs import replace

from libs.common.command_rules import nothing_known
from libs.common.context_fields import (
    LAYOUT,
    known_arms,
    known_part,
    learnable,
    unknown_arm_names,
    unknown_keys,
)
from libs.common.events import (
    AddPolicy,
    ChoosePolicy,
    CommandRejected,
    DeclareFeatures,
    Fault,
    FeaturesDeclared,
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
from libs.common.time_units import NS_PER_S
from services.router import defaults, scopes
from services.router.context import Statistics, layout_of
from services.router.evaluation import evaluated
from services.router.lessons import decided, default_lesson, lesson_of
from services.router.mixture import CLIP
from services.router.posteriors import Unpacked, keep_learnt, posteriors_of
from services.router.records import (
    Record,
    answer_key,
    find,
    new_scope,
    pending,
    remember_answer,
    scope_key,
)
from services.router.refusals import (
    other_features,
    refused,
    unavailable,
    unknown_policy,
    without_arms,
    wrong_names,
    wrong_values,
)
from services.router.roster import add, chosen_last, forget_those_left, joined, retire
from services.router.snapshot import Outlook, at_last_choice, snapshot_of
from services.router.thompson import draw, propensities
from services.router.versions import as_registered, telling

if TYPE_CHECKING:
    from libs.common.events import Event, RouterSnapshot
    from libs.common.handling import State, WakeAt
    from services.router.arms import Arms
    from services.router.live import LiveInputs
    from services.router.posteriors import Posteriors
    from services.router.records import Answer
    from services.router.refusals import RouterCommand
    from services.router.rules import Rules
    from services.router.thompson import Floats

Returned: TypeAlias = "list[Event | WakeAt]"


@dataclass(frozen=True, slots=True)
class Router:
    """The handler: `handle` changes `state` in place, and its views are read, never changed."""

    rules: Rules
    live: LiveInputs
    arms: Arms
    unpacked: Unpacked = field(default_factory=Unpacked)

    def handle(self, state: State[Record], message: RouterCommand | Tick, now: int) -> Returned:
        """Answer a command; a refused one changes nothing, a repeated one is answered again.

        Raises
        ------
        ValueError
            If the stored posterior belongs to another layout of the features.
        """
        if isinstance(message, Tick):
            if message.key.startswith(defaults.DEFAULT):
                return self._default(state, message, now)
            return scopes.on_tick(state, message, self.rules, now)
        kept = find(state, answer_key(message.scope, message.command_id), RouterAnswer)
        if kept is not None:
            if isinstance(kept.answer, _answer_kind(message)):
                return [kept.answer]
            fault = Fault(field="command_id", message="is that of another command")
            return [refused(message, Refusal.INVALID, now, fault)]
        known = find(state, scope_key(message.scope), RouterScopeState)
        if known is None and (why := scopes.too_many(state, self.rules, now)):
            return [unavailable(message, now, why)]
        own = message.features if isinstance(message, DeclareFeatures) else self.rules.features
        shared = known or new_scope(self.rules.policies, self.rules.priors, own)
        if shared.layout != LAYOUT:
            raise ValueError(
                f"scope {message.scope} learnt layout {shared.layout} of the features, this is {LAYOUT}"
            )
        return self._do(state, shared, message, now, new=known is None)

    def _do(
        self, state: State[Record], shared: RouterScopeState, command: RouterCommand, now: int, *, new: bool
    ) -> Returned:
        match command:
            case ChoosePolicy():
                return self._choose(state, shared, command, now)
            case RewardPolicy():
                return self._reward(state, shared, command, now)
            case AddPolicy() | RetirePolicy():
                return self._changed(state, shared, command, now)
            case DeclareFeatures():
                return self._declared(state, shared, command, now, new=new)
            case _ as unreachable:
                assert_never(unreachable)

    def _choose(
        self, state: State[Record], shared: RouterScopeState, command: ChoosePolicy, now: int
    ) -> Returned:
        scope, declared, before = command.scope, shared.declared, shared
        shared = joined(shared, scope, self.arms, self.rules.policies)
        faults = wrong_names(command, shared, self.arms) + wrong_values(command, shared)
        if faults := faults + self._too_long(command):
            return [refused(command, Refusal.INVALID, now, *faults)]
        among = self.arms.among(shared.policies, command.policies)
        if not among:
            return [without_arms(command, shared, self.arms, now)]
        forget_those_left(state, scope, before, shared)
        shared = as_registered(state, scope, shared, self.arms, now)
        ignored = (*unknown_keys(command.context, declared), *unknown_arm_names(command.arms))
        context = known_part(command.context, declared)
        filled, unfitted, sources = self.live.fill(context, now, declared)
        layout, statistics = layout_of(declared), _statistics(shared)
        names = tuple(shared.policies[k] for k in among)
        arms = known_arms(command.arms, names)
        posteriors = self._posteriors_of(state, scope, shared)
        X = layout.rows(layout.vector(context, statistics), arms, posteriors.names)
        every = posteriors.mixture.project(X)
        posterior, estimates = every.of(among), every.estimates()
        drawn = draw(posterior, self.rules.tuning, UUID(command.command_id))
        p = propensities(posterior, self.rules.tuning)
        k, at = drawn.chosen, among[drawn.chosen]
        sigma = context.get("sigmaHAR")
        chosen = PolicyChosen(
            command_id=command.command_id,
            scope=scope,
            policy_id=names[k],
            score=float(drawn.scores[k]),
            exploration_bonus=float(drawn.scores[k] - estimates.mean[at]),
            propensity=float(p[k]),
            explored=drawn.explored,
            scores=_by_policy(names, drawn.scores.tolist()),
            means=_by_policy(names, estimates.mean[among].tolist()),
            propensities=_by_policy(names, p.tolist()),
            width=float(estimates.width[at]),
            prior_width=float(posterior.of([k]).prior_width()[0]),
            forecast_vol=None if sigma is None else float(sigma),
            features=dict(zip(layout.names, X[at].tolist(), strict=True)),
            arms=arms,
            inputs=context,
            filled=filled,
            sources=sources,
            unfitted=unfitted,
            missing=layout.missing(context),
            ignored=ignored,
            reward_within_s=command.reward_within_s,
            default_reward=command.default_reward,
            layout=LAYOUT,
            layout_version=layout.version,
            policy_version=posteriors.records[at].version,
            versions={name: posteriors.records[j].updates for name, j in zip(names, among, strict=True)},
            ts=now,
        )
        after = layout.after(statistics, context)
        shared = replace(
            shared,
            means=after.means,
            variances=after.variances,
            counts=after.counts,
            choices=shared.choices + 1,
            chosen=shared.chosen | {names[k]: shared.chosen.get(names[k], 0) + 1},
            joined=chosen_last(shared, names[k]),
            ignored_keys=shared.ignored_keys + len(ignored),
            last=chosen,
        )
        shared, wishes = defaults.awaits(shared, scope, chosen, now)
        outlook = Outlook(every, estimates)
        return [*self._finish(state, scope, shared, chosen, posteriors, outlook), *wishes]

    def _reward(
        self, state: State[Record], shared: RouterScopeState, command: RewardPolicy, now: int
    ) -> Returned:
        key = answer_key(command.scope, command.decision_id or "")
        kept = find(state, key, RouterAnswer)
        decision, declared = decided(kept), shared.declared
        known = shared.policies + shared.retired
        if command.policy_id not in known and (decision is None or decision.policy_id != command.policy_id):
            return [unknown_policy(command, shared, now)]
        faults = wrong_values(command, shared)
        if decision is not None and decision.policy_id != command.policy_id:
            faults.append(Fault(field="policy_id", message=f"that decision chose {decision.policy_id}"))
        if command.decision_id is None and not learnable(command.context, declared):
            faults.append(nothing_known())
        if faults:
            return [refused(command, Refusal.INVALID, now, *faults)]
        shared = as_registered(state, command.scope, shared, self.arms, now)
        lesson = lesson_of(state, command, kept, now)
        x = layout_of(declared).vector(known_part(command.context, declared), _statistics(shared))
        shared, posteriors, answer = self._learn(state, shared, lesson, kept, x)
        return self._finish(state, command.scope, shared, answer, posteriors)

    def _default(self, state: State[Record], tick: Tick, now: int) -> Returned:
        """Learn the defaults of decisions that nobody rewarded in time."""
        scope = tick.key.removeprefix(defaults.DEFAULT).decode()
        shared = find(state, scope_key(scope), RouterScopeState)
        if shared is None or shared.default_ts != tick.due_ts:
            return []  # it was forgotten, or another look has taken its place
        overdue, next_ts = defaults.overdue(state, scope, shared, now)
        shared, wishes = defaults.look_at(replace(shared, default_ts=None), scope, next_ts, now)
        told: list[Event] = []
        posteriors = None
        if overdue:
            shared = as_registered(state, scope, shared, self.arms, now)
        for each in overdue:
            lesson = default_lesson(state, each, now)
            shared, posteriors, answer = self._learn(state, shared, lesson, each.kept)
            told.append(answer)
        state.put(scope_key(scope), shared)
        if posteriors is not None:
            told.append(self._shown(state, scope, shared, posteriors, now))
        return [*told, *wishes]

    def _learn(
        self,
        state: State[Record],
        shared: RouterScopeState,
        lesson: PolicyRewarded,
        kept: RouterAnswer | None,
        x: Floats | None = None,
    ) -> tuple[RouterScopeState, Posteriors, PolicyRewarded]:
        """Learn a lesson that counts, from its decision or else at `x`; return it as it is answered."""
        posteriors = self._posteriors_of(state, lesson.scope, shared)
        names, records, mixture = posteriors
        if lesson.policy_id not in names:  # forgotten, so that nothing counts
            return shared, posteriors, lesson
        k = names.index(lesson.policy_id)
        if lesson.counted:
            decision = decided(kept)
            if kept is not None and decision is not None:
                x = layout_of(shared.declared).decided_on(decision.features)
                shared = evaluated(shared, telling(state, decision, kept), lesson.reward)
            assert x is not None  # noqa: S101 -- a lesson has a decision or a context
            learnt = mixture.learn(k, x, lesson.reward)
            records[k] = replace(records[k], reward_sum=records[k].reward_sum + lesson.reward)
            shared = keep_learnt(state, lesson.scope, shared, posteriors, k, learnt)
            clipped = not math.isclose(learnt.learnt, lesson.reward, rel_tol=1e-9, abs_tol=1e-15)
            taught = float(learnt.learnt) if clipped else lesson.reward
            reason = "; ".join(filter(None, (lesson.reason, _clipped(taught) if clipped else "")))
            lesson = replace(lesson, learnt=taught, reason=reason, drift_alarm=bool(learnt.alarm))
        record = records[k]
        mean = record.reward_sum / record.updates if record.updates else 0.0
        return shared, posteriors, replace(lesson, updates=record.updates, mean_reward=mean)

    def _changed(
        self, state: State[Record], shared: RouterScopeState, command: AddPolicy | RetirePolicy, now: int
    ) -> Returned:
        if isinstance(command, AddPolicy):
            after = add(shared, command, self.arms, self.rules.policies, now)
        else:
            after = retire(shared, command, self.arms, now)
        if isinstance(after, CommandRejected):
            return [after]
        forget_those_left(state, command.scope, shared, after)
        answer = PoliciesChanged(
            command_id=command.command_id,
            scope=command.scope,
            policy_id=command.policy_id,
            policies=after.policies,
            changed=after.policies != shared.policies,
            ts=now,
        )
        posteriors = self._posteriors_of(state, command.scope, after)
        return self._finish(state, command.scope, after, answer, posteriors)

    def _declared(
        self,
        state: State[Record],
        shared: RouterScopeState,
        command: DeclareFeatures,
        now: int,
        *,
        new: bool,
    ) -> Returned:
        if shared.declared != command.features:
            return [other_features(command, shared, now)]
        answer = FeaturesDeclared(
            command_id=command.command_id,
            scope=command.scope,
            features=shared.declared,
            layout_version=layout_of(shared.declared).version,
            changed=new,
            ts=now,
        )
        posteriors = self._posteriors_of(state, command.scope, shared)
        return self._finish(state, command.scope, shared, answer, posteriors)

    def _finish(
        self,
        state: State[Record],
        scope: str,
        shared: RouterScopeState,
        answer: Answer,
        posteriors: Posteriors,
        outlook: Outlook | None = None,
    ) -> Returned:
        """Remember the answer, keep the scope, and show it."""
        new = scope_key(scope) not in state
        ended = scopes.begin(state, self.rules, answer.ts) if new else []
        remember_answer(state, scope, shared, answer, self.rules)
        shared, wishes = scopes.used(shared, scope, self.rules, answer.ts)
        state.put(scope_key(scope), shared)
        return [answer, self._shown(state, scope, shared, posteriors, answer.ts, outlook), *ended, *wishes]

    def _shown(
        self,
        state: State[Record],
        scope: str,
        shared: RouterScopeState,
        posteriors: Posteriors,
        now: int,
        outlook: Outlook | None = None,
    ) -> RouterSnapshot:
        """Return how a scope stands when all is done that a command caused; `outlook` if it is known."""
        known = outlook or at_last_choice(shared, posteriors)
        self.unpacked.give_back(scope, shared, posteriors)
        return snapshot_of(scope, shared, posteriors, known, self.arms, pending(state, scope), now)

    def _posteriors_of(self, state: State[Record], scope: str, shared: RouterScopeState) -> Posteriors:
        return posteriors_of(state, scope, shared, self.rules.tuning, self.unpacked)

    def _too_long(self, command: ChoosePolicy) -> list[Fault]:
        within_s, most_s = command.reward_within_s, self.rules.remember_ns / NS_PER_S
        if within_s is None or within_s <= most_s:
            return []
        wrong = f"is over the {most_s:g} s for which a decision is remembered (ROUTER_REMEMBER_S)"
        return [Fault(field="reward_within_s", message=wrong)]


def _answer_kind(command: RouterCommand) -> type[Answer]:
    match command:
        case ChoosePolicy():
            return PolicyChosen
        case RewardPolicy():
            return PolicyRewarded
        case AddPolicy() | RetirePolicy():
            return PoliciesChanged
        case DeclareFeatures():
            return FeaturesDeclared
        case _ as unreachable:
            assert_never(unreachable)


def _statistics(shared: RouterScopeState) -> Statistics:
    return Statistics(shared.means, shared.variances, shared.counts)


def _by_policy(policies: tuple[str, ...], values: list[float]) -> dict[str, float]:
    return dict(zip(policies, values, strict=True))


def _clipped(learnt: float) -> str:
    return f"learnt as {learnt:.4g}: at most {CLIP:g} noise scales from what was expected"
