"""What callers of the router may send: bodies, and the names in them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from libs.common.command_rules import MAX_CONFIDENCE, MAX_POLICIES, MAX_WITHIN_S, reward_fault
from libs.common.context_fields import (
    ARM_FIELDS,
    FEATURE_NAME,
    FIELDS,
    MOST_FEATURES,
    REGIMES,
    REWARD_LIMIT,
    arm_faults,
    feature_faults,
    unknown_arm_faults,
    unknown_fault,
    unknown_keys,
    value_faults,
)
from libs.common.events import DeclaredFeature
from services.gateway.http.problems import FieldError, invalid
from services.gateway.http.requests import Body, PolicyId, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.context_fields import Arms as ArmsKnown
    from libs.common.context_fields import ContextField


def _reward(value: float) -> float:
    if (wrong := reward_fault(value)) is not None:
        raise PydanticCustomError("reward", "{wrong}", {"wrong": wrong})
    return value


Reward = Annotated[
    float,
    AfterValidator(_reward),
    WithJsonSchema({"type": "number", "minimum": -REWARD_LIMIT, "maximum": REWARD_LIMIT}),
]


def _numbers(fields: Sequence[ContextField]) -> dict[str, Any]:
    return {
        each.name: {"type": "number", "minimum": each.low, "maximum": each.high, "description": each.meaning}
        for each in fields
    }


_CONTEXT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "what is known of the market, by name; anything may be left out",
    "properties": {
        "regime": {"type": "string", "enum": list(REGIMES), "description": "of the market, as you see it"},
        "symbol": {"type": "string", "description": "like BTC-USDT: fills what is missing with live values"},
        **_numbers(FIELDS),
    },
    "additionalProperties": {"type": "number", "description": "a feature that the scope declared"},
}
Context = Annotated[dict[str, float | str], Field(max_length=64, json_schema_extra=_CONTEXT_SCHEMA)]
_ARMS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "what is known of a policy alone, by its name; anything may be left out",
    "additionalProperties": {
        "type": "object",
        "properties": _numbers(ARM_FIELDS),
        "additionalProperties": False,
    },
}
Arms = Annotated[dict[str, dict[str, float]], Field(max_length=MAX_POLICIES, json_schema_extra=_ARMS_SCHEMA)]


class ChooseBody(Body):
    """What is known of the market; anything may be left out."""

    context: Context
    scope: Scope = "default"
    policies: list[PolicyId] = Field(
        default_factory=list,
        max_length=MAX_POLICIES,
        description="those that may be chosen now, of the scope's; empty: all",
    )
    arms: Arms = Field(default_factory=dict)
    reward_within_s: float | None = Field(
        None,
        gt=0,
        le=MAX_WITHIN_S,
        description="seconds until `defaultReward` is learnt, where no reward came; null: none is",
    )
    default_reward: Reward = Field(0.0, description="return units (0.01 is 1 %), net of costs")


class UpdateBody(Body):
    """What a policy earned."""

    policy_id: PolicyId
    reward: Reward = Field(description="return units (0.01 is 1 %), net of costs")
    context: Context = Field(default_factory=dict)
    decision_id: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="of the choice that earned it, as the choice said; null: `context` is learnt from, which "
        "then says something besides a symbol",
    )
    scope: Scope = "default"


class PolicyBody(Body):
    """A policy to be chosen, too."""

    policy_id: PolicyId
    scope: Scope = "default"
    expected_reward: Reward | None = Field(
        None, description="what a decision for it earns, return units, as you expect; null: 0 is expected"
    )
    confidence: float | None = Field(
        None,
        gt=0,
        le=MAX_CONFIDENCE,
        description="how many rewards `expectedReward` is worth; null where that is null",
    )


class FeatureBody(Body):
    """A number of contexts that a scope has beside those of all, and what is expected of it."""

    name: str = Field(
        pattern=f"^{FEATURE_NAME.pattern}$", description="as contexts and context inputs are to name it"
    )
    low: float = Field(description="the least value that can be meant")
    high: float = Field(description="the greatest value that can be meant")
    mean: float | None = Field(
        None, description="what is expected, worth 20 values; null: the middle of the range"
    )
    sd: float | None = Field(
        None, gt=0, description="standard deviation, likewise; null: a quarter of the range"
    )


class ScopeBody(Body):
    """A scope to begin, with features of its own."""

    scope: Scope
    features: list[FeatureBody] = Field(
        min_length=1, max_length=MOST_FEATURES, description="in the order of the vector, each name once"
    )


def features_in(body: ScopeBody) -> tuple[DeclaredFeature, ...]:
    """Return the features that a body declares.

    Raises
    ------
    ProblemError
        422 with each that is wrong.
    """
    features = tuple(
        DeclaredFeature(
            name=each.name,
            low=each.low,
            high=each.high,
            mean=(each.low + each.high) / 2 if each.mean is None else each.mean,
            sd=(each.high - each.low) / 4 if each.sd is None else each.sd,
        )
        for each in body.features
    )
    if faults := feature_faults(features):
        raise invalid([FieldError(fault.field, fault.message) for fault in faults])
    return features


def require_context(context: Mapping[str, Any], declared: Sequence[DeclaredFeature]) -> None:
    """Refuse what the router would ignore: a typo must not mean "missing"; `declared` are the scope's own.

    Raises
    ------
    ProblemError
        422 with each unknown name and each wrong value.
    """
    unknown = [unknown_fault(key, declared) for key in unknown_keys(context, declared)]
    faults = [*unknown, *value_faults(context, declared)]
    if faults:
        raise invalid([FieldError(fault.field, fault.message) for fault in faults])


def require_arms(arms: ArmsKnown) -> None:
    """Refuse what the router would ignore of what is known of each policy.

    Raises
    ------
    ProblemError
        422 with each unknown name and each wrong value.
    """
    faults = unknown_arm_faults(arms) + arm_faults(arms)
    if faults:
        raise invalid([FieldError(fault.field, fault.message) for fault in faults])
