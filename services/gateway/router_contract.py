"""What OpenAPI says about the router's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.gateway.contract import IDEMPOTENCY_HEADER, problems, reference, success
from services.gateway.problems import (
    ASKING,
    INVALID,
    NOT_READY,
)
from services.gateway.router_answers import ChoiceAnswer, PoliciesAnswer, RewardAnswer, SnapshotAnswer
from services.gateway.routing import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.context_fields import ContextField

CHOOSE_EXAMPLE: Final = {"context": {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}}
UPDATE_EXAMPLE: Final = {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}}
POLICY_EXAMPLE: Final = {"policyId": "p_carry"}
CHOICE_EXAMPLE: Final = {
    "policyId": "p_sma",
    "score": 0.0031,
    "explorationBonus": 0.0007,
    "decisionId": "0f9c1b1e-7a39-5c0e-9f4b-0d1f3a0c7a11",
    "propensity": 0.41,
    "scores": {"p_sma": 0.0031, "p_flat": -0.0002},
}
REWARD_EXAMPLE: Final = {"policyId": "p_sma", "updates": 12, "meanReward": 0.0017, "counted": True}
POLICIES_EXAMPLE: Final = {"policyId": "p_carry", "policies": ["p_sma", "p_carry"], "changed": True}
SNAPSHOT_EXAMPLE: Final = {
    "lastChoice": "p_sma",
    "sampledScores": {"p_sma": 0.0031, "p_flat": -0.0002},
    "features": {"bias": 1.0, "regime.bull": 1.0},
    "policies": [{"policyId": "p_sma", "updates": 12, "meanReward": 0.0017}],
}

Answers = dict[int | str, dict[str, Any]]
CHOOSE_ANSWERS: Final[Answers] = {
    200: success("The choice.", reference(ChoiceAnswer), CHOICE_EXAMPLE),
    **problems(*ASKING),
}
UPDATE_ANSWERS: Final[Answers] = {
    200: success("It is learnt, or was already.", reference(RewardAnswer), REWARD_EXAMPLE),
    **problems(*ASKING),
}
POLICY_ANSWERS: Final[Answers] = {
    200: success("The policies now.", reference(PoliciesAnswer), POLICIES_EXAMPLE),
    **problems(*ASKING),
}
SNAPSHOT_ANSWERS: Final[Answers] = {
    200: success("The scope as it is.", reference(SnapshotAnswer), SNAPSHOT_EXAMPLE),
    **problems(INVALID, NOT_READY),
}


def request(body: type, example: Mapping[str, object]) -> dict[str, Any]:
    """Return what OpenAPI says of a request with this body."""
    content = {JSON: {"schema": reference(body), "example": dict(example)}}
    return {"parameters": [IDEMPOTENCY_HEADER], "requestBody": {"required": True, "content": content}}


def context_schema(fields: Sequence[ContextField], regimes: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a context: every key may be left out."""
    numbers = {
        field.name: {
            "type": "number",
            "minimum": field.low,
            "maximum": field.high,
            "description": field.meaning,
        }
        for field in fields
    }
    symbol = {"type": "string", "description": "like BTC-USDT: fills what is missing with live values"}
    return {
        "type": "object",
        "properties": {"regime": {"type": "string", "enum": list(regimes)}, "symbol": symbol, **numbers},
        "additionalProperties": False,
    }
