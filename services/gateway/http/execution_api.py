"""The routes of executions, paper orders and their audit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from libs.common import log
from libs.common.events import (
    CancelExecution,
    ExecutionCanceled,
    ExecutionPlanned,
    ExecutionSimulated,
    PaperOrderPlaced,
    PlanAndExecute,
    SimulateExecution,
    SubmitPaperOrder,
)
from libs.common.topics import EXECUTION_COMMANDS
from services.gateway.http import execution_contract as contract
from services.gateway.http.bodies import SYMBOL_SAID
from services.gateway.http.execution_bodies import ExecuteBody, PaperOrderBody, SimulateBody
from services.gateway.http.numerals import FRACTION, WHOLE
from services.gateway.http.presence import while_there
from services.gateway.http.problems import (
    INVALID,
    UNKNOWN_NAME,
    FieldError,
    ProblemError,
)
from services.gateway.http.routing import answer_post, caller_of, command_place, json_answer, parts_of
from services.gateway.http.symbols import symbol_of, venue_id_of
from services.gateway.http.view import encode
from services.gateway.http.views import EXECUTION, PAPER_ORDER, SIMULATION, SIZING

if TYPE_CHECKING:
    from msgspec import Struct

    from libs.common.events import ExecutionRecord, TimeInForce
    from services.gateway.asking.commands import Command
    from services.gateway.http.routing import Parts

MAX_RECORDS: Final = 500
_SHOWN_S: Final = 1.0

UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
LEAST_OF_ID: Final = 8  # of a UUID, as `bookrunner executions` shows it
MOST_LISTED: Final = 10
ExecutionId = Annotated[
    str,
    Path(
        description="UUID of the execution: from the answer to its POST, or from GET /api/exec/records; of "
        f"the newest ones {LEAST_OF_ID} signs of its beginning, or more, do where no other begins so"
    ),
]
SymbolQuery = Annotated[str | None, Query(max_length=40, description=f"only of this one: {SYMBOL_SAID}")]

_log = logging.getLogger(__name__)

router = APIRouter()


@router.post(
    "/api/exec/simulate",
    tags=["executions"],
    summary="What would it cost?",
    responses=contract.SIMULATE_ANSWERS,
    openapi_extra=contract.SIMULATE_REQUEST,
)
async def simulate(request: Request) -> Response:
    """Plan an order at the venue where plan and taker fee together are cheapest now; changes nothing."""

    async def ask(body: SimulateBody, command: Command) -> Struct:
        symbol = symbol_of(body.symbol)
        wish = SimulateExecution(
            command_id=str(command.id), symbol=symbol, size=body.size, side=body.side, urgency=body.urgency
        )
        answer = await parts_of(request).commands.ask(
            EXECUTION_COMMANDS, symbol.encode(), wish, command.correlation_id
        )
        assert isinstance(answer, ExecutionSimulated)  # noqa: S101 -- nothing else answers it, but a refusal
        return SIMULATION(answer)

    return await answer_post(request, SimulateBody, ask)


@router.post(
    "/api/exec/plan-and-execute",
    tags=["executions"],
    summary="Trade on paper",
    responses=contract.EXECUTE_ANSWERS,
    openapi_extra=contract.EXECUTE_REQUEST,
)
async def plan_and_execute(
    request: Request,
    wait: Annotated[Literal["plan", "final"], Query(description="answer when it has ended")] = "plan",
    timeout_s: Annotated[
        float,
        FRACTION,
        Query(alias="timeoutS", gt=0, le=300, description="of wait=final; then it is told as it is"),
    ] = 30.0,
) -> Response:
    """Choose a policy, size its signal within the risk budget, find a venue, plan, and fill on paper.

    `status` is `working`, or already `completed`, `canceled`, `failed` or `skipped`, with a `reason`.
    """
    parts = parts_of(request)

    async def execute(body: ExecuteBody, command: Command) -> Struct:
        symbol = symbol_of(body.symbol)
        wish = PlanAndExecute(
            command_id=str(command.id), symbol=symbol, urgency=body.urgency, context=body.context
        )
        # The conversation is named after the execution, so that one id finds it in every log and topic.
        conversation = wish.command_id
        with log.correlated(conversation):
            _log.info("execution_asked", extra={"symbol": symbol, "request_id": command.correlation_id})
        answer = await parts.commands.ask(EXECUTION_COMMANDS, symbol.encode(), wish, conversation)
        assert isinstance(answer, ExecutionPlanned)  # noqa: S101 -- nothing else answers it, but a refusal
        await _shown(parts, answer.record)
        if wait == "plan" or answer.record.status.final:
            return EXECUTION(answer.record)
        return EXECUTION(await _final(parts, answer.record, timeout_s))

    async def ask(body: ExecuteBody, command: Command) -> Struct:
        if wait == "plan":
            return await execute(body, command)
        with parts.commands.waiters.held(command.address):  # before anything is executed
            return await execute(body, command)

    return await answer_post(request, ExecuteBody, ask)


@router.get(
    "/api/exec/records",
    tags=["executions"],
    summary="The newest executions",
    responses=contract.RECORDS_ANSWERS,
)
async def records(
    request: Request,
    symbol: SymbolQuery = None,
    limit: Annotated[int, WHOLE, Query(ge=1, le=MAX_RECORDS, description="how many at most")] = 50,
) -> Response:
    """Return executions as they stand."""
    views = parts_of(request).views
    views.require_ready()
    found = views.records.newest(None if symbol is None else symbol_of(symbol))
    return json_answer(200, encode([EXECUTION(record) for record, _ in zip(found, range(limit))]))  # noqa: B905 -- the shorter ends it


@router.get(
    "/api/exec/sizing/last",
    tags=["executions"],
    summary="The last sizing",
    responses=contract.SIZING_ANSWERS,
)
async def last_sizing(request: Request, symbol: SymbolQuery = None) -> Response:
    """Return how the last signal became a size."""
    views = parts_of(request).views
    views.require_ready()
    wanted = None if symbol is None else symbol_of(symbol)
    found = [each for each in views.sizings.items.values() if wanted in (None, each.symbol)]
    if not found:
        raise ProblemError(UNKNOWN_NAME, f"Nothing was sized{f' of {wanted}' if wanted else ''} yet.")
    return json_answer(200, encode(SIZING(max(found, key=lambda each: each.ts))))


@router.get(
    "/api/exec/{execution_id}",
    tags=["executions"],
    summary="One execution",
    responses=contract.EXECUTION_ANSWERS,
)
async def execution(request: Request, execution_id: ExecutionId) -> Response:
    """Return an execution as it progresses."""
    return json_answer(200, encode(EXECUTION(_record(parts_of(request), execution_id))))


@router.delete(
    "/api/exec/{execution_id}",
    tags=["executions"],
    summary="Cancel an execution",
    responses=contract.CANCEL_ANSWERS,
)
async def cancel(request: Request, execution_id: ExecutionId) -> Response:
    """End an execution now; what is filled stays. One that has ended is told as it ended."""
    parts = parts_of(request)
    record = _record(parts, execution_id)
    name = record.execution_id
    answer = await _cancel(request, record.symbol, name, conversation=name)
    assert isinstance(answer, ExecutionCanceled)  # noqa: S101 -- nothing else answers it, but a refusal
    return json_answer(200, encode(EXECUTION(answer.record)))


@router.post(
    "/api/paper/orders",
    tags=["executions"],
    summary="One paper order",
    responses=contract.ORDER_ANSWERS,
    openapi_extra=contract.ORDER_REQUEST,
)
async def paper_order(request: Request) -> Response:
    """Fill an order against the venue's LIVE book, as executions do.

    A size under the venue's minimum is 422, and so is one beyond what is held (sell) or what the cash pays
    (buy), less what other open orders of the symbol have reserved; the detail names the most that is right.
    """

    async def ask(body: PaperOrderBody, command: Command) -> Struct:
        symbol = symbol_of(body.symbol)
        default: TimeInForce = "gtc" if body.ordType == "limit" else "ioc"
        wish = SubmitPaperOrder(
            command_id=str(command.id),
            symbol=symbol,
            side=body.side,
            order_qty=body.size,
            ord_type=body.ordType,
            price=body.limit,
            time_in_force=body.timeInForce or default,
            venue=None if body.venue is None else venue_id_of(body.venue),
        )
        answer = await parts_of(request).commands.ask(
            EXECUTION_COMMANDS, symbol.encode(), wish, command.correlation_id
        )
        assert isinstance(answer, PaperOrderPlaced)  # noqa: S101 -- nothing else answers it, but a refusal
        return PAPER_ORDER(answer)

    return await answer_post(request, PaperOrderBody, ask)


@router.delete(
    "/api/paper/orders/{order_id}",
    tags=["executions"],
    summary="Cancel a paper order",
    responses=contract.CANCEL_ORDER_ANSWERS,
)
async def cancel_order(
    request: Request,
    order_id: Annotated[
        str, Path(pattern=UUID, description="UUID of the order, as the answer to its POST said")
    ],
    symbol: Annotated[
        str, Query(max_length=40, description=f"of the order: {SYMBOL_SAID}", examples=["BTCUSDT"])
    ],
) -> Response:
    """Take what is left of a resting order off its venue."""
    answer = await _cancel(request, symbol_of(symbol), order_id, conversation=request.scope["correlation_id"])
    assert isinstance(answer, PaperOrderPlaced)  # noqa: S101 -- nothing else answers it, but a refusal
    return json_answer(200, encode(PAPER_ORDER(answer)))


@router.get(
    "/api/audit/{execution_id}",
    tags=["executions"],
    summary="Verify an execution",
    responses=contract.AUDIT_ANSWERS,
)
async def audit(request: Request, execution_id: ExecutionId) -> Response:
    """Return the hash chain of an execution; `verified` says that nothing in it was altered.

    Signal, sizing, plan, shortfall and reward are computed again from the inputs that the chain holds.
    """
    parts = parts_of(request)
    parts.views.require_ready()
    execution_id = _named(parts, execution_id)
    record = parts.views.records.items.get(execution_id.encode())
    work = parts.audit_log.checked(execution_id, record, caller_of(request))
    return json_answer(200, await while_there(request.receive, work))


def _record(parts: Parts, execution_id: str) -> ExecutionRecord:
    parts.views.require_ready()
    record = parts.views.records.items.get(_named(parts, execution_id).encode())
    if record is None:
        detail = f"No execution {execution_id[:80]!r} is among the newest; GET /api/exec/records lists them."
        raise ProblemError(UNKNOWN_NAME, detail)
    return record


def _named(parts: Parts, text: str) -> str:
    """Return the whole id of what may be the beginning of one of the newest; else the text as it is.

    Raises
    ------
    ProblemError
        422 if several begin so.
    """
    found = parts.views.records.named(text.lower()) if len(text) >= LEAST_OF_ID else []
    if len(found) > 1:
        listed = ", ".join(found[:MOST_LISTED])
        detail = (
            f"{len(found)} executions begin with {text[:80]!r}: {listed}{', …' * (len(found) > MOST_LISTED)}."
        )
        raise ProblemError(INVALID, detail, errors=(FieldError("execution_id", "write more of the id"),))
    return found[0] if found else text


async def _shown(parts: Parts, record: ExecutionRecord) -> None:
    """Wait until the other routes tell of this execution too: their topics may come a little later."""
    key, views = record.execution_id.encode(), parts.views

    def there() -> bool:
        sizing = views.sizings.items.get(record.symbol.encode())
        sized = record.sizing is None or (sizing is not None and sizing.ts >= record.sizing.ts)
        return sized and key in views.records.items

    with contextlib.suppress(TimeoutError):  # the answer is true nevertheless
        async with asyncio.timeout(_SHOWN_S):
            await parts.decisions.until(there)


async def _final(parts: Parts, record: ExecutionRecord, timeout_s: float) -> ExecutionRecord:
    key = record.execution_id.encode()

    def ended() -> bool:
        found = parts.views.records.items.get(key)
        return found is not None and found.status.final

    try:
        async with asyncio.timeout(timeout_s):
            await parts.decisions.until(ended)
    except TimeoutError:
        pass  # it is told as it is
    return parts.views.records.items.get(key, record)


async def _cancel(request: Request, symbol: str, name: str, conversation: str) -> object:
    commands = parts_of(request).commands
    command_id = commands.new_id(f"DELETE {request.scope['path']}", None)
    wish = CancelExecution(command_id=str(command_id), symbol=symbol, execution_id=name)
    with command_place(request):
        return await commands.ask(EXECUTION_COMMANDS, symbol.encode(), wish, conversation)
