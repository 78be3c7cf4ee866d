"""When a decision that nobody rewards learns its default: a look at the end of its time; pure.

While decisions of a scope wait, it is looked at least once a `LOOK_NS`, at whole seconds, and one look is
pending: a decision that is due earlier than that look asks for another, and the one that it replaces changes
nothing. So the ticks of a scope are few, however its callers choose the times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from libs.common.answered import memory_of
from libs.common.events import PolicyChosen, RouterAnswer
from libs.common.handling import WakeAt
from libs.common.time_units import MINUTE_NS, NS_PER_S
from services.router.records import decisions_of

if TYPE_CHECKING:
    from libs.common.events import RouterScopeState
    from libs.common.handling import State
    from services.router.records import Record

DEFAULT: Final = b"default/"  # what the keys of ticks begin with; the scope follows
LOOK_NS: Final = MINUTE_NS  # between looks, at most
AT_ONCE: Final = 100  # decisions that learn their default in one look


class Overdue(NamedTuple):
    """A decision whose time for a reward is over."""

    key: bytes
    kept: RouterAnswer
    decision: PolicyChosen


def awaits(
    shared: RouterScopeState, scope: str, chosen: PolicyChosen, now: int
) -> tuple[RouterScopeState, list[WakeAt]]:
    """Note until when a decision waits for its reward, and wish for a look then if none comes before."""
    if chosen.reward_within_s is None:
        return shared, []
    due_ts = _whole(now + round(chosen.reward_within_s * NS_PER_S))
    shared = replace(shared, awaited_ts=max(shared.awaited_ts, due_ts))
    return look_at(shared, scope, due_ts, now)


def look_at(
    shared: RouterScopeState, scope: str, due_ts: int | None, now: int
) -> tuple[RouterScopeState, list[WakeAt]]:
    """Wish for a look at `due_ts`, None for never, unless one comes before."""
    if due_ts is None:
        return shared, []
    look_ts = _whole(min(due_ts, now + LOOK_NS))
    if shared.default_ts is not None and shared.default_ts <= look_ts:
        return shared, []
    return replace(shared, default_ts=look_ts), [WakeAt(look_ts, DEFAULT + scope.encode())]


def overdue(
    state: State[Record], scope: str, shared: RouterScopeState, now: int
) -> tuple[list[Overdue], int | None]:
    """Return the decisions whose time is over, `AT_ONCE` at most, and when the next one's is, ns UTC."""
    then = now - shared.stepped_ns  # answers have the clock of then
    found: list[Overdue] = []
    next_ts: int | None = None
    for key, kept in memory_of(state).order(decisions_of(scope)).items():
        if not isinstance(kept, RouterAnswer) or kept.rewarded:
            continue
        decision = kept.answer
        if not isinstance(decision, PolicyChosen) or decision.reward_within_s is None:
            continue
        due_ts = kept.ts + round(decision.reward_within_s * NS_PER_S)
        if due_ts <= then and len(found) < AT_ONCE:
            found.append(Overdue(key, kept, decision))
        else:
            next_ts = due_ts if next_ts is None else min(next_ts, due_ts)
    return found, None if next_ts is None else max(next_ts, then + 1) + shared.stepped_ns


def _whole(ts: int) -> int:
    """Return the end of a second, ns UTC."""
    return -(-ts // NS_PER_S) * NS_PER_S
