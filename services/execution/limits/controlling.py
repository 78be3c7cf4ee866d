"""Halt, resume and set limits, as commanded; pure.

All such commands have one key, so they come to one partition, in one order. What it has done stands in its
state too: the view shows it some milliseconds later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from libs.common import answered
from libs.common.command_rules import rejected
from libs.common.events import (
    Event,
    Fault,
    HaltTrading,
    LimitsSet,
    Refusal,
    Remembered,
    ResumeTrading,
    SetLimits,
    TradingControlled,
    TradingHalted,
    TradingResumed,
)
from libs.common.topics import CONTROLS_KEY, limits_key
from libs.common.trading_limits import ALL, halts_in, limits_of, limits_set, over
from libs.common.venues import VENUES
from services.execution.kept import CONTROL, kept_of
from services.execution.limits.breaches import still_exceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import CommandRejected, LimitUse
    from libs.common.handling import State
    from services.execution.market_data import MarketData

ControlCommand: TypeAlias = HaltTrading | ResumeTrading | SetLimits

DONE: Final = "controls"  # among what the ids of such commands are remembered
KEPT: Final = 10_000  # ids


class ControlKept(Event, frozen=True, kw_only=True):
    """What stands on the topic under a control's key, or is on its way there; state."""

    event: TradingHalted | TradingResumed | LimitsSet


class ControlDone(Remembered, frozen=True, kw_only=True):
    """The answer to a command that was done; state."""

    answer: TradingControlled
    among: str = DONE


def control(state: State[Any], command: ControlCommand, market: MarketData, now: int) -> list[Event]:
    """Do what is commanded at `now` (ns UTC), and answer; a command seen before is answered as it was."""
    done_key = f"limits/done/{command.command_id}".encode()
    known = state.get(done_key)
    if isinstance(known, ControlDone):
        return [known.answer]
    refused = _unknown(command, market, now) or _not_over(state, command, market, now)
    if refused is not None:
        return [refused]
    controls = standing(state, market)
    done = _done(command, controls, now)
    if done is not None:
        key, event = done
        state.put(CONTROL + key, ControlKept(event=event))
        controls[key] = event
    answer = TradingControlled(
        command_id=command.command_id,
        scope=command.scope,
        halts=halts_in(controls),
        limits=limits_of(controls, _symbol_in(command.scope), market.settings.limits()),
        ts=now,
    )
    answered.remember(state, done_key, ControlDone(answer=answer, ts=now))
    answered.forget(state, DONE, most=KEPT)
    return [answer] if done is None else [done[1], answer]


def standing(state: State[Any], market: MarketData) -> dict[bytes, Event]:
    """Return what stands of each control: as the view shows it, or newer, as it was done here."""
    found = dict(market.controls.items)
    for name, kept in kept_of(state).controls.items():
        shown = found.get(name)
        if shown is None or getattr(shown, "ts", 0) < kept.event.ts:
            found[name] = kept.event
    return found


def _done(
    command: ControlCommand, controls: Mapping[bytes, Event], now: int
) -> tuple[bytes, TradingHalted | TradingResumed | LimitsSet] | None:
    """Return what a command adds to the topic, and its key; None if that stands already."""
    key = command.scope.encode()
    before = controls.get(key)
    after_ts = max(now, getattr(before, "ts", 0) + 1)  # newer than what it replaces, however clocks differ
    if isinstance(command, HaltTrading):
        if isinstance(before, TradingHalted):
            return None
        halted = TradingHalted(scope=command.scope, reason=command.reason, by=command.by, ts=after_ts)
        return key, halted
    if isinstance(command, ResumeTrading):
        if not isinstance(before, TradingHalted):
            return None
        resumed = TradingResumed(scope=command.scope, reason=command.reason, by=command.by, ts=after_ts)
        return key, resumed
    key = limits_key(command.scope)
    after_ts = max(now, getattr(controls.get(key), "ts", 0) + 1)
    limits = over((command.limits, limits_set(controls, command.scope)))
    return key, LimitsSet(scope=command.scope, limits=limits, by=command.by, ts=after_ts)


def _unknown(command: ControlCommand, market: MarketData, now: int) -> CommandRejected | None:
    """Return the refusal of a scope that names what does not exist, with what does."""
    kind, _, name = command.scope.partition(":")
    if kind == ALL or (
        isinstance(command, ResumeTrading) and command.scope.encode() in market.controls.halts
    ):
        return None  # what is halted can be resumed, though nobody lists it any more
    if kind == "symbol":
        known = market.symbols
        there = bool(market.instruments(name))
    elif kind == "venue":
        known, there = tuple(VENUES), name in VENUES
    else:
        known = tuple(sorted(key.decode(errors="replace") for key in market.policies.items))
        there = name in known
    if there:
        return None
    message = f"there is no {kind} {name}; there are: {', '.join(known) or 'none yet'}"
    fault = Fault(field="scope", message=message)
    return rejected(command, CONTROLS_KEY, Refusal.UNKNOWN, now, fault)


def _not_over(
    state: State[Any], command: ControlCommand, market: MarketData, now: int
) -> CommandRejected | None:
    """Return the refusal to resume what a limit would halt again at once."""
    if not isinstance(command, ResumeTrading):
        return None
    controls = standing(state, market)
    halted = controls.get(command.scope.encode())
    if not isinstance(halted, TradingHalted):
        return None
    use: LimitUse | None = still_exceeded(market, controls, command.scope, now)
    if use is None:
        return None
    detail = f"{command.scope} would be halted again at once: {use.text}."
    return rejected(command, CONTROLS_KEY, Refusal.UNAVAILABLE, now, detail=detail)


def _symbol_in(scope: str) -> str | None:
    kind, _, name = scope.partition(":")
    return name if kind == "symbol" else None
