"""The OpenAPI document: what a route says of its answers, and the whole, put together from the routes.

Schemas come from the types that are really encoded, examples from answers of a running system (`make
examples`).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi.openapi.utils import get_openapi

from libs.common.schemas import schemas_of
from services.gateway.http import problems as p
from services.gateway.http.guard import WEBHOOK
from services.gateway.http.parts import JSON
from services.gateway.http.problems import MEDIA_TYPE, ProblemDocument, ProblemError, ProblemType
from services.gateway.http.view import View
from services.gateway.http.views import AS_OF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI

Answers = dict[int | str, dict[str, Any]]

REF: Final = "#/components/schemas/{name}"
DESCRIPTION: Final = """\
Order books, verified message by message against the exchanges' own sequence numbers and checksums, from
materialised Kafka topics. Prices are in quote units and sizes in base units, both JSON numbers; times are
milliseconds since 1970 UTC; symbols are canonical `BASE-QUOTE`, and `BTCUSDT`, `BTC/USDT` and lower case are
understood. Errors are `application/problem+json` (RFC 9457); [what helps](/docs#problems) against each kind.
Every answer carries `X-Correlation-Id`: yours, if you sent one of 1-128 characters `A-Za-z0-9._:-`. The
topics have a document of their own: [asyncapi.json](/asyncapi.json).
"""
TAGS: Final = [
    {"name": "books", "description": "verified order books, and which ones there are"},
    {"name": "venues", "description": "what each exchange costs, and which takes an order at the least cost"},
    {"name": "router", "description": "which policy to trade by, learnt from what each earned"},
    {"name": "policies", "description": "whose policies there are, what they want, and what contexts hold"},
    {"name": "executions", "description": "trades on paper, from policy to audit"},
    {"name": "portfolio", "description": "what is held, what it risks, and weights within limits"},
    {"name": "stream", "description": "messages of the topics as they come"},
    {"name": "operations", "description": "whether the gateway is well, and what the topics carry"},
]
SCHEME: Final = "bearer"

# The problems by what a route does: whatever it does, names a book, takes one of the shared places, takes a
# body, changes something, waits for a service, has it decide.
EVERYWHERE: Final = (p.NOT_HTTP, p.FOREIGN_PAGE, p.URI_TOO_LONG, p.MISDIRECTED, p.HEADERS_TOO_LARGE)
NAMES_A_BOOK: Final = (p.UNKNOWN_VENUE, p.UNKNOWN_SYMBOL)
TAKES_A_PLACE: Final = (p.INVALID, p.SHARE_TAKEN, p.NOT_READY, p.TOO_MANY)
TAKES_A_BODY: Final = (p.NOT_JSON, p.KEY_REUSED, p.TOO_LARGE, p.WRONG_MEDIA_TYPE)
WRITES: Final = (p.UNAUTHORIZED, p.TOO_SLOW, p.TOO_LARGE, p.TOO_FAST)
WAITS: Final = (*WRITES, *TAKES_A_PLACE, p.NO_ANSWER)
ASKS: Final = (p.UNKNOWN_NAME, p.COMMAND_FAILED, p.UNAVAILABLE, *WAITS)

# RFC 6750 section 3; RFC 6585 section 4 and RFC 9110 section 15.6.4.
_RETRY_AFTER: Final = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_HEADERS: Final[Mapping[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "RFC 6750 section 3", "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


@cache
def examples() -> Mapping[str, Any]:
    """Return what a running system answered, numbers as they were and lists cut: by file, then by status."""
    folder = files(__package__) / "examples"
    return {each.name.removesuffix(".json"): json.loads(each.read_bytes()) for each in folder.iterdir()}


def problem_example(problem: ProblemType) -> dict[str, Any]:
    """Return a document of this kind: as a system answered, else with the remedy for its detail."""
    generated = msgspec.json.decode(ProblemError(problem, problem.remedy).body())
    found: dict[str, Any] = examples()["problems"].get(problem.slug, generated)
    return found


def reference(*kinds: type | View[Any]) -> dict[str, Any]:
    """Return the schema that refers to the component of this answer, or to those of several."""
    names = [(kind.struct if isinstance(kind, View) else kind).__name__ for kind in kinds]
    refs = [{"$ref": REF.format(name=name)} for name in names]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def list_of(kind: type | View[Any]) -> dict[str, Any]:
    """Return the schema of a list of this answer."""
    return {"type": "array", "items": reference(kind)}


def success(said: str, schema: Mapping[str, Any], media_type: str = JSON) -> dict[str, Any]:
    """Return what OpenAPI says of a good answer."""
    return {"description": said, "content": {media_type: {"schema": dict(schema)}}}


def answers(said: str, schema: Mapping[str, Any], *types: ProblemType, media_type: str = JSON) -> Answers:
    """Return what OpenAPI says of all answers of a route, by status: the good one, and these problems."""
    found: Answers = {200: success(said, schema, media_type)}
    for problem in dict.fromkeys((*types, *EVERYWHERE)):
        content = {"schema": reference(ProblemDocument), "examples": {}}
        first = {"description": problem.title, "content": {MEDIA_TYPE: content}}
        if problem.status in _HEADERS:
            first["headers"] = _HEADERS[problem.status]
        answer = found.setdefault(problem.status, first)
        if answer is not first:
            answer["description"] += f"; or: {problem.title}"
        named = answer["content"][MEDIA_TYPE]["examples"]
        named[problem.slug] = {"value": problem_example(problem)}
    return found


def document(app: FastAPI, kinds: Sequence[type], *, token_required: bool) -> dict[str, Any]:
    """Return the document of all routes, whose answers are of these types."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    components = found["components"]
    encoded = schemas_of((*kinds, ProblemDocument), REF, "ms")
    if twice := components["schemas"].keys() & encoded.keys():
        raise ValueError(f"two types of the OpenAPI document are called {min(twice)}: rename one")
    components["schemas"] |= encoded
    components["schemas"][AS_OF.struct.__name__]["examples"] = [examples()["get_book_at"]["200"]]
    components["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "The GATEWAY_TOKEN that the gateway was started with; without one, all may write.",
        }
    }
    anonymous: list[dict[str, list[str]]] = [] if token_required else [{}]  # OpenAPI 3.1 section 4.8.30
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            if method != "get":
                operation["security"] = [{SCHEME: []}, *([{}] if path == WEBHOOK else anonymous)]
            _show_examples(operation)
    return found


def _show_examples(operation: Mapping[str, Any]) -> None:
    """Add what was answered, and the example of every required parameter where a page takes its first value.

    An optional parameter stays empty there: the request is meant to be answered.
    """
    for parameter in operation.get("parameters", ()):
        if parameter["required"] and "examples" in parameter["schema"]:
            parameter["example"] = parameter["schema"]["examples"][0]
    for status, answer in examples().get(operation["operationId"], {}).items():
        for content in operation["responses"][status]["content"].values():
            content["example"] = answer
