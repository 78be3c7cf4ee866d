"""What others tell (signals of policies, inputs of contexts), and which of it may be used; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.common.events import PolicyState
from libs.common.live_books import EARLY_NS
from libs.common.time_units import DAY_S, NS_PER_S

if TYPE_CHECKING:
    from libs.common.events import ContextInput, PolicyRegistered, PolicySignalled

OWN: Final = "p_"  # what the names of built-in policies begin with
OUTSIDE: Final = "x_"  # what the names of policies begin with whose signals come from outside
BUILTIN: Final = "builtin"  # kinds of registered policies
USER: Final = "user"
EXTERNAL: Final = "external"
EVERY_SYMBOL: Final = "*"
STUB: Final = "stub"  # source of inputs that mean nothing
LONGEST_NS: Final = 7 * DAY_S * NS_PER_S  # what claims to hold for longer is a mistake of units


def signal_fault(signal: PolicySignalled | None, policy: PolicyRegistered | None, now: int) -> str:
    """Return why the newest signal of a policy may not be used at `now` (ns UTC); "" where it may."""
    if policy is None:
        return "the policy is not registered"
    if policy.state is PolicyState.QUARANTINED:
        return f"the policy is quarantined: {first_line(policy.fault)}"
    if policy.kind == BUILTIN or policy.policy_id.startswith(OWN):
        return "the policy is built in: what others say of it does not count"
    if signal is None:
        return "there is no signal yet"
    if policy.kind == USER and signal.version != policy.version:
        return f"the signal is of version {signal.version or 'none'}, the policy is {policy.version}"
    if not -1.0 <= signal.value <= 1.0:  # a NaN is in no range
        return f"its value {signal.value} is not within -1 and 1"
    return _moment_fault(signal.inputs_ts, signal.valid_until_ts, now, "the signal")


def input_fault(told: ContextInput | None, now: int) -> str:
    """Return why a context input may not be used at `now` (ns UTC); "" where it may."""
    if told is None:
        return "there is none"
    if not math.isfinite(told.value):
        return f"its value {told.value} is no number"
    return _moment_fault(told.ts, told.valid_until_ts, now, "it")


def first_line(fault: str) -> str:
    """Return what a quarantined policy did, without its traceback."""
    return fault.partition("\n")[0]


def _moment_fault(ts: int, until_ts: int, now: int, what: str) -> str:
    if ts > now + EARLY_NS:
        return f"{what} is of a moment {(ts - now) / NS_PER_S:.3g} s ahead of this clock"
    if until_ts - ts > LONGEST_NS:
        return f"{what} claims to hold for {(until_ts - ts) / NS_PER_S:.3g} s, over {LONGEST_NS / NS_PER_S:g}"
    if until_ts < now:
        return f"{what} expired {(now - until_ts) / NS_PER_S:.3g} s ago"
    return ""
