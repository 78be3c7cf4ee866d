"""What OpenAPI says of every route that changes something: the token, and the limits before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.gateway.http.contract import problems
from services.gateway.http.problems import TOO_FAST, TOO_LARGE, TOO_SLOW, UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEME: Final = "bearer"
WRITES: Final = ("post", "put", "patch", "delete")
OPEN: Final[dict[str, list[str]]] = {}  # no scheme at all, beside the others: OpenAPI 3.1 section 4.8.30


def describe_guards(document: dict[str, Any], *, token_required: bool) -> None:
    """Add the security scheme, and to each write that it takes it and what its guards answer."""
    document.setdefault("components", {})["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "The GATEWAY_TOKEN that the gateway was started with; without one, all may write.",
        }
    }
    needed: list[dict[str, list[str]]] = [{SCHEME: []}]
    for operation in _writes(document):
        operation["security"] = needed if token_required else [*needed, OPEN]
        answers = operation.setdefault("responses", {})
        for status, said in _answers().items():
            answers.setdefault(str(status), said)


def _writes(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        for method in WRITES:
            if method in methods:
                yield methods[method]


def _answers() -> dict[int | str, dict[str, Any]]:
    said = problems(UNAUTHORIZED, TOO_SLOW, TOO_LARGE, TOO_FAST)
    said[UNAUTHORIZED.status]["headers"] = {
        "WWW-Authenticate": {"description": "RFC 6750 section 3", "schema": {"type": "string"}}
    }
    said[TOO_FAST.status]["headers"] = {
        "Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
    }
    return said
