"""The routes that change something or ask: the rows of ``command_rows.py``, and what fits no row."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastapi import APIRouter, Request, Response

from libs.common import log
from libs.common.context_fields import unknown_keys
from libs.common.events import (
    CancelExecution,
    ExecutionCanceled,
    ExecutionPlanned,
    HaltTrading,
    PlanAndExecute,
    ResumeTrading,
    RetirePolicy,
    SetLimits,
)
from libs.common.topics import CONTROLS_KEY, ROUTER_COMMANDS
from services.gateway.asking.commands import ASKED, Command
from services.gateway.asking.idempotency import Reply
from services.gateway.asking.subscriptions import SubscriptionAnswer
from services.gateway.http import openapi, router_views, views
from services.gateway.http import requests as r
from services.gateway.http.command_rows import ROWS, Row
from services.gateway.http.command_rows import command as as_command
from services.gateway.http.executions import final, record_of, seen, soon
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import JSON, caller_of, json_answer, parts_of, ready_parts_of
from services.gateway.http.problems import NOT_SUBSCRIBED, UNKNOWN_SYMBOL, UNKNOWN_VENUE
from services.gateway.http.router_requests import require_context
from services.gateway.http.strict_json import StrictRoute, request_hash
from services.gateway.http.view import encode
from services.gateway.reading.books import book_id
from services.gateway.reading.known_names import features_of_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from libs.common.events import Command as ServiceCommand
    from libs.common.events import Event
    from services.gateway.http.view import View
    from services.gateway.reading.topic_views import GatewayViews

E = TypeVar("E", bound="Event")

TOPIC_OF: Final = {kind: topic for topic in ASKED for kind in topic.events}
CONTROLS: Final = (HaltTrading, ResumeTrading, SetLimits)
SUBSCRIPTIONS: Final = "/api/l2/subscriptions"
SCOPE: Final = "default"  # whose policies executions choose among

_log = logging.getLogger(__name__)
router = APIRouter(route_class=StrictRoute)


def _add(row: Row) -> None:
    post, asks = row.post, row.asks

    async def endpoint(request: Request, body: r.Body, key: r.IdempotencyKey = None) -> Response:
        def wish(name: str) -> ServiceCommand:
            if asks.context is not None:
                _require_context(request, *asks.context(body))
            return asks.command(body, name)

        return await commanded(request, key, asks.view, wish, lambda: asks.given(body), asks.shown)

    endpoint.__name__, endpoint.__doc__ = asks.command.__name__, asks.command.__doc__
    endpoint.__annotations__["body"] = asks.body
    router.post(
        post.path,
        tags=[post.tag],
        summary=post.summary,
        responses=answers(
            post.said, reference(asks.view), *row.problems, *openapi.TAKES_A_BODY, *openapi.ASKS
        ),
        openapi_extra=body_example(row.example),
    )(endpoint)


def body_example(example: Mapping[str, object]) -> dict[str, Any]:
    """Return what OpenAPI has of a body's example."""
    return {"requestBody": {"content": {JSON: {"example": example}}}}


for _row in ROWS:
    _add(_row)


