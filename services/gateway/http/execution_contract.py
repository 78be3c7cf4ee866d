"""What OpenAPI says about the routes of executions, paper orders and their audit."""

from __future__ import annotations

from typing import Any, Final

from services.gateway.http import views
from services.gateway.http.contract import command_request, problems, reference, success
from services.gateway.http.execution_bodies import ExecuteBody, PaperOrderBody, SimulateBody
from services.gateway.http.execution_examples import (
    AUDIT,
    EXECUTION,
    PAPER_ORDER,
    PAPER_ORDER_CANCELED,
    SIMULATION,
    SIZING,
)
from services.gateway.http.problems import (
    ASKING,
    ASKING_WITHOUT_BODY,
    INVALID,
    NOT_READY,
    SHARE_TAKEN,
    TOO_MANY,
    UNKNOWN_NAME,
    UNKNOWN_SYMBOL,
    UNKNOWN_VENUE,
)

Answers = dict[int | str, dict[str, Any]]

SIMULATE_ANSWERS: Final[Answers] = {
    200: success("The plan, its cost and the alternatives.", reference(views.SIMULATION.struct), SIMULATION),
    **problems(UNKNOWN_SYMBOL, *ASKING),
}
EXECUTE_ANSWERS: Final[Answers] = {
    200: success(
        "The execution, when its plan is made or it has ended.", reference(views.EXECUTION.struct), EXECUTION
    ),
    **problems(UNKNOWN_SYMBOL, *ASKING),
}
RECORDS_ANSWERS: Final[Answers] = {
    200: success(
        "The newest first.", {"type": "array", "items": reference(views.EXECUTION.struct)}, [EXECUTION]
    ),
    **problems(UNKNOWN_SYMBOL, INVALID, NOT_READY),
}
SIZING_ANSWERS: Final[Answers] = {
    200: success("The last size of the symbol, or of all.", reference(views.SIZING.struct), SIZING),
    **problems(UNKNOWN_NAME, UNKNOWN_SYMBOL, INVALID, NOT_READY),
}
EXECUTION_ANSWERS: Final[Answers] = {
    200: success("As it stands.", reference(views.EXECUTION.struct), EXECUTION),
    **problems(UNKNOWN_NAME, INVALID, NOT_READY),
}
CANCEL_ANSWERS: Final[Answers] = {
    200: success("As it ended.", reference(views.EXECUTION.struct), EXECUTION),
    **problems(*ASKING_WITHOUT_BODY),
}
ORDER_ANSWERS: Final[Answers] = {
    200: success(
        "The order when its venue has it, and its fills.", reference(views.PAPER_ORDER.struct), PAPER_ORDER
    ),
    **problems(UNKNOWN_SYMBOL, UNKNOWN_VENUE, *ASKING),
}
CANCEL_ORDER_ANSWERS: Final[Answers] = {
    200: success("As it ended.", reference(views.PAPER_ORDER.struct), PAPER_ORDER_CANCELED),
    **problems(UNKNOWN_SYMBOL, *ASKING_WITHOUT_BODY),
}
AUDIT_ANSWERS: Final[Answers] = {
    200: success(
        "Its chain, recomputed, and its decisions, made again.", reference(views.AuditAnswer), AUDIT
    ),
    **problems(UNKNOWN_NAME, INVALID, SHARE_TAKEN, NOT_READY, TOO_MANY),
}

SIMULATE_REQUEST: Final = command_request(SimulateBody, {"symbol": "BTCUSDT", "size": 0.02})
EXECUTE_REQUEST: Final = command_request(ExecuteBody, {"symbol": "BTCUSDT"})
ORDER_REQUEST: Final = command_request(
    PaperOrderBody, {"symbol": "BTCUSDT", "side": "buy", "size": "0.02", "ordType": "market"}
)
