"""What the routes answer from, and the answers that all of them give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import Request, Response

from services.gateway.http.view import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from libs.common.events import DeclaredFeature
    from services.gateway.asking.commands import Changes, Commands
    from services.gateway.asking.idempotency import Idempotency
    from services.gateway.asking.publications import Publications
    from services.gateway.asking.simulator import Simulator
    from services.gateway.asking.subscriptions import Subscriptions
    from services.gateway.http.callers import Callers
    from services.gateway.http.places import NewNames
    from services.gateway.http.webhook_mapping import Webhook
    from services.gateway.reading.audit_log import AuditLog
    from services.gateway.reading.books import Books
    from services.gateway.reading.lineages import Lineages
    from services.gateway.reading.moments import Moments
    from services.gateway.reading.past_books import PastBooks
    from services.gateway.reading.past_records import PastRecords
    from services.gateway.reading.performance_log import PerformanceLog
    from services.gateway.reading.readiness import ReadyAnswer
    from services.gateway.reading.system_status import SystemAnswer
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.reading.why import Why
    from services.gateway.stream.hub import Hub

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
    moments: Moments
    why: Why
    lineages: Lineages
    performance_log: PerformanceLog
    past_records: PastRecords
    publications: Publications
    webhook: Webhook | None  # None: it is off
    new_scopes: NewNames
    new_policies: NewNames
    new_features: Sequence[DeclaredFeature]  # of a scope that begins
    decisions: Changes  # of the views that services decide
    hub: Hub
    readiness: Callable[[], ReadyAnswer]  # raises ProblemError while not ready
    system: Callable[[], Awaitable[SystemAnswer]]
    simulator: Simulator
    metrics: Callable[[], tuple[bytes, str]]  # the exposition and its media type
    clock: Callable[[], int]  # ns UTC
    asyncapi: bytes  # JSON


def parts_of(request: Request) -> Parts:
    """Return the parts of the app that serves `request`."""
    parts: Parts = request.app.state.parts
    return parts


def ready_parts_of(request: Request) -> Parts:
    """Return the parts, whose views have caught up.

    Raises
    ------
    ProblemError
        503 if they have not.
    """
    parts = parts_of(request)
    parts.views.require_ready()
    return parts


def caller_of(request: Request) -> str:
    """Return the address that `request` counts for."""
    return parts_of(request).callers.address_of(request.scope)


def shown(answer: object) -> Response:
    """Return the answer 200 that shows this."""
    return json_answer(200, encode(answer))


def json_answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Return encoded JSON as an answer that nobody may keep."""
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, JSON)