@router.post(
    "/api/exec/plan-and-execute",
    tags=["executions"],
    summary="Trade on paper",
    responses=answers(
        "The execution, when its plan is made or it has ended.",
        reference(views.EXECUTION),
        *(UNKNOWN_SYMBOL, UNKNOWN_VENUE, *openapi.TAKES_A_BODY, *openapi.ASKS),
    ),
    openapi_extra=body_example({"symbol": "BTCUSDT"}),
)
async def plan_and_execute(
    request: Request,
    body: r.ExecuteBody,
    key: r.IdempotencyKey = None,
    wait: r.Wait = "plan",
    timeout_s: r.TimeoutS = 30.0,
) -> Response:
    """Choose a policy, size its signal within the risk budget, find a venue, plan, and fill on paper.

    `status` is `working`, or already `completed`, `canceled`, `failed` or `skipped`, with a `reason`. The
    order is split over up to `maxVenues` of the `venues` where that is expected to be cheaper: see `legs`.
    """
    parts = parts_of(request)

    async def execute(command: Command) -> Reply:
        symbol, venues = r.symbol_of(body.symbol), r.venue_ids_of(body.venues)
        _require_context(request, body.context, SCOPE)
        # The conversation is named after the execution, so that one id finds it in every log and topic.
        conversation = str(command.id)
        wish = as_command(PlanAndExecute, body, conversation, symbol=symbol, venues=venues)
        with log.correlated(conversation):
            _log.info("execution_asked", extra={"symbol": symbol, "request_id": command.correlation_id})
        planned = await _ask(request, wish, ExecutionPlanned, conversation)
        record = planned.record
        await seen(parts, record)
        if wait == "final" and not record.status.final:
            record = await final(parts, record, timeout_s)
        return Reply(200, encode(views.EXECUTION(record)))

    async def wait_for_the_end(command: Command) -> Reply:
        with parts.commands.waiters.held(command.address):  # before anything is executed
            return await execute(command)

    return await once(request, key, execute if wait == "plan" else wait_for_the_end)


@router.post(
    SUBSCRIPTIONS,
    tags=["books"],
    summary="Start a book",
    status_code=201,
    responses={
        201: openapi.success("The l2 service has taken it up.", reference(SubscriptionAnswer)),
        **answers(
            "It was subscribed already.",
            reference(SubscriptionAnswer),
            *(*openapi.NAMES_A_BOOK, *openapi.TAKES_A_BODY, *openapi.WAITS),
        ),
    },
    openapi_extra=body_example({"venue": "binance", "symbol": "BTCUSDT"}),
)
async def subscribe(request: Request, body: r.SubscriptionBody, key: r.IdempotencyKey = None) -> Response:
    """Ask for a book, and answer when the l2 service first speaks of it."""
    book = book_id(body.venue, body.symbol)
    subscriptions = parts_of(request).subscriptions
    return await once(request, key, lambda command: subscriptions.subscribe(book, command))


@router.delete(
    SUBSCRIPTIONS + "/{venue}/{symbol:path}",
    tags=["books"],
    summary="Stop a book",
    responses=answers(
        "The l2 service has dropped it.",
        reference(SubscriptionAnswer),
        *(*openapi.NAMES_A_BOOK, NOT_SUBSCRIBED, *openapi.WAITS),
    ),
)
async def unsubscribe(request: Request, venue: r.VenuePath, symbol: r.SymbolPath) -> Response:
    """End a book, and answer when the l2 service has dropped it."""
    book = book_id(venue, symbol)
    subscriptions = parts_of(request).subscriptions
    return await once(request, None, lambda command: subscriptions.unsubscribe(book, command))


@router.delete(
    "/api/router/policies/{policy_id}",
    tags=["router"],
    summary="Retire a policy",
    responses=answers("The policies now.", reference(router_views.POLICIES), *openapi.ASKS),
)
async def retire_policy(
    request: Request, policy_id: r.PolicyPath, scope: r.ScopeOfPolicy = "default"
) -> Response:
    """Choose a policy no more; its late rewards still count, and the others keep what they learnt."""

    def wish(name: str) -> RetirePolicy:
        return RetirePolicy(command_id=name, scope=scope, policy_id=policy_id)

    return await commanded(request, None, router_views.POLICIES, wish)


