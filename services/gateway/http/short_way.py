"""The short way of a command: FastAPI documents its route, and is not asked to find and to call it.

FastAPI goes through seven layers, compares the path with every route and prepares what these routes do not
use; that is more than a third of what HTTP costs a command. A POST whose path holds no parameter is found by
its path, and what it takes is checked as FastAPI does, by the fields that it has made of the signature and in
its order: the answers are the same. Everything else goes FastAPI's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError

from services.gateway.http.routes import failed
from services.gateway.http.strict_json import StrictRequest, StrictRoute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import FastAPI
    from fastapi.dependencies.models import Dependant
    from fastapi.routing import APIRoute
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, eq=False)
class ShortWay:
    """An ASGI app in front of FastAPI's."""

    api: FastAPI
    routes: Mapping[str, APIRoute]  # by path; see `short_routes`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a command, and pass on everything else."""
        route = self.routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self.api(scope, receive, send)
            return
        scope["app"], scope["route"] = self.api, route
        request = StrictRequest(scope, receive)
        try:
            await request.read()
            answer = await route.endpoint(request, **await _given(route, request))
        except Exception as error:  # noqa: BLE001 -- each has its answer, as behind FastAPI
            answer = await failed(request, error)
        await answer(scope, receive, send)


def short_routes(routes: Iterable[BaseRoute]) -> dict[str, APIRoute]:
    """Return the routes that take a POST of one body to a path without parameters, by their paths."""
    return {
        route.path: route
        for route in routes
        if isinstance(route, StrictRoute) and route.methods == {"POST"} and _is_plain(route.dependant)
    }


def _is_plain(takes: Dependant) -> bool:
    """Tell whether an endpoint takes its request and one body, may take headers and a query, and no more."""
    required = [each for each in (*takes.query_params, *takes.header_params) if each.field_info.is_required()]
    others = (takes.path_params, takes.cookie_params, takes.dependencies, required)
    return len(takes.body_params) == 1 and takes.request_param_name == "request" and not any(others)


async def _given(route: APIRoute, request: StrictRequest) -> dict[str, Any]:
    """Return what the endpoint is called with, besides the request.

    Raises
    ------
    RequestValidationError
        With all that is wrong: of the query, the headers, the body.
    """
    takes = route.dependant
    (field,) = takes.body_params
    query, query_faults = request_params_to_args(takes.query_params, request.query_params)
    headers, header_faults = request_params_to_args(takes.header_params, request.headers)
    body, body_faults = field.validate(await request.json(), {}, loc=("body",))
    if faults := [*query_faults, *header_faults, *body_faults]:
        raise RequestValidationError(faults)
    return {**query, **headers, field.name: body}
