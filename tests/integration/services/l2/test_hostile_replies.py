"""Whatever a venue answers to a request or a handshake is reported: followed nowhere, and no end of l2."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.reply_headers import LONGEST_PAUSE_S
from services.l2.connection import fetch, open_http, run_socket
from services.l2.messages import Fetch, L2Message, OpenSocket, ReplyReceived, SocketClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.timeout(60)

REDIRECTS: Final = (300, 301, 302, 303, 307, 308)
HEADERS: Final = {
    "another script's digit": ("Retry-After: ²".encode(), None),
    "digits of another script": ("Retry-After: ١٢".encode(), None),
    "latin-1": (b"Retry-After: \xb2", None),
    "more digits than a float holds": (b"Retry-After: " + b"9" * 400, LONGEST_PAUSE_S),
    "more digits than an int is made of": (b"Retry-After: " + b"9" * 5000, LONGEST_PAUSE_S),
    "a pause of thirty years": (b"Retry-After: 999999999", LONGEST_PAUSE_S),
    "an underscore": (b"Retry-After: 1_0", None),
    "no number": (b"Retry-After: nan", None),
    "infinite": (b"Retry-After: inf", None),
    "negative": (b"Retry-After: -1", None),
    "empty": (b"Retry-After:", None),
    "plain": (b"Retry-After: 7", 7.0),
    "a date that is past": (b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
    "a date that never comes": (b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE_S),
    "a date that is none": (b"Retry-After: Fri, 99 Dec 1999 23:59:59 GMT", None),
    "a cookie for ever": (b"Set-Cookie: a=b; Max-Age=" + b"9" * 400, None),
    "a cookie of no time": ("Set-Cookie: a=b; Max-Age=²".encode(), None),
    "a cookie of a false date": (b"Set-Cookie: a=b; Expires=Mon, 99-Foo-99999 99:99:99 GMT", None),
    "a length that is none": ("Content-Length: ²".encode(), None),
    "a length without end": (b"Content-Length: " + b"9" * 400, None),
    "two lengths": (b"Content-Length: 2\r\nContent-Length: 3", None),
    "a strange coding": (b"Content-Encoding: gzip, br, \xff", None),
    "a strange type": (b"Content-Type: ;;=\xff; charset=\xb2", None),
    "a colour": (b"X-Note: \x1b[31mred", None),
    "chunks that are none": (b"Transfer-Encoding: chunked", None),
    "keep-alive": ("Keep-Alive: timeout=²".encode(), None),
    "a used weight": ("X-MBX-USED-WEIGHT-1M: ²".encode(), None),
}
STARTS: Final = (
    b"HTTP/1.1 429 Too Many Requests",
    "HTTP/1.1 ²²² No".encode(),
    b"HTTP/1.1 99999999999999999999 No",
    b"HTTP/9.9 200 OK",
    b"\x1b]0;title\x07",
    b"",
)


class Counter:
    """Counts who comes to where nobody should."""

    def __init__(self) -> None:
        self.came = 0


@asynccontextmanager
async def server(reply: bytes, seen: Counter | None = None) -> AsyncIterator[int]:
    """Answer whatever is sent with these bytes, and close."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            seen.came += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


async def answer_of(port: int) -> ReplyReceived:
    reported: list[L2Message] = []

    async def report(message: L2Message) -> None:
        reported.append(message)

    async with open_http() as http:
        order = Fetch("binance:BTC-USDT", 1, "snapshot", f"http://127.0.0.1:{port}/depth")
        await fetch(order, report, http)
    (reply,) = reported
    assert isinstance(reply, ReplyReceived)
    return reply


async def end_of(port: int) -> SocketClosed:
    reported: list[L2Message] = []

    async def report(message: L2Message) -> None:
        reported.append(message)

    order = OpenSocket("binance:BTC-USDT", 1, f"ws://127.0.0.1:{port}/stream", (), None, 0.0)
    await run_socket(order, report, 1024)
    (closed,) = reported
    assert isinstance(closed, SocketClosed)
    return closed


@pytest.mark.parametrize("name", HEADERS)
async def test_no_header_of_a_reply_escapes_the_fetch(name: str) -> None:
    header, pause_s = HEADERS[name]
    async with server(STARTS[0] + b"\r\n" + header + b"\r\n\r\n{}") as port:
        reply = await answer_of(port)
    assert reply.status in {0, 429}
    if header.startswith(b"Retry-After") and reply.status:
        assert reply.retry_after_s == pause_s


@pytest.mark.parametrize("start", STARTS)
async def test_no_status_line_escapes_the_fetch(start: bytes) -> None:
    async with server(start + b"\r\nContent-Length: 0\r\n\r\n") as port:
        assert isinstance((await answer_of(port)).status, int)


@pytest.mark.parametrize("name", HEADERS)
async def test_no_header_of_a_handshake_escapes_the_socket(name: str) -> None:
    for status in (b"101 Switching Protocols", b"429 Too Many Requests", b"302 Found"):
        async with server(b"HTTP/1.1 " + status + b"\r\n" + HEADERS[name][0] + b"\r\n\r\n") as port:
            assert (await end_of(port)).reason


@pytest.mark.parametrize("start", STARTS)
async def test_no_status_line_escapes_the_socket(start: bytes) -> None:
    async with server(start + b"\r\nContent-Length: 0\r\n\r\n") as port:
        assert (await end_of(port)).reason


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirected_request_goes_nowhere_and_says_so(status: int) -> None:
    elsewhere = Counter()
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", elsewhere) as other:
        location = f"Location: http://localhost:{other}/depth".encode()
        async with server(b"HTTP/1.1 %d No\r\n%s\r\nContent-Length: 0\r\n\r\n" % (status, location)) as port:
            reply = await answer_of(port)
    assert elsewhere.came == 0, "the client went where another host told it to go"
    assert reply.status == status
    assert reply.body == f"redirected to http://localhost:{other}/depth, not followed".encode()


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirected_socket_goes_nowhere_and_says_so(status: int) -> None:
    elsewhere = Counter()
    async with server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", elsewhere) as other:
        location = f"Location: ws://localhost:{other}/stream".encode()
        async with server(b"HTTP/1.1 %d No\r\n%s\r\nContent-Length: 0\r\n\r\n" % (status, location)) as port:
            closed = await end_of(port)
    assert elsewhere.came == 0, "the client went where another host told it to go"
    assert closed.reason == f"redirected to ws://localhost:{other}/stream, not followed"


@pytest.mark.parametrize("location", [b"http://[", b"\xff\x9b31m", b"//", b"x" * 4000, b""])
async def test_a_redirect_to_nonsense_is_told_as_one(location: bytes) -> None:
    reply = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    async with server(reply) as port:
        answer, closed = await answer_of(port), await end_of(port)
    for said in (answer.body.decode(), closed.reason):
        assert said.startswith("redirected to ")
        assert said.isprintable()
        assert len(said) < 300
