"""The outermost layer: correlation ids, counts, limits, and the hot answers that need nothing behind it.

Pure ASGI: a ``BaseHTTPMiddleware`` would cost more than all of the rest.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Final

from services.gateway.bodies import MAX_BODY, too_large
from services.gateway.books import PREFIX
from services.gateway.problems import HEADERS_TOO_LARGE, MEDIA_TYPE, TOO_LARGE, URI_TOO_LONG, ProblemError
from services.gateway.traffic import UNROUTED

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from services.gateway.books import Books
    from services.gateway.traffic import Traffic
    from services.gateway.write_guard import WriteGuard

FAILURE_TOLD: Final = "bookrunner.failure_told"  # key of the scope
BOOK_ROUTE: Final = "/api/l2/{venue}/{symbol}"
MAX_TARGET: Final = 8 * 1024  # bytes of path and query
MAX_HEADERS: Final = 32 * 1024  # bytes of names and values
_CORRELATION_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class Edge:
    """An ASGI app in front of another.

    Parameters
    ----------
    refusals
        Counts refusals by reason.
    clock
        int ns UTC.
    stopwatch
        Seconds, from any start.
    """

    def __init__(
        self,
        inner: ASGIApp,
        books: Books,
        traffic: Traffic,
        guard: WriteGuard,
        *,
        refusals: Counter[str],
        clock: Callable[[], int],
        stopwatch: Callable[[], float],
    ) -> None:
        self._inner = inner
        self._books = books
        self._traffic = traffic
        self._hot = traffic.of("GET", BOOK_ROUTE, 200)
        self._guard = guard
        self._refusals = refusals
        self._clock = clock
        self._stopwatch = stopwatch
        self._prefix = b"gw-%x-" % (clock() // 1_000_000)  # no two runs share one
        self._count = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a hot GET at once, and pass on everything else."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started = self._stopwatch()
        correlation_id = self._correlation_id(scope)
        path = scope["path"]
        if path.startswith(PREFIX) and scope["method"] == "GET":
            page = self._books.hot_page(path, scope["query_string"], self._clock())
            if page is not None:
                headers = [*page.headers, (b"x-correlation-id", correlation_id)]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": page.body})
                self._hot.observe(self._stopwatch() - started)
                return
        await self._passed_on(scope, receive, send, started=started, correlation_id=correlation_id)

    async def _passed_on(
        self, scope: Scope, receive: Receive, send: Send, *, started: float, correlation_id: bytes
    ) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-correlation-id", correlation_id)]
                route = getattr(scope.get("route"), "path_format", UNROUTED)
                answers = self._traffic.of(scope["method"], route, message["status"])
                answers.observe(self._stopwatch() - started)
                if message["status"] == TOO_LARGE.status:  # by its head, or found while it was read
                    self._refusals[TOO_LARGE.slug] += 1
            await send(message)

        scope["correlation_id"] = correlation_id.decode()
        refused = self._refused(scope)
        if refused is not None:
            await send_problem(refused, stamped)
            return
        try:
            await self._inner(scope, receive, stamped)
        except Exception:
            if not scope.get(FAILURE_TOLD):  # else logged and answered; Starlette raises it once more
                raise

    def _refused(self, scope: Scope) -> ProblemError | None:
        if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET:
            self._refusals[URI_TOO_LONG.slug] += 1
            return ProblemError(URI_TOO_LONG, f"The path and query are over {MAX_TARGET} bytes.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
            self._refusals[HEADERS_TOO_LARGE.slug] += 1
            return ProblemError(HEADERS_TOO_LARGE, f"The headers are over {MAX_HEADERS} bytes.")
        return self._guard.refusal(scope) or _announced_too_large(scope)

    def _correlation_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-correlation-id" and _CORRELATION_ID.fullmatch(value):
                return bytes(value)
        return self._prefix + b"%x" % next(self._count)


def _announced_too_large(scope: Scope) -> ProblemError | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY:
            return too_large()
    return None


async def send_problem(problem: ProblemError, send: Send) -> None:
    """Send a problem document."""
    body = problem.body()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
