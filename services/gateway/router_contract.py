"""What OpenAPI says about the router's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.gateway.contract import problems, reference, success
from services.gateway.decision_examples import CHOICE, POLICY_ADDED, POLICY_RETIRED, REWARD, SNAPSHOT
from services.gateway.problems import (
    ASKING,
    ASKING_WITHOUT_BODY,
    INVALID,
    NOT_READY,
)
from services.gateway.router_answers import ChoiceAnswer, PoliciesAnswer, RewardAnswer, SnapshotAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.context_fields import ContextField

CHOOSE_EXAMPLE: Final = {"context": {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}}
UPDATE_EXAMPLE: Final = {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}}
POLICY_EXAMPLE: Final = {"policyId": "p_carry"}
Answers = dict[int | str, dict[str, Any]]
CHOOSE_ANSWERS: Final[Answers] = {
    200: success("The choice.", reference(ChoiceAnswer), CHOICE),
    **problems(*ASKING),
}
UPDATE_ANSWERS: Final[Answers] = {
    200: success("It is learnt, or was already.", reference(RewardAnswer), REWARD),
    **problems(*ASKING),
}
POLICY_ANSWERS: Final[Answers] = {
    200: success("The policies now.", reference(PoliciesAnswer), POLICY_ADDED),
    **problems(*ASKING),
}
RETIRE_ANSWERS: Final[Answers] = {
    200: success("The policies now.", reference(PoliciesAnswer), POLICY_RETIRED),
    **problems(*ASKING_WITHOUT_BODY),
}
SNAPSHOT_ANSWERS: Final[Answers] = {
    200: success("The scope as it is.", reference(SnapshotAnswer), SNAPSHOT),
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
