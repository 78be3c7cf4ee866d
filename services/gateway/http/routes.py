"""The HTTP app: all routes, those of its own operation, and the answers to what no route takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from libs.common.log import correlated
from libs.performance.answer import Performance
from services.gateway.asking.simulator import Fault, FaultsAnswer, SimulatedExchangesAnswer
from services.gateway.asking.subscriptions import SubscriptionAnswer
from services.gateway.http import (
    command_routes,
    control_routes,
    docs,
    moment_routes,
    openapi,
    page,
    policy_reads,
    policy_routes,
    policy_views,
    read_routes,
    record_routes,
    router_views,
    system_routes,
    views,
    why_routes,
)
from services.gateway.http import problems as p
from services.gateway.http.assets import HEADERS, asset_answer
from services.gateway.http.edge import FAILURE_TOLD
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import Parts, json_answer, parts_of, shown
from services.gateway.http.problems import MEDIA_TYPE, ProblemError, invalid
from services.gateway.http.requests import field_errors
from services.gateway.http.view import View
from services.gateway.reading.as_of import PastDocument
from services.gateway.reading.gates import WhyAnswer
from services.gateway.reading.limit_uses import LimitsAnswer
from services.gateway.reading.moment_answer import MomentAnswer
from services.gateway.reading.readiness import HealthAnswer, ReadyAnswer
from services.gateway.reading.record_history import NoRecordDocument, PastRecord, WholeRecord
from services.gateway.reading.stage import LineageAnswer
from services.gateway.reading.system_status import SystemAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

VERSION: Final = "1"
# What is answered with, besides problems.
_KINDS: Final[tuple[type, ...]] = (
    *(SubscriptionAnswer, PastDocument, ReadyAnswer, HealthAnswer, views.AuditAnswer, LimitsAnswer),
    *(WhyAnswer, LineageAnswer),
    MomentAnswer,
    *(Performance, PastRecord, WholeRecord, NoRecordDocument),
    *(SystemAnswer, SimulatedExchangesAnswer, Fault, FaultsAnswer),
    policy_views.ContextsAnswer,
    *(
        each.struct
        for module in (views, router_views, policy_views)
        for each in vars(module).values()
        if isinstance(each, View)
    ),
)
_log = logging.getLogger(__name__)
router = APIRouter(tags=["operations"])
ROUTERS: Final = (
    why_routes.router,
    *(control_routes.router, policy_reads.router, policy_routes.router),
    moment_routes.router,
    *(read_routes.router, record_routes.router, command_routes.router, system_routes.router),
    *(page.router, router),
)


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
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.parts = parts
    for each in ROUTERS:
        app.include_router(each)
    for kind in (ProblemError, RequestValidationError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, failed)

    def document() -> dict[str, object]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.document(app, _KINDS, token_required=token_required)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


@router.get(
    "/healthz",
    summary="Is the process alive?",
    responses=answers("Yes.", reference(HealthAnswer)),
)
async def healthz() -> Response:
    """Answer without looking at anything."""
    return shown(HealthAnswer(status="alive"))


@router.get(
    "/readyz",
    summary="May it be asked?",
    responses=answers("Every route would do its work.", reference(ReadyAnswer), p.NOT_READY),
)
async def readyz(request: Request) -> Response:
    """Return 200 when every route would do its work, else 503 with what is missing, by name.

    Kafka answers, every view has caught up, every partition of every service is worked on, and the risk
    budget is there; at the start also the first measurement of each book. A book that is not LIVE, and
    `policies` or `context` where nobody of them is heard, are told under `degraded`, and do not make the
    answer 503.
    """
    return shown(parts_of(request).readiness())


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses=answers("The Prometheus text format.", {"type": "string"}, media_type="text/plain"),
)
async def metrics(request: Request) -> Response:
    """Return counts, latencies and lags in the Prometheus text format."""
    body, media_type = parts_of(request).metrics()
    return Response(body, headers={"content-type": media_type})


@router.get(
    "/asyncapi.json",
    summary="Every topic and message, as AsyncAPI 3",
    responses=answers("An AsyncAPI 3.0 document.", {"type": "object"}),
)
async def asyncapi_document(request: Request) -> Response:
    """Return the document that subscribers of the topics read; its schemas are JSON Schema."""
    return json_answer(200, parts_of(request).asyncapi)


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> Response:
    """Return the page of the documentation."""
    return asset_answer(request, docs.page(request.app.title))


@router.get("/docs/{name:path}", include_in_schema=False)
async def file(request: Request, name: str) -> Response:
    """Return a file of the page."""
    found = docs.files().get(name)
    if found is None:
        problem = ProblemError(p.UNKNOWN_ROUTE, f"There is no /docs/{name[:200]}; see /docs.")
        return Response(problem.body(), problem.status, HEADERS, MEDIA_TYPE)
    return asset_answer(request, found)


async def failed(request: Request, error: Exception) -> Response:
    """Return the problem that an exception is; what nobody foresaw is logged, too."""
    problem, path = _problem(request, error), request.scope["path"]
    answer = Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)
    if problem.problem is p.METHOD_NOT_ALLOWED:
        answer.headers["allow"] = ", ".join(methods_at(path, request.app))
    elif problem.problem is p.INTERNAL:
        request.scope[FAILURE_TOLD] = True
        with correlated(request.scope["correlation_id"]):
            facts = {"method": request.method, "path": path[:200]}
            _log.error("request_failed", exc_info=error, extra=facts)
    return answer


def _problem(request: Request, error: Exception) -> ProblemError:
    """Return the problem that an exception is to the caller."""
    path = request.scope["path"][:200]
    match error:
        case ProblemError():
            return error
        case RequestValidationError():
            return invalid(field_errors(error.errors()))
        case HTTPException(status_code=p.METHOD_NOT_ALLOWED.status):
            return ProblemError(p.METHOD_NOT_ALLOWED, f"{path} cannot be asked by {request.method[:20]}.")
        case HTTPException():
            return ProblemError(p.UNKNOWN_ROUTE, f"There is no {path}; see /docs.")
        case ClientDisconnect():
            return ProblemError(p.NOT_JSON, "The connection closed before the body's end.")
        case _:
            return ProblemError(p.INTERNAL, "The gateway failed on this request; its log says why.")


def methods_at(path: str, app: FastAPI) -> list[str]:
    """Return the methods of every route at `path` (RFC 9110 section 10.2.1); HEAD goes where GET does."""
    found: set[str] = set()
    for route in (*app.routes, *(route for each in ROUTERS for route in each.routes)):
        if isinstance(route, Route) and route.path_regex.match(path):
            found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
