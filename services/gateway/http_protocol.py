"""uvicorn's HTTP protocol with bounds on the request, which it does not set itself.

uvicorn closes a connection that is idle after an answer (`KEEP_ALIVE_S`), but waits for ever for a first
byte, for the end of a head and for the end of a body.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.edge import MAX_HEADERS, MAX_TARGET
from services.gateway.problems import HEADERS_TOO_LARGE, MEDIA_TYPE, NOT_HTTP, TOO_SLOW, ProblemError

if TYPE_CHECKING:
    from asyncio import BaseTransport, TimerHandle
    from collections import Counter

    from services.gateway.cross_origin import CrossOrigin

MAX_HEAD: Final = MAX_TARGET + MAX_HEADERS + 1024  # bytes, on top of the read in which the head begins
KEEP_ALIVE_S: Final = 5  # without a request
LINGER_S: Final = 1.0  # what still comes is thrown away: a close on unread bytes would reset the refusal away


class Bounding(Protocol):
    """The app that is served: how long a request may take to come, and where refusals are counted."""

    request_timeout_s: float  # from connection or first byte to the end of the body
    refusals: Counter[str]  # by reason
    cross_origin: CrossOrigin


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request grows without end, or does not come to one."""

    _head_bytes: int | None = None  # of an unfinished head, after the read in which it began
    _unfinished = False  # a request has begun and not ended
    _timer: TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as above
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Parse, and look how far the request has come."""
        if self._refused:
            return
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                detail = f"The request head is over {MAX_HEAD} bytes."
                self._refuse(ProblemError(HEADERS_TOO_LARGE, detail))
                return
        super().data_received(data)
        if self._refused:
            return
        if self._timer is None and (self._unfinished or self._idle):
            self._arm()

    def on_message_begin(self) -> None:
        """Start to count."""
        self._head_bytes = 0
        self._unfinished = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop to count."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop to wait."""
        self._unfinished = False
        self._disarm()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._disarm()
        super().connection_lost(exc)

    @property
    def _app(self) -> Bounding:
        return cast("Bounding", self.config.app)

    @property
    def _idle(self) -> bool:
        """Whether nothing was asked, and uvicorn does not wait either: a blank line makes it forget to."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.timeout_keep_alive_task is None

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self._app.request_timeout_s, self._too_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        if self.flow.read_paused:  # it is we who do not read: an answer before this one takes its time
            self._arm()
            return
        cycle = self.cycle
        in_body = self._unfinished and self._head_bytes is None
        if not self._unfinished or (in_body and cycle.response_complete):
            self.transport.close()  # nothing was asked, or what was is answered
            return
        if in_body and not cycle.response_started:
            cycle.disconnected = True  # whoever waits for the body is told that it will not come
            cycle.message_event.set()
            self.cycle = None  # type: ignore[assignment]  # as before the first request
        patience_s = self._app.request_timeout_s
        self._refuse(ProblemError(TOO_SLOW, f"The request was not complete within {patience_s:g} s."))

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser does not understand."""
        self._refuse(ProblemError(NOT_HTTP, msg))

    def _refuse(self, problem: ProblemError) -> None:
        self._app.refusals[problem.problem.slug] += 1
        body = problem.body()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n"
        ).encode()
        for name, value in self._app.cross_origin.headers(self.headers or ()):
            head += name + b": " + value + b"\r\n"
        self._disarm()
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.close()  # nothing can be said in the middle of another answer
                return
            cycle.disconnected = True  # a body that breaks off: what its route still answers goes nowhere
            cycle.message_event.set()
        self.transport.write(head + b"\r\n" + body)
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)
