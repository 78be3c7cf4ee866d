"""What a file or an entry point says of its policy, and which of that may be registered; pure."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.command_rules import IDENTIFIER
from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.time_units import DAY_S
from libs.common.told import OUTSIDE, OWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.policy import Policy

MOST_SOURCE_BYTES: Final = 1024 * 1024
MOST_SUMMARY: Final = 300  # characters
MOST_PARAMETERS: Final = 50
MOST_PARAMETER: Final = 200  # characters of a name or of a text
MOST_NAMED: Final = 100  # symbols or scopes
LONGEST_VALID_S: Final = float(7 * DAY_S)
LONGEST_HORIZON_S: Final = float(365 * DAY_S)
VERSION_DIGITS: Final = 12


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy says of itself; each field as in `libs.common.policy.Policy`."""

    summary: str
    parameters: dict[str, float | str | bool]
    horizon_s: float
    valid_s: float
    on_tops: bool
    symbols: tuple[str, ...]  # canonical
    joins: tuple[str, ...]
    keeps_posterior: bool


class UnfitPolicyError(ValueError):
    """A policy that cannot be registered; the text says what is wrong and what would be right."""


def version_of(source: bytes) -> str:
    """Return the version of a policy: the first 12 hex digits of its source's SHA-256."""
    return hashlib.sha256(source).hexdigest()[:VERSION_DIGITS]


def id_fault(policy_id: str) -> str:
    """Return why a hosted policy may not have this id; "" where it may."""
    if not IDENTIFIER.fullmatch(policy_id):
        return "the name of a policy is 1-64 of A-Za-z0-9._-"
    if policy_id.startswith((OWN, OUTSIDE)):
        return f"names that begin with {OWN} are built in, with {OUTSIDE} from outside: take another name"
    return ""


def described(policy: Policy) -> Described:
    """Return what a policy says of itself.

    Raises
    ------
    UnfitPolicyError
        If a field has another type, or a symbol is none.
    """
    said = {name: getattr(policy, name) for name in Described.__struct_fields__}
    try:
        said |= {"symbols": tuple(canonical_symbol(symbol) for symbol in said["symbols"])}
        raw = msgspec.msgpack.encode({**said, "parameters": dict(said["parameters"])})
        return msgspec.msgpack.decode(raw, type=Described)
    except (msgspec.ValidationError, UnknownSymbolError, TypeError, ValueError, OverflowError) as error:
        raise UnfitPolicyError(f"its POLICY: {error}") from error


def described_fault(said: Described) -> str:
    """Return why a policy that says this of itself may not be registered; "" where it may."""
    if not 1 <= len(said.summary) <= MOST_SUMMARY:
        return f"its summary has {len(said.summary)} characters: 1 to {MOST_SUMMARY} are right"
    if not 0 < said.valid_s <= LONGEST_VALID_S:
        return f"its valid_s is {said.valid_s:g}: over 0 and at most {LONGEST_VALID_S:g} is right"
    if not 0 < said.horizon_s <= LONGEST_HORIZON_S:
        return f"its horizon_s is {said.horizon_s:g}: over 0 and at most {LONGEST_HORIZON_S:g} is right"
    if not all(map(IDENTIFIER.fullmatch, said.joins)):
        return "its joins names a scope that is none: a scope is 1-64 of A-Za-z0-9._-"
    if max(len(said.joins), len(said.symbols)) > MOST_NAMED:
        return f"it names over {MOST_NAMED} scopes or symbols"
    return _parameters_fault(said.parameters)


def _parameters_fault(parameters: Mapping[str, float | str | bool]) -> str:
    if len(parameters) > MOST_PARAMETERS:
        return f"it has {len(parameters)} parameters: {MOST_PARAMETERS} at most is right"
    texts = [*parameters, *(each for each in parameters.values() if isinstance(each, str))]
    if any(len(text) > MOST_PARAMETER for text in texts):
        return f"a parameter's name or text has over {MOST_PARAMETER} characters"
    for name, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"its parameter {name} is {value}: a finite number is right"
    return ""
