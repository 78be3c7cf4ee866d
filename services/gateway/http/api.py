"""The routes: what is asked, taken apart, and what answers it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from libs.common.log import correlated
from services.gateway.http import contract, docs_api, portfolio_api, router_api, stream_api
from services.gateway.http.allowed_methods import methods_at
from services.gateway.http.bodies import (
    SYMBOL_SAID,
    VENUE_SAID,
    SubscriptionBody,
    field_errors,
    idempotency_key,
    invalid,
    parse_body,
    request_hash,
)
from services.gateway.http.edge import FAILURE_TOLD
from services.gateway.http.execution_api import router as execution_router
from services.gateway.http.guard_contract import describe_guards
from services.gateway.http.numerals import WHOLE
from services.gateway.http.presence import while_there
from services.gateway.http.problems import (
    INTERNAL,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_JSON,
    UNKNOWN_ROUTE,
    ProblemError,
)
from services.gateway.http.routing import (
    Parts,
    caller_of,
    command_of,
    command_place,
    json_answer,
    json_body,
    parts_of,
    reply_answer,
)
from services.gateway.http.venues_api import router as venues_router
from services.gateway.http.view import encode
from services.gateway.http.views import DEFAULT_DEPTH, MAX_DEPTH
from services.gateway.reading.books import book_id
from services.gateway.reading.readiness import HealthAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.routing import BaseRoute


MAX_AT: Final = 10**14  # ms; microseconds and nanoseconds lie beyond
VERSION: Final = "1"
SUBSCRIPTIONS: Final = "/api/l2/subscriptions"

VenuePath = Annotated[str, Path(description=VENUE_SAID, examples=["binance"])]
SymbolPath = Annotated[str, Path(description=SYMBOL_SAID, examples=["BTCUSDT"])]

_log = logging.getLogger(__name__)
router = APIRouter()


def create_api(
    parts: Parts,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    *,
    token_required: bool,
) -> FastAPI:
    """Return the FastAPI app with all routes; problems are its only other answers."""
    app = FastAPI(
        title="Bookrunner",
        version=VERSION,
        description=contract.DESCRIPTION,
        openapi_tags=contract.TAGS,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.parts = parts
    for routes in _one_per_service():
        app.include_router(routes)
    app.include_router(docs_api.router)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _failed)
    app.openapi = lambda: _openapi(app, token_required=token_required)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


@router.get(
    "/api/l2",
    tags=["books"],
    summary="Every book",
    responses=contract.BOOKS_ANSWERS,
)
async def list_books(request: Request) -> Response:
    """Return the state, best prices and counts of every subscribed book."""
    parts = parts_of(request)
    return json_answer(200, encode(parts.books.summaries(parts.clock())))


@router.get(
    "/api/l2/{venue}/{symbol:path}",
    tags=["books"],
    summary="One book",
    responses=contract.BOOK_ANSWERS,
)
async def get_book(
    request: Request,
    venue: VenuePath,
    symbol: SymbolPath,
    depth: Annotated[int, WHOLE, Query(ge=1, le=MAX_DEPTH, description="levels a side")] = DEFAULT_DEPTH,
    at: Annotated[
        int | None,
        WHOLE,
        Query(
            ge=0,
            lt=MAX_AT,
            description="show the book as it was at this moment, inclusive: ms since 1970 UTC, by the clock "
            "of `receivedTs`",
            examples=[contract.BOOK_EXAMPLE["receivedTs"]],
        ),
    ] = None,
) -> Response:
    """Return the best levels of a book, as it is or as it was.

    A book that was LIVE and is not now answers 200 with its last proven top, and `state` and `reason` say so:
    use it only while `state` is LIVE. A book that never synchronised is 503.

    With `at`, the book is rebuilt from its log and holds every message whose `receivedTs` is not after that
    millisecond. `at` stands in the answer, `features` is null, and `state` is LIVE: a moment at which the
    book is not proven to have been LIVE is 404, with the nearest at which it is (`nearby`) or the range that
    is kept (`retained`). What was received a moment ago may still be on its way to the log.
    """
    parts = parts_of(request)
    book = book_id(venue, symbol)
    if at is not None:
        work = parts.past_books.body(book, depth, at, caller_of(request))
        return json_answer(200, await while_there(request.receive, work))
    page = parts.books.page(book, depth, parts.clock())
    return json_answer(200, page.body)


@router.post(
    SUBSCRIPTIONS,
    tags=["books"],
    summary="Start a book",
    status_code=201,
    responses=contract.SUBSCRIBE_ANSWERS,
    openapi_extra=contract.SUBSCRIBE_REQUEST,
)
async def subscribe(request: Request) -> Response:
    """Ask for a book, and answer when the l2 service first speaks of it."""
    key = idempotency_key(request.headers.get("idempotency-key"))
    raw = await json_body(request)
    body = parse_body(SubscriptionBody, raw)
    book = book_id(body.venue, body.symbol)
    commands = parts_of(request).commands
    hashed = request_hash("POST", SUBSCRIPTIONS, raw)
    command = command_of(request, f"POST {SUBSCRIPTIONS}", key, hashed)
    with command_place(request):
        done = await commands.once(key, hashed, command, lambda: commands.subscribe(book, command))
    return reply_answer(done)


@router.delete(
    SUBSCRIPTIONS + "/{venue}/{symbol:path}",
    tags=["books"],
    summary="Stop a book",
    responses=contract.UNSUBSCRIBE_ANSWERS,
)
async def unsubscribe(request: Request, venue: VenuePath, symbol: SymbolPath) -> Response:
    """End a book, and answer when the l2 service has dropped it."""
    command = command_of(request, f"DELETE {SUBSCRIPTIONS}")
    book = book_id(venue, symbol)
    with command_place(request):
        return reply_answer(await parts_of(request).commands.unsubscribe(book, command))


@router.get(
    "/healthz",
    tags=["operations"],
    summary="Is the process alive?",
    responses=contract.HEALTHZ_ANSWERS,
)
async def healthz() -> Response:
    """Answer without looking at anything."""
    return json_answer(200, encode(HealthAnswer(status="alive")))


@router.get(
    "/readyz",
    tags=["operations"],
    summary="May it be asked?",
    responses=contract.READYZ_ANSWERS,
)
async def readyz(request: Request) -> Response:
    """Return 200 when every route would do its work, else 503 with what is missing, by name.

    Kafka answers, every view has caught up, every partition of every service is worked on, and the risk
    budget is there; at the start also the first measurement of each book. A book that is not LIVE is told
    under `degraded`, and does not make the answer 503.
    """
    return json_answer(200, encode(parts_of(request).readiness()))


@router.get(
    "/metrics",
    tags=["operations"],
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses=contract.METRICS_ANSWERS,
)
async def metrics(request: Request) -> Response:
    """Return counts, latencies and lags in the Prometheus text format."""
    body, media_type = parts_of(request).metrics()
    return Response(body, headers={"content-type": media_type})


@router.get(
    "/asyncapi.json",
    tags=["operations"],
    summary="Every topic and message, as AsyncAPI 3",
    responses=contract.ASYNCAPI_ANSWERS,
)
async def asyncapi_document(request: Request) -> Response:
    """Return the document that subscribers of the topics read; its schemas are JSON Schema."""
    return json_answer(200, parts_of(request).asyncapi)


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 -- registered for nothing else
    return Response(error.body(), error.status, dict(error.headers), MEDIA_TYPE)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for nothing else
    return await _problem(request, invalid(field_errors(error.errors(), skip=1)))  # skips "query"


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for nothing else
    path = request.scope["path"][:200]
    if error.status_code == METHOD_NOT_ALLOWED.status:
        problem = ProblemError(METHOD_NOT_ALLOWED, f"{path} cannot be asked by {request.method[:20]}.")
        answer = await _problem(request, problem)
        answer.headers["allow"] = ", ".join(methods_at(request.scope["path"], _routes_of(request.app)))
        return answer
    return await _problem(request, ProblemError(UNKNOWN_ROUTE, f"There is no {path}; see /docs."))


def _routes_of(app: FastAPI) -> list[BaseRoute]:
    return [*app.routes, *(route for each in (*_one_per_service(), docs_api.router) for route in each.routes)]


async def _failed(request: Request, error: Exception) -> Response:
    request.scope[FAILURE_TOLD] = True
    with correlated(request.scope["correlation_id"]):
        facts = {"method": request.method, "path": request.scope["path"][:200]}
        _log.error("request_failed", exc_info=error, extra=facts)
    return await _problem(
        request, ProblemError(INTERNAL, "The gateway failed on this request; its log says why.")
    )


async def _left(request: Request, _error: Exception) -> Response:
    return await _problem(request, ProblemError(NOT_JSON, "The connection closed before the body's end."))


def _openapi(app: FastAPI, *, token_required: bool) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        document.setdefault("components", {})["schemas"] = _united(
            contract.components(), router_api.components()
        )
        _tell_nulls(document)
        contract.show_examples(document)
        describe_guards(document, token_required=token_required)
        app.openapi_schema = document
    return app.openapi_schema


def _one_per_service() -> tuple[APIRouter, ...]:
    return router, stream_api.router, venues_router, router_api.router, portfolio_api.router, execution_router


def _tell_nulls(document: dict[str, Any]) -> None:
    """Say again what the routes say of their answers: FastAPI leaves every null of an example out."""
    for route in (each for routes in _one_per_service() for each in routes.routes):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                answers = document["paths"][route.path_format][method.lower()]["responses"]
                for status, said in route.responses.items():
                    answers[str(status)] = said


def _united(schemas: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Return all schemas; two types of one name would pass for each other."""
    for name in schemas.keys() & others.keys():
        if schemas[name] != others[name]:
            raise ValueError(f"two types of the OpenAPI document are called {name}: rename one")
    return schemas | others
