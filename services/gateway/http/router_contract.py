"""What OpenAPI says about the router's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.gateway.http import views
from services.gateway.http.contract import problems, reference, success
from services.gateway.http.decision_examples import (
    CHOICE,
    POLICY_ADDED,
    POLICY_NOT_REGISTERED,
    POLICY_RETIRED,
    REGISTERED_POLICIES,
    REWARD,
    SNAPSHOT,
)
from services.gateway.http.problem_examples import example_of
from services.gateway.http.problems import (
    ASKING,
    ASKING_WITHOUT_BODY,
    INVALID,
    MEDIA_TYPE,
    NOT_READY,
    UNAVAILABLE,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.context_fields import ContextField

CHOOSE_EXAMPLE: Final = {"context": {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}}
UPDATE_EXAMPLE: Final = {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}}
POLICY_EXAMPLE: Final = {"policyId": "p_obi"}
Answers = dict[int | str, dict[str, Any]]


def _add_answers() -> Answers:
    said: Answers = {200: success("The policies now.", reference(views.POLICIES.struct), POLICY_ADDED)}
    said |= problems(*ASKING)
    wrong = said[INVALID.status]
    wrong["description"] += "; or: Nobody has registered the policy"
    wrong["content"][MEDIA_TYPE]["examples"]["not-registered"] = {
        "value": example_of(INVALID) | POLICY_NOT_REGISTERED
    }
    return said


CHOOSE_ANSWERS: Final[Answers] = {
    200: success("The choice.", reference(views.CHOICE.struct), CHOICE),
    **problems(*ASKING),
}
UPDATE_ANSWERS: Final[Answers] = {
    200: success("It is learnt, or was already.", reference(views.REWARD.struct), REWARD),
    **problems(*ASKING),
}
POLICY_ANSWERS: Final = _add_answers()
RETIRE_ANSWERS: Final[Answers] = {
    200: success("The policies now.", reference(views.POLICIES.struct), POLICY_RETIRED),
    **problems(*ASKING_WITHOUT_BODY),
}
REGISTERED_ANSWERS: Final[Answers] = {
    200: success(
        "By name.", {"type": "array", "items": reference(views.REGISTERED_POLICY.struct)}, REGISTERED_POLICIES
    ),
    **problems(NOT_READY, UNAVAILABLE),
}
SNAPSHOT_ANSWERS: Final[Answers] = {
    200: success("The scope as it is.", reference(views.SNAPSHOT.struct), SNAPSHOT),
    **problems(INVALID, NOT_READY),
}


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
    regime = {"type": "string", "enum": list(regimes), "description": "of the market, as you see it"}
    return {
        "type": "object",
        "description": "what is known of the market, by name; anything may be left out",
        "properties": {"regime": regime, "symbol": symbol, **numbers},
        "additionalProperties": False,
    }
