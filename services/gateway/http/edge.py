"""The outermost layer: correlation ids, counts, limits, and the hot answers that need nothing behind it.

Pure ASGI: a ``BaseHTTPMiddleware`` would cost more than all of the rest.

References
----------
RFC 9112, HTTP/1.1, section 3.2 (Host); RFC 9110, HTTP Semantics, section 5.3 (fields that stand once).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from libs.common.web_pages import SAFE
from services.gateway.http import problems as p
from services.gateway.http.problems import ProblemError
from services.gateway.http.strict_json import MAX_BODY, too_large
from services.gateway.monitoring import UNROUTED
from services.gateway.reading.books import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from services.gateway.http.guard import CrossOrigin, WriteGuard
    from services.gateway.monitoring import Traffic
    from services.gateway.reading.books import Books

FAILURE_TOLD: Final = "bookrunner.failure_told"  # key of the scope
BEGUN: Final = "bookrunner.begun"  # as above: an answer is on its way
BOOK_ROUTE: Final = "/api/l2/{venue}/{symbol}"
MAX_TARGET: Final = 8 * 1024  # bytes of path and query
MAX_DIGITS: Final = 20  # of a length
MAX_HEADERS: Final = 32 * 1024  # bytes of names and values
# Of each the routes read one value; which of two is meant, nobody knows. Host has a rule of its own.
ONCE: Final = frozenset({b"content-type", b"idempotency-key", b"last-event-id", b"origin", b"sec-fetch-site"})
# RFC 3986 section 3.2.2: a name, an IPv4 address, or an IP literal in brackets; then a port.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_CORRELATION_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


@dataclass(eq=False)
class Edge:
    """An ASGI app in front of another."""

    inner: ASGIApp
    books: Books
    traffic: Traffic
    guard: WriteGuard
    cross_origin: CrossOrigin
    clock: Callable[[], int]  # int ns UTC
    stopwatch: Callable[[], float]  # seconds, from any start

    def __post_init__(self) -> None:
        self._hot = self.traffic.of("GET", BOOK_ROUTE, 200)
        self._prefix = b"gw-%x-" % (self.clock() // 1_000_000)  # no two runs share one
        self._count = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a hot GET at once, and pass on everything else; a HEAD is a GET whose body stays here."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        started = self.stopwatch()
        correlation_id = self._correlation_id(scope)
        method = scope["method"]
        if method == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        try:
            wrong_host = self._wrong_host(scope)
            page = None
            if scope["method"] == "GET" and wrong_host is None and scope["path"].startswith(PREFIX):
                page = self.books.hot_page(scope["path"], scope["query_string"], self.clock())
            if page is not None:
                headers = [*page.headers, (b"x-correlation-id", correlation_id)]
                headers += self.cross_origin.headers(scope["headers"])
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": page.body})
                hot = self._hot if method == "GET" else self.traffic.of(method, BOOK_ROUTE, 200)
                hot.observe(self.stopwatch() - started)
                return
            send = self._stamped(scope, send, method=method, started=started, correlation_id=correlation_id)
            await self._passed_on(scope, receive, send, wrong_host)
        except Exception as error:
            if scope.get(FAILURE_TOLD):  # logged and answered; Starlette raises it once more
                return
            error.add_note(f"X-Correlation-Id: {correlation_id.decode()}")  # the server logs it
            if not scope.get(BEGUN):
                failed = ProblemError(p.INTERNAL, "The gateway failed on this request; its log says why.")
                await send_problem(failed, send)
            raise

    def _stamped(
        self, scope: Scope, send: Send, *, method: str, started: float, correlation_id: bytes
    ) -> Send:
        """Return a `send` that adds what every answer has, and counts."""

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope[BEGUN] = True
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-correlation-id", correlation_id),
                    *self.cross_origin.headers(scope["headers"]),
                ]
                route = getattr(scope.get("route"), "path_format", UNROUTED)
                self.traffic.of(method, route, message["status"]).observe(self.stopwatch() - started)
                if message["status"] == p.TOO_LARGE.status:  # by its head, or found while it was read
                    self.guard.refusals[p.TOO_LARGE.slug] += 1
            await send(message)

        scope["correlation_id"] = correlation_id.decode()
        return stamped

    async def _passed_on(
        self, scope: Scope, receive: Receive, send: Send, wrong_host: ProblemError | None
    ) -> None:
        refused = self._refused(scope, wrong_host)
        if refused is not None:
            await send_problem(refused, send)
        elif (allowed := self.cross_origin.preflight(scope)) is not None:
            await send({"type": "http.response.start", "status": 204, "headers": list(allowed)})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.inner(scope, receive, send)

    def _wrong_host(self, scope: Scope) -> ProblemError | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and self.cross_origin.serves(hosts[0]):
            return None
        if (fault := _host_fault(scope["http_version"], hosts)) is not None:
            return ProblemError(p.NOT_HTTP, fault)
        return ProblemError(p.MISDIRECTED, self.cross_origin.misdirected(hosts[0])) if hosts else None

    def _refused(self, scope: Scope, wrong_host: ProblemError | None) -> ProblemError | None:
        """Return why a request goes no further; what costs least to find is looked at first."""
        headers = scope["headers"]
        refused = wrong_host
        if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET:
            refused = ProblemError(p.URI_TOO_LONG, f"The path and query are over {MAX_TARGET} bytes.")
        elif sum(len(name) + len(value) for name, value in headers) > MAX_HEADERS:
            refused = ProblemError(p.HEADERS_TOO_LARGE, f"The headers are over {MAX_HEADERS} bytes.")
        elif wrong_host is None and (fault := _repeated_fault(headers)) is not None:
            refused = ProblemError(p.NOT_HTTP, fault)
        elif wrong_host is None and (foreign := self._foreign(scope)) is not None:
            refused = ProblemError(p.FOREIGN_PAGE, foreign)
        if refused is not None:
            self.guard.refusals[refused.problem.slug] += 1
            return refused
        return self.guard.refusal(scope) or _announced_too_large(scope)

    def _foreign(self, scope: Scope) -> str | None:
        pages, method = self.cross_origin, scope["method"]
        if method not in SAFE:
            return pages.foreign(scope["headers"])
        return pages.foreign_read(scope["headers"]) if method == "GET" else None

    def _correlation_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-correlation-id" and _CORRELATION_ID.fullmatch(value):
                return bytes(value)
        return self._prefix + b"%x" % next(self._count)


def _host_fault(http_version: str, hosts: Sequence[bytes]) -> str | None:
    """Return what is wrong with the values of the header Host; None if nothing is."""
    if len(hosts) == 1:
        return None if _HOST.fullmatch(hosts[0]) else "The header Host is no host, like localhost:5000."
    if hosts:
        return f"The header Host stands {len(hosts)} times; send it once."
    return None if http_version == "1.0" else f"HTTP/{http_version} needs the header Host."


def _repeated_fault(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return which header stands several times that may stand once; None if none does."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen:
            return f"The header {name.decode().title()} stands several times; send it once."
        if name in ONCE:
            seen.add(name)
    return None


def _announced_too_large(scope: Scope) -> ProblemError | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            digits = value.lstrip(b"0")  # int() refuses thousands of them
            if len(digits) > MAX_DIGITS or int(digits or b"0") > MAX_BODY:
                return too_large()
    return None


def _without_body(send: Send) -> Send:
    """Return a `send` that ends the answer with its head, also of a stream."""

    async def head_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return head_only


async def send_problem(problem: ProblemError, send: Send) -> None:
    """Send a problem document."""
    body = problem.body()
    headers = [
        (b"content-type", p.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
