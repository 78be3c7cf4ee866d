"""uvicorn's HTTP protocol with bounds on the request and its answer, which it does not set itself.

uvicorn closes a connection that is idle after an answer (`KEEP_ALIVE_S`), but waits for ever for a first
byte, for the end of a head and for the end of a body, and for a client that takes nothing of its answer, also
once it has closed the connection. It queues as many requests as one read may hold.

No upgrade is offered, so what asks for one is answered as if it did not (RFC 9110 section 7.8). httptools
takes such a request to be without a body, and uvicorn goes on parsing behind its head: the body would be a
request of its own. The head is therefore parsed again without the header.
"""

from __future__ import annotations

import fcntl
import sys
import termios
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.http.edge import MAX_HEADERS, MAX_TARGET
from services.gateway.http.problems import HEADERS_TOO_LARGE, MEDIA_TYPE, NOT_HTTP, TOO_SLOW, ProblemError

if TYPE_CHECKING:
    from asyncio import BaseTransport, TimerHandle, Transport
    from collections import Counter

    from services.gateway.http.guard import CrossOrigin

MAX_HEAD: Final = MAX_TARGET + MAX_HEADERS + 1024  # bytes, on top of the read in which the head begins
KEEP_ALIVE_S: Final = 5  # without a request
MAX_PIPELINED: Final = 64  # requests that wait for the answer to one before; the last is told to close
UNREAD: Final = "unread"  # reason of an answer that its client did not take
LOOKS: Final = 4  # at a client in the time that it may take nothing
LINGER_S: Final = 1.0  # what still comes is thrown away: a close on unread bytes would reset the refusal away


class Bounding(Protocol):
    """The app that is served: how long a request may take to come, and where refusals are counted."""

    request_timeout_s: float  # from connection or first byte to the end of the body
    write_timeout_s: float  # without a byte of the answer taken
    refusals: Counter[str]  # by reason
    cross_origin: CrossOrigin


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request grows without end, or does not come to one."""

    _head_bytes: int | None = None  # of an unfinished head, after the read in which it began
    _framing_bytes = 0  # of chunks' sizes and trailers, in whole reads without a byte of the body
    _unfinished = False  # a request has begun and not ended
    _timer: TimerHandle | None = None
    _look_timer: TimerHandle | None = None
    _refused = False  # what still comes is thrown away
    _again = False  # this request asks for an upgrade: its head is parsed again

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for a request, and to look whether the client takes its answers."""
        self._counted = CountedTransport(cast("Transport", transport))
        self._patience = Patience(self._app.write_timeout_s)
        super().connection_made(self._counted)  # type: ignore[arg-type]  # a transport in all but its bases
        self._arm()
        self._look()

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
        elif self._unfinished:
            if self._framing_bytes > MAX_HEAD:
                self._refuse(ProblemError(HEADERS_TOO_LARGE, f"The trailers are over {MAX_HEAD} bytes."))
                return
            self._framing_bytes += len(data)  # until a part of the body is found in it
        self._unset_keepalive_if_required()
        self._parse(data)
        if not self._refused and self._timer is None and (self._unfinished or self._idle):
            self._arm()

    def _parse(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as asked:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("CONNECT is not served: this gateway is no proxy.")
                    return
                rest = self._head_without_upgrade() + memoryview(rest)[asked.args[0] :]
                self.parser = new_parser(self)
            except httptools.HttpParserError:
                if not self._refused:
                    self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        lines = [
            b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        ]
        lines += (b"%b: %b" % header for header in self.headers if header[0] != b"upgrade")
        return b"\r\n".join((*lines, b"", b""))

    def on_message_begin(self) -> None:
        """Start to count."""
        self._head_bytes = 0
        self._unfinished = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body, a trailer, is none (RFC 9110 section 6.5.1)."""
        if self._head_bytes is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._framing_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Stop to count; what asks for an upgrade is parsed again, see `_parse`."""
        self._again = self.parser.should_upgrade()
        if self._again:
            return
        self._head_bytes = None
        self._framing_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop to wait, and to take requests if too many do.

        Raises
        ------
        OverflowError
            To stop the parser, which knows no other way.
        """
        if self._again:
            return
        self._unfinished = False
        self._disarm()
        super().on_message_complete()
        if self.pipeline and len(self.pipeline) >= MAX_PIPELINED:
            self.cycle.keep_alive = False  # the answers so far are sent, and the last says that it is
            self._refused = True
            raise OverflowError

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._disarm()
        if self._look_timer is not None:
            self._look_timer.cancel()
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

    def _look(self) -> None:
        """Cut a client that takes nothing of its answer, whole or under way, also of a closed connection."""
        unsent = self._counted.unsent
        if self._patience.is_over(self._counted.written - unsent, unsent, self.loop.time()):
            self._app.refusals[UNREAD] += 1
            self.transport.abort()
            return
        self._look_timer = self.loop.call_later(self._app.write_timeout_s / LOOKS, self._look)

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
        if cycle is not None and self._unfinished and self._head_bytes is None and cycle.response_complete:
            self.transport.close()  # this request is answered already
            return
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.close()  # nothing can be said in the middle of another answer
                return
            cycle.disconnected = True  # a body that breaks off: what its route still answers goes nowhere
            cycle.message_event.set()
        self.transport.write(head + b"\r\n" + body)
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)


def new_parser(protocol: BoundedHttpProtocol) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes one: the answer to a first request may come when more have."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class CountedTransport:
    """Passes everything on, and counts what is written."""

    __slots__ = ("_inner", "_write", "is_closing", "written")

    def __init__(self, inner: Transport) -> None:
        self._inner, self._write, self.is_closing = inner, inner.write, inner.is_closing
        self.written = 0  # bytes, since the connection was made

    def write(self, data: bytes) -> None:
        """Write, as the transport does."""
        self.written += len(data)
        self._write(data)

    @property
    def unsent(self) -> int:
        """Bytes that wait here, in the process and in the system, which frees its own a third at a time."""
        return self._inner.get_write_buffer_size() + _queued(self._inner)

    def __getattr__(self, name: str) -> object:
        """Return everything else of the transport itself."""
        return getattr(self._inner, name)


def _queued(transport: Transport) -> int:
    """Return how many bytes of a socket the other side has not acknowledged; 0 where nobody can tell."""
    socket = transport.get_extra_info("socket")
    if socket is None:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # it is closed, or no socket of this system
        return 0


@dataclass
class Patience:
    """Tells when a client has taken nothing of what waits for it for too long."""

    seconds: float  # how long it may take nothing
    _taken: int = 0
    _since: float | None = None  # nothing was taken since this look; None: nothing waited

    def is_over(self, taken: int, unsent: int, now: float) -> bool:
        """Look at a connection; `now` is in seconds of a clock that does not go back."""
        if not unsent:
            self._since = None
        elif self._since is None or taken != self._taken:
            self._since = now
        self._taken = taken
        return self._since is not None and now - self._since >= self.seconds
