"""uvicorn's HTTP protocol with bounds on the request head, which it does not set itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.edge import MAX_HEADERS, MAX_TARGET
from services.gateway.problems import HEADERS_TOO_LARGE, MEDIA_TYPE, NOT_HTTP, ProblemError

if TYPE_CHECKING:
    from asyncio import TimerHandle

MAX_HEAD: Final = MAX_TARGET + MAX_HEADERS + 1024  # bytes, on top of the read in which the head begins
HEAD_TIMEOUT_S: Final = 10.0
LINGER_S: Final = 1.0  # what still comes is thrown away: a close on unread bytes would reset the refusal away


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request head grows without end, or does not come to one."""

    _head_bytes: int | None = None  # of an unfinished head, after the read in which it began
    _head_timer: TimerHandle | None = None
    _refused = False

    def data_received(self, data: bytes) -> None:
        """Parse, and look how far the head has come."""
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
        if self._head_bytes is None:
            self._disarm()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def on_message_begin(self) -> None:
        """Start to count."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop to count."""
        self._head_bytes = None
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._disarm()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser does not understand."""
        self._refuse(ProblemError(NOT_HTTP, msg))

    def _refuse(self, problem: ProblemError) -> None:
        body = problem.body()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._disarm()
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.close()  # nothing can be said in the middle of another answer
                return
            cycle.disconnected = True  # a body that breaks off: what its route still answers goes nowhere
            cycle.message_event.set()
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER_S, self.transport.close)
