"""What every command must hold before any service does it, whoever sent it; pure.

The gateway checks the bodies of its callers by the same limits. What depends on a service's state, as whether
a policy is registered, is not here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from libs.common.amounts import absurd_amount
from libs.common.context_fields import REWARD_LIMIT, arm_faults, feature_faults, value_faults
from libs.common.events import (
    AddPolicy,
    Command,
    CommandRejected,
    DeclaredFeature,
    Fault,
    HaltTrading,
    Refusal,
    ResumeTrading,
    RewardPolicy,
    SetLimits,
)
from libs.common.instruments import MAX_SIZE
from libs.common.message_sizes import TooLargeError
from libs.common.time_units import DAY_S
from libs.common.topics import DEAD_LETTERS
from libs.common.trading_limits import MAX_BY, MAX_REASON, limit_scope_fault, limits_fault, scope_fault
from libs.common.venues import VENUES, unknown_venue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from libs.common.events import Event

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
SYMBOL: Final = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}", re.ASCII)
MAX_TEXT: Final = 255  # characters of a text that has no rule of its own
MAX_VOID: Final = 1000  # characters of why a decision teaches nothing
MAX_CONTEXT: Final = 64  # keys, and characters of each
MAX_POLICIES: Final = 64  # named in one command
MAX_WITHIN_S: Final = 7 * DAY_S  # that a decision may wait for its reward
MAX_CONFIDENCE: Final = 10_000  # rewards that a stated expected reward may be worth
MAX_AMOUNT: Final = Decimal(MAX_SIZE)  # of an order's size, and of its price
MAX_DECIMALS: Final = 18
MAX_SYMBOLS: Final = 100  # an answer with their covariance has about 105 KB
MAX_VENUES: Final = 9  # that an order may be split over
MAX_ALLOWED: Final = 40  # venues named in one command
MAX_FRACTION: Final = 1e6  # of budgets, per day
NEEDED_DAYS: Final = 20  # fewer say too little of anything: asked for, refused; found, all is cash
MAX_LOOKBACK: Final = 1500  # days
CONFIDENCE: Final = (0.5, 0.999)
LONGEST_ECHO: Final = 256  # characters of a key or an id that is wrong


def rejected(
    command: Command, key: str, refusal: Refusal, now: int, *faults: Fault, detail: str = ""
) -> CommandRejected:
    """Return the refusal of a command, of which nothing is done; nobody else makes one.

    Parameters
    ----------
    key
        Of the command's record.
    now
        ns UTC.
    faults
        By the command's own names of its fields; in the refusal they have those that callers of the gateway
        use. What is invalid has one at least.
    detail
        For people; empty: what is wrong with each field.

    Raises
    ------
    ValueError
        If nothing says what is wrong.
    """
    if not faults and (refusal is Refusal.INVALID or not detail):
        raise ValueError(f"{type(command).__name__}: {refusal} names no field that is wrong")
    named = tuple(Fault(field=_called(command, fault.field), message=fault.message) for fault in faults)
    return CommandRejected(
        command_id=echoed(command.command_id),
        command=type(command).__name__,
        key=echoed(key),
        refusal=refusal,
        detail=detail or f"{'; '.join(f'{fault.field}: {fault.message}' for fault in named)}.",
        faults=named,
        ts=now,
    )


def refused_at_the_door(message: Event, key: str, now: int) -> CommandRejected | None:
    """Return the answer to a command that no handler may see; None for all else; see `rejected`."""
    if not isinstance(message, Command) or not (faults := command_faults(message)):
        return None
    return rejected(message, key, Refusal.INVALID, now, *faults)


def refused_as_internal(
    command: Command, key: str, service: str, error: BaseException | None, source: str, now: int
) -> CommandRejected:
    """Return the answer to a command that a service's handler raised `error` on; nothing of it was done.

    Parameters
    ----------
    source
        Where the command stands, under which it is kept among the dead letters.
    """
    because = str(error) if isinstance(error, TooLargeError) else type(error).__name__
    detail = (
        f"{service} failed on this command, and has done nothing of it: {because}."
        f" It is kept in {DEAD_LETTERS.name} as {source}."
    )
    return rejected(command, key, Refusal.INTERNAL, now, detail=detail)


def echoed(text: str) -> str:
    """Return what an answer repeats of a text that nothing bounds: one of a right length whole."""
    return text if len(text) <= LONGEST_ECHO else f"{text[: LONGEST_ECHO - 1]}…"


def command_faults(command: Command) -> tuple[Fault, ...]:
    """Return what is wrong with each field of `command`, in their order; nothing where all may be tried."""
    found: list[Fault] = []
    for name in command.__struct_fields__:
        value = getattr(command, name)
        if name == "context":
            found += _context_faults(value)
        elif name == "arms":
            found += _arms_faults(value)
        elif name == "features":
            found += _feature_faults(value)
        elif value is not None and (wrong := _rule_of(command, name)(value)) is not None:
            found.append(Fault(field=name, message=wrong))
    found = found or _missing_faults(command)
    if not found and (wrong := absurd_amount(command)) is not None:
        found.append(Fault(field="", message=wrong))
    return tuple(found)


def amount_fault(amount: Decimal) -> str | None:
    """Return what keeps a number from being a size or a price of an order; None if nothing does."""
    if not amount.is_finite() or not 0 < amount <= MAX_AMOUNT:
        return f"{amount:.6g} is not over 0 and at most {MAX_AMOUNT:.0e}"
    if amount.as_tuple().exponent < -MAX_DECIMALS:  # type: ignore[operator]  # an int, of a finite number
        return f"{amount:.6g} has more than {MAX_DECIMALS} decimals"
    return None


def _called(command: Command, field: str) -> str:
    """Return what callers call a field of a command; the rest, as a key of the context, is theirs already."""
    if field not in command.__struct_fields__:
        return field
    first, *others = _CALLED.get(field, field).split("_")
    return first + "".join(map(str.capitalize, others))


def _context_faults(context: Mapping[str, float | str]) -> list[Fault]:
    if len(context) > MAX_CONTEXT:
        return [Fault(field="context", message=f"has {len(context)} keys; {MAX_CONTEXT} at most are right")]
    long = [key for key, value in context.items() if max(len(key), len(str(value))) > MAX_CONTEXT]
    if long:
        message = f"is longer than {MAX_CONTEXT} characters, or its value is"
        return [Fault(field=f"context.{long[0][:MAX_CONTEXT]}", message=message)]
    return value_faults(context)


def _arms_faults(arms: Mapping[str, Mapping[str, float]]) -> list[Fault]:
    if len(arms) > MAX_POLICIES:
        return [Fault(field="arms", message=f"has {len(arms)} policies; {MAX_POLICIES} at most are right")]
    for policy, known in arms.items():
        if (wrong := _identifier(policy)) is not None:
            return [Fault(field=f"arms.{policy[:MAX_CONTEXT]}", message=f"a policy's name {wrong}")]
        if len(known) > MAX_CONTEXT or any(len(name) > MAX_CONTEXT for name in known):
            message = f"has more than {MAX_CONTEXT} fields, or one of more than {MAX_CONTEXT} characters"
            return [Fault(field=f"arms.{policy}", message=message)]
    return arm_faults(arms)


def _feature_faults(features: Sequence[DeclaredFeature]) -> list[Fault]:
    if not features:
        return [Fault(field="features", message="none; a scope without any begins with its first command")]
    return feature_faults(features)


def nothing_known() -> Fault:
    """Return what is wrong with a reward that says neither its decision nor what was known then."""
    what = "name the decision that earned it (decisionId), or what was known then (context)"
    return Fault(field="decision_id", message=f"is missing, and nothing is known without: {what}")


def _missing_faults(command: Command) -> list[Fault]:
    """Return what is wrong with a command because of what it does not say."""
    match command:
        case RewardPolicy(decision_id=None, void=str(void)) if void:
            return [Fault(field="decision_id", message="is missing: which decision is void?")]
        case RewardPolicy(decision_id=None) if not command.context.keys() - {"symbol"}:
            return [nothing_known()]  # what a key means, the scope knows
        case AddPolicy(expected_reward=None, confidence=float()):
            return [
                Fault(field="expected_reward", message="is missing: confidence says how much it is worth")
            ]
        case AddPolicy(expected_reward=float(), confidence=None):
            return [
                Fault(field="confidence", message="is missing: how many rewards is the stated one worth?")
            ]
        case _:
            return []


def _rule_of(command: Command, name: str) -> Callable[[Any], str | None]:
    return _RULES_OF.get((type(command), name)) or _RULES.get(name, _any)


def _policies(policies: tuple[str, ...]) -> str | None:
    if len(policies) > MAX_POLICIES:
        return f"{len(policies)} policies; {MAX_POLICIES} at most are right"
    if len(set(policies)) < len(policies):
        return "each policy once"
    return next(filter(None, map(_identifier, policies)), None)


def reward_fault(reward: float) -> str | None:
    """Return what keeps a number from being a reward; None if nothing does."""
    return _reward(reward)


def _uuid(text: str) -> str | None:
    try:
        UUID(text)
    except ValueError:
        return "must be a UUID"
    return None


def _identifier(text: str) -> str | None:
    return None if IDENTIFIER.fullmatch(text) else "must be 1-64 of A-Za-z0-9._-"


def _symbol(text: str) -> str | None:
    return None if SYMBOL.fullmatch(text) else f"{text[:40]!r} is not BASE-QUOTE, as BTC-USDT"


def _symbols(symbols: tuple[str, ...]) -> str | None:
    if not 1 <= len(symbols) <= MAX_SYMBOLS:
        return f"{len(symbols)} symbols; 1 to {MAX_SYMBOLS} are right"
    if len(set(symbols)) < len(symbols):
        return "each symbol once"
    return next(filter(None, map(_symbol, symbols)), None)


def _venues(venues: tuple[str, ...]) -> str | None:
    if len(venues) > MAX_ALLOWED:
        return f"{len(venues)} venues; {MAX_ALLOWED} at most are right"
    if len(set(venues)) < len(venues):
        return "each venue once"
    return next((unknown_venue(venue) for venue in venues if venue not in VENUES), None)


def _size(size: float) -> str | None:
    if isfinite(size) and 0 < size <= MAX_SIZE:
        return None
    return f"must be greater than 0 and at most {MAX_SIZE:g} base units"


def _from_to(low: float, high: float, unit: str = "") -> Callable[[float], str | None]:
    message = f"must be from {low:g} to {high:g}{unit}"  # which no NaN is
    return lambda value: None if low <= value <= high else message


_reward: Final = _from_to(-REWARD_LIMIT, REWARD_LIMIT, ", return units: 0.01 is 1 %")


def _text(most: int) -> Callable[[str], str | None]:
    message = f"must be 1 to {most} characters, not all of them spaces"
    return lambda text: None if text.strip() and len(text) <= most else message


def _any(value: Any) -> str | None:  # noqa: ANN401 -- any field of a command
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"is longer than {MAX_TEXT} characters"
    return None


_RULES: Final[Mapping[str, Callable[[Any], str | None]]] = {
    "command_id": _uuid,
    "execution_id": _uuid,
    "symbol": _symbol,
    "symbols": _symbols,
    "scope": _identifier,
    "book": _identifier,
    "policy_id": _identifier,
    "size": _size,
    "order_qty": amount_fault,
    "price": amount_fault,
    "urgency": _from_to(0, 1),
    "reward": _reward,
    "default_reward": _reward,
    "expected_reward": _reward,
    "reward_within_s": lambda value: (
        None if 0 < value <= MAX_WITHIN_S else f"must be over 0 and at most {MAX_WITHIN_S:g} s"
    ),
    "policies": _policies,
    "venues": _venues,
    "max_venues": _from_to(1, MAX_VENUES),
    "cvar_budget": _from_to(0, MAX_FRACTION, ", fraction per day"),
    "vol_target": _from_to(0, MAX_FRACTION, ", fraction per day"),
    "confidence": _from_to(*CONFIDENCE),
    "reason": _text(MAX_REASON),
    "by": _text(MAX_BY),
    "limits": limits_fault,
    "lookback": _from_to(NEEDED_DAYS, MAX_LOOKBACK, " days"),
}
_RULES_OF: Final[Mapping[tuple[type[Command], str], Callable[[Any], str | None]]] = {
    (AddPolicy, "confidence"): lambda value: (
        None if 0 < value <= MAX_CONFIDENCE else f"must be over 0 and at most {MAX_CONFIDENCE:g} rewards"
    ),
    (RewardPolicy, "void"): lambda text: None if not text else _text(MAX_VOID)(text),
    (HaltTrading, "scope"): scope_fault,
    (ResumeTrading, "scope"): scope_fault,
    (SetLimits, "scope"): limit_scope_fault,
}
"""Where a field's name means something else than in other commands."""
_CALLED: Final[Mapping[str, str]] = {"order_qty": "size", "price": "limit"}
"""What callers of the gateway call a field, where that is another word; else it is in camel case."""
