"""What a policy that is not built in wants: what it told last, or why that may not be used; pure."""

from __future__ import annotations

from typing import Final

import msgspec

from libs.common.command_rules import MAX_TEXT
from libs.common.events import PolicyRegistered, PolicySignal, PolicySignalled
from libs.common.told import USER, first_line, signal_fault

MODEL: Final = 1  # one more whenever the same inputs may give another answer


class ToldInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of the policy and its signal at the decision."""

    policy_id: str
    symbol: str
    signal: PolicySignalled | None  # the newest that counts; None: there is none
    unfit: str = ""  # without one: why the last record under its key is none
    policy: PolicyRegistered | None  # what counts of it, see `counting`; None: it is not registered
    now: int  # ns UTC
    decided: str = ""  # the version that was chosen; empty: none was, or an older router did not say
    model: int = 1


class ToldSignal(msgspec.Struct, frozen=True, kw_only=True):
    """What comes of it: a signal, or why there is none."""

    signal: PolicySignal | None
    fault: str = ""  # in words, without a signal


def told_signal(inputs: ToldInputs) -> ToldSignal:
    """Return the signal to use, by the one rule that all readers of signals have."""
    fault = signal_fault(inputs.signal, inputs.policy, inputs.now) or _of_another(inputs)
    if inputs.signal is None and inputs.policy is not None:
        fault = inputs.unfit or fault
    if fault or inputs.signal is None:
        why = f"no signal of {inputs.policy_id} to act on: {fault}"
        return ToldSignal(signal=None, fault=why[:MAX_TEXT])
    return ToldSignal(signal=PolicySignal(inputs.signal.value, inputs.signal.reason))


def _of_another(inputs: ToldInputs) -> str:
    """Say that a usable signal is not of the version that was chosen, which its reward would teach."""
    signal, policy, decided = inputs.signal, inputs.policy, inputs.decided
    if signal is None or policy is None or policy.kind != USER or decided in {"", signal.version}:
        return ""
    return f"version {decided} was chosen, the signal is of version {signal.version}"


def counting(policy: PolicyRegistered | None) -> PolicyRegistered | None:
    """Return of a registered policy what decides whether its signal may be used."""
    if policy is None:
        return None
    return PolicyRegistered(
        policy_id=policy.policy_id,
        kind=policy.kind[:MAX_TEXT],
        summary="",
        version=policy.version[:MAX_TEXT],
        state=policy.state,
        fault=first_line(policy.fault)[:MAX_TEXT],
    )
