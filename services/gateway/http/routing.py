"""What the routes of all services share: the parts they answer from, bodies in, answers out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from fastapi import Request, Response

from services.gateway.asking.commands import Command
from services.gateway.asking.idempotency import Reply
from services.gateway.http.bodies import (
    MAX_BODY,
    Body,
    idempotency_key,
    parse_body,
    request_hash,
    require_json,
    too_large,
)
from services.gateway.http.view import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    import msgspec

    from services.gateway.asking.commands import Changes, Commands
    from services.gateway.asking.idempotency import Idempotency
    from services.gateway.asking.subscriptions import Subscriptions
    from services.gateway.http.callers import Callers
    from services.gateway.http.places import NewScopes
    from services.gateway.reading.audit_log import AuditLog
    from services.gateway.reading.books import Books
    from services.gateway.reading.past_books import PastBooks
    from services.gateway.reading.readiness import ReadyAnswer
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.stream.hub import Hub

BodyT = TypeVar("BodyT", bound=Body)
JSON: Final = "application/json"


@dataclass(frozen=True)
class Parts:
    """What the routes answer from."""

    callers: Callers
    views: GatewayViews
    books: Books
    past_books: PastBooks
    commands: Commands
    idempotency: Idempotency
    subscriptions: Subscriptions
    audit_log: AuditLog
    new_scopes: NewScopes
    decisions: Changes  # of the views that services decide
    hub: Hub
    readiness: Callable[[], ReadyAnswer]  # raises ProblemError while not ready
    metrics: Callable[[], tuple[bytes, str]]  # the exposition and its media type
    clock: Callable[[], int]  # ns UTC
    asyncapi: bytes  # JSON


def parts_of(request: Request) -> Parts:
    """Return the parts of the app that serves `request`."""
    parts: Parts = request.app.state.parts
    return parts


def caller_of(request: Request) -> str:
    """Return the address that `request` counts for."""
    return parts_of(request).callers.address_of(request.scope)


@contextmanager
def command_place(request: Request) -> Iterator[None]:
    """Hold one of the places of commands that wait for their answers.

    Raises
    ------
    ProblemError
        503 if all are taken, 429 if this address has its share.
    """
    with parts_of(request).commands.places.held(caller_of(request)):
        yield


def command_of(request: Request, route: str, key: str | None = None, hashed: str = "") -> Command:
    """Return who asks; `hashed` tells requests under one Idempotency-Key apart, see `request_hash`.

    Of a request that failed only its id is left: without the hash another request under its key would get
    the first one's answer from the service.
    """
    repeatable = None if key is None else f"{key} {hashed}"
    new_id = parts_of(request).commands.new_id(route, repeatable)
    return Command(new_id, request.scope["correlation_id"], caller_of(request))


def json_answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Return encoded JSON as an answer that nobody may keep."""
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, JSON)


def reply_answer(reply: Reply) -> Response:
    """Return a reply, and say so if it is an old one told again."""
    return json_answer(reply.status, reply.body, {"idempotency-replayed": "true"} if reply.replayed else None)


async def json_body(request: Request) -> bytes:
    """Return the body of a request that declares JSON.

    Raises
    ------
    ProblemError
        415 if it declares anything else, another charset or an encoding; 413 if it is over the limit.
    """
    require_json(request.headers.get("content-type"), request.headers.getlist("content-encoding"))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large()
    return bytes(body)


async def answer_post(
    request: Request, model: type[BodyT], ask: Callable[[BodyT, Command], Awaitable[msgspec.Struct]]
) -> Response:
    """Answer a POST: check its body, ask once per Idempotency-Key, encode the answer.

    Parameters
    ----------
    ask
        Called with the checked body and who asks; see `command_of`.
    """
    parts = parts_of(request)
    path = request.scope["path"]
    key = idempotency_key(request.headers.get("idempotency-key"))
    raw = await json_body(request)
    body = parse_body(model, raw)
    hashed = request_hash("POST", path, raw)
    command = command_of(request, f"POST {path}", key, hashed)

    async def execute() -> Reply:
        return Reply(200, encode(await ask(body, command)))

    with command_place(request):
        return reply_answer(await parts.idempotency.once(key, hashed, command, execute))
