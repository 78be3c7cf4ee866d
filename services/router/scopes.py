"""How many scopes there may be, and what becomes of those that nobody uses; pure.

Callers name scopes as they like. So in a minute only so many may begin; one without a command for long is
archived: its remembered answers and its snapshot end, and what its policies learnt stays, for its next
command. While its decisions wait for a reward or their default, it is in use. Where there is no room for a
new one, the archived one that is idle longest is forgotten whole; where none is archived, the new one is
refused: what somebody uses is not forgotten for what somebody else names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.events import Event, RouterIntake, RouterScopeState
from libs.common.handling import WakeAt
from libs.common.time_units import MINUTE_NS, NS_PER_S
from services.router.records import find, policy_key, release, scope_key

if TYPE_CHECKING:
    from libs.common.handling import State, Tick
    from services.router.records import Record
    from services.router.rules import Rules

INTAKE: Final = b"intake"
IDLE: Final = b"idle/"  # what the keys of ticks begin with; the scope follows
SCOPES: Final = scope_key("")  # what the keys of scopes begin with


class ScopeArchived(Event, frozen=True, kw_only=True):
    """A scope was idle; its snapshot ends, and it comes back with its next command."""

    scope: str
    ts: int


class ScopeForgotten(Event, frozen=True, kw_only=True):
    """A scope had to make room for a new one; what it learnt is gone."""

    scope: str
    idle_ns: int  # for how long it had no command
    ts: int


def too_many(state: State[Record], rules: Rules, now: int) -> str:
    """Say why no scope may begin now; "" where one may."""
    intake = _intake(state, now)
    if intake.begun >= rules.scopes_per_minute:
        left_s = max(1, round((intake.minute_ts + MINUTE_NS - now) / NS_PER_S))
        return (
            f"{intake.begun} scopes began within a minute, and no more may (ROUTER_SCOPES_PER_MINUTE): "
            f"use a scope that there is, or try again in {left_s} s."
        )
    if intake.scopes >= rules.scopes_most and not _idle(state, rules, now):
        idle_s = rules.scope_idle_ns / NS_PER_S
        return (
            f"{intake.scopes} scopes are in use here, and there is no room for more (ROUTER_SCOPES_MOST): "
            f"use a scope that there is, or try again when one was idle for {idle_s:g} s."
        )
    return ""


def begin(state: State[Record], rules: Rules, now: int) -> list[Event]:
    """Count a scope that begins; where there is no room, forget the archived one that is idle longest."""
    intake = _intake(state, now)
    scopes, ended = intake.scopes, []
    if scopes >= rules.scopes_most:
        for used_ts, key in _idle(state, rules, now)[: scopes + 1 - rules.scopes_most]:
            scope = key.removeprefix(SCOPES).decode()
            _forget(state, scope)
            ended.append(ScopeForgotten(scope=scope, idle_ns=now - used_ts, ts=now))
    state.put(INTAKE, replace(intake, scopes=scopes - len(ended) + 1, begun=intake.begun + 1))
    return [*ended]


def used(
    shared: RouterScopeState, scope: str, rules: Rules, now: int
) -> tuple[RouterScopeState, list[WakeAt]]:
    """Note that a scope is used, and wish for the tick that looks whether it still is, if none is pending."""
    if shared.archive_ts is not None:
        return replace(shared, used_ts=now), []
    archive_ts = now + rules.scope_idle_ns
    return replace(shared, used_ts=now, archive_ts=archive_ts), [WakeAt(archive_ts, IDLE + scope.encode())]


def on_tick(state: State[Record], tick: Tick, rules: Rules, now: int) -> list[Event | WakeAt]:
    """Archive a scope that is idle, else look again when it may be."""
    scope = tick.key.removeprefix(IDLE).decode()
    shared = find(state, scope_key(scope), RouterScopeState)
    if shared is None or shared.archive_ts != tick.due_ts:
        return []  # it was forgotten, or another tick has taken its place
    idle_ts = _used_ts(shared) + rules.scope_idle_ns
    if idle_ts > now:
        state.put(scope_key(scope), replace(shared, archive_ts=idle_ts))
        return [WakeAt(idle_ts, tick.key)]
    release(state, scope)
    state.put(scope_key(scope), replace(shared, archive_ts=None))
    return [ScopeArchived(scope=scope, ts=now)]


def step_clock(state: State[Record], by_ns: int) -> None:
    """Move all times that scopes are judged by, and the minute of new ones, as the clock was set."""
    for key, shared in _scopes(state):
        archive_ts = None if shared.archive_ts is None else shared.archive_ts + by_ns
        default_ts = None if shared.default_ts is None else shared.default_ts + by_ns
        awaited_ts = shared.awaited_ts + by_ns if shared.awaited_ts else 0
        used_ts, stepped_ns = shared.used_ts + by_ns, shared.stepped_ns + by_ns
        moved = replace(shared, used_ts=used_ts, archive_ts=archive_ts, stepped_ns=stepped_ns)
        state.put(key, replace(moved, default_ts=default_ts, awaited_ts=awaited_ts))
    intake = find(state, INTAKE, RouterIntake)
    if intake is not None:
        state.put(INTAKE, replace(intake, minute_ts=intake.minute_ts + by_ns))


def _intake(state: State[Record], now: int) -> RouterIntake:
    """Return the counts as of now; of a state from before they were kept, counted."""
    intake = find(state, INTAKE, RouterIntake)
    if intake is None:
        return RouterIntake(scopes=len(_scopes(state)), minute_ts=now, begun=0)
    if now - intake.minute_ts >= MINUTE_NS:
        return replace(intake, minute_ts=now, begun=0)
    return intake


def _idle(state: State[Record], rules: Rules, now: int) -> list[tuple[int, bytes]]:
    """Return when the scopes were used that are idle, and their keys; who is idle longest comes first."""
    before = now - rules.scope_idle_ns
    return sorted((kept.used_ts, key) for key, kept in _scopes(state) if _used_ts(kept) <= before)


def _used_ts(shared: RouterScopeState) -> int:
    """Return until when a scope is in use: its last command, or the last reward its decisions wait for."""
    return max(shared.used_ts, shared.awaited_ts)


def _scopes(state: State[Record]) -> list[tuple[bytes, RouterScopeState]]:
    return [(key, kept) for key, kept in state.items() if isinstance(kept, RouterScopeState)]


def _forget(state: State[Record], scope: str) -> None:
    shared = find(state, scope_key(scope), RouterScopeState)
    assert shared is not None  # noqa: S101 -- its key was just read
    release(state, scope)
    for policy in (*shared.policies, *shared.retired):
        state.remove(policy_key(scope, policy))
    state.remove(scope_key(scope))