@router.delete(
    "/api/exec/{execution_id}",
    tags=["executions"],
    summary="Cancel an execution",
    responses=answers("As it ended.", reference(views.EXECUTION), *openapi.ASKS),
)
async def cancel(request: Request, execution_id: r.ExecutionPath) -> Response:
    """End an execution now; what is filled stays. One that has ended is told as it ended."""
    record = record_of(ready_parts_of(request), execution_id)
    name = record.execution_id

    async def execute(command: Command) -> Reply:
        wish = CancelExecution(command_id=str(command.id), symbol=record.symbol, execution_id=name)
        event = await _ask(request, wish, ExecutionCanceled, name)
        return Reply(200, encode(views.EXECUTION(event.record)))

    return await once(request, None, execute)


@router.delete(
    "/api/paper/orders/{order_id}",
    tags=["executions"],
    summary="Cancel a paper order",
    responses=answers("As it ended.", reference(views.PAPER_ORDER), UNKNOWN_SYMBOL, *openapi.ASKS),
)
async def cancel_order(request: Request, order_id: r.OrderPath, symbol: r.SymbolOfOrder) -> Response:
    """Take what is left of a resting order off its venue."""
    pair = r.symbol_of(symbol)

    def wish(name: str) -> CancelExecution:
        return CancelExecution(command_id=name, symbol=pair, execution_id=order_id)

    return await commanded(request, None, views.PAPER_ORDER, wish)


def _require_context(request: Request, context: Mapping[str, float | str], scope: str) -> None:
    """Refuse a context that names what neither all contexts have nor this scope's."""
    parts = ready_parts_of(request) if unknown_keys(context) else parts_of(request)
    require_context(context, features_of_scope(parts.views, scope, parts.new_features))


async def commanded(
    request: Request,
    key: str | None,
    view: View[Any],
    wish: Callable[[str], ServiceCommand],
    given: Callable[[], dict[str, object]] = dict,
    shown: Callable[[GatewayViews, Any], bool] | None = None,
) -> Response:
    """Answer with the view of the event that answers a command, which `wish` makes of its id.

    Where `shown` is given, the answer waits a moment until the views of other routes know of it too.
    """

    async def execute(command: Command) -> Reply:
        event = await _ask(request, wish(str(command.id)), view.kind)
        if shown is not None:
            parts = parts_of(request)
            await soon(parts, lambda: shown(parts.views, event))
        return Reply(200, encode(view(event, **given())))

    return await once(request, key, execute)


async def once(request: Request, key: str | None, execute: Callable[[Command], Awaitable[Reply]]) -> Response:
    """Answer what changes something: once per Idempotency-Key, in a place of those that wait.

    Raises
    ------
    ProblemError
        503 if all places are taken, 429 if this address has its share, and what `Idempotency.once` raises.

    Notes
    -----
    Of a request that failed only its id is left: without the hash another request under its key would get
    the first one's answer from the service.
    """
    parts, path, address = parts_of(request), request.scope["path"], caller_of(request)
    hashed = "" if key is None else request_hash(request.method, path, await request.body())
    repeatable = None if key is None else f"{key} {hashed}"
    new_id = parts.commands.new_id(f"{request.method} {path}", repeatable)
    command = Command(new_id, request.scope["correlation_id"], address)
    with parts.commands.places.held(address):
        done = await parts.idempotency.once(key, hashed, command, lambda: execute(command))
    return json_answer(done.status, done.body, {"idempotency-replayed": "true"} if done.replayed else None)


async def _ask(request: Request, wish: ServiceCommand, kind: type[E], conversation: str | None = None) -> E:
    """Send a command, and return its answer; the conversation is the request's unless it is named."""
    parts, topic = parts_of(request), TOPIC_OF[type(wish)]
    key: str = CONTROLS_KEY if isinstance(wish, CONTROLS) else getattr(wish, topic.key)
    if topic is ROUTER_COMMANDS:
        parts.new_scopes.require(key, caller_of(request))
    correlation_id = conversation or request.scope["correlation_id"]
    event = await parts.commands.ask(topic, key.encode(), wish, correlation_id)
    if not isinstance(event, kind):
        raise TypeError(f"{type(wish).__name__} was answered with a {type(event).__name__}")
    return event
