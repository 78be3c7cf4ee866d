"""What a reward, or the want of one, is to teach, and the end of its decision, which teaches once; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec.structs import replace

from libs.common.cloudevents import caused_id
from libs.common.events import PolicyChosen, PolicyRewarded
from services.router.records import answer_key
from services.router.versions import another_version

if TYPE_CHECKING:
    from libs.common.events import RewardPolicy, RouterAnswer
    from libs.common.handling import State
    from services.router.defaults import Overdue
    from services.router.records import Record

EXPIRED: Final = "decision expired"
REWARDED: Final = "decision rewarded before"


def decided(kept: RouterAnswer | None) -> PolicyChosen | None:
    """Return the decision that a remembered answer is, None where it is another one."""
    return kept.answer if kept is not None and isinstance(kept.answer, PolicyChosen) else None


def lesson_of(
    state: State[Record], command: RewardPolicy, kept: RouterAnswer | None, now: int
) -> PolicyRewarded:
    """Return what a command teaches, `counted` where it is to be learnt; its decision is closed.

    Parameters
    ----------
    kept
        What is remembered under the id of the decision that the command names.
    """
    lesson = PolicyRewarded(
        command_id=command.command_id,
        scope=command.scope,
        policy_id=command.policy_id,
        reward=command.reward,
        decision_id=command.decision_id,
        counted=True,
        updates=0,
        mean_reward=0.0,
        ts=now,
    )
    decision = decided(kept)
    if kept is None or decision is None:
        if command.decision_id is None:
            return lesson
        return replace(lesson, counted=False, reason=EXPIRED)  # nobody knows whether it was rewarded
    if kept.rewarded:
        return replace(lesson, counted=False, reason=_closed(kept, decision))
    void = command.void or another_version(state, decision, kept)
    state.put(answer_key(command.scope, decision.command_id), replace(kept, rewarded=True, void=void))
    return replace(lesson, counted=not void, reason=void)


def default_lesson(state: State[Record], overdue: Overdue, now: int) -> PolicyRewarded:
    """Return what a decision teaches that nobody rewarded in time; it is closed."""
    decision = overdue.decision
    void = another_version(state, decision, overdue.kept)
    state.put(overdue.key, replace(overdue.kept, rewarded=True, defaulted=not void, void=void))
    return PolicyRewarded(
        command_id=str(caused_id(UUID(decision.command_id), "default reward")),
        scope=decision.scope,
        policy_id=decision.policy_id,
        reward=decision.default_reward,
        decision_id=decision.command_id,
        counted=not void,
        defaulted=not void,
        reason=void or _no_reward(decision),
        updates=0,
        mean_reward=0.0,
        ts=now,
    )


def _closed(kept: RouterAnswer, decision: PolicyChosen) -> str:
    """Say what closed a decision."""
    if kept.void:
        return f"decision void: {kept.void}"
    return f"{_no_reward(decision)} was learnt" if kept.defaulted else REWARDED


def _no_reward(decision: PolicyChosen) -> str:
    return f"no reward within {decision.reward_within_s:g} s: the default"
