"""The socket shell: one task per connection and per REST request; each reports and never decides."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import websockets

from libs.common.printable import printable
from services.l2.messages import (
    Fetch,
    FrameReceived,
    OpenSocket,
    PongReceived,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
)
from services.l2.reply_headers import not_followed, pause_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from services.l2.messages import L2Message

    Report = Callable[[L2Message], Awaitable[None]]

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S: Final = 10.0
REPLY_TIMEOUT_S: Final = 15.0
MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
QUEUED_FRAMES: Final = 1024  # with more unread, the socket is not read, and the exchange feels it
TURN_FRAMES: Final = 16  # then others have theirs: `recv` does not yield while frames are queued
REDIRECTIONS: Final = range(300, 400)


class _Redirected(websockets.WebSocketException):
    """The venue answered with another address."""


class _Connect(websockets.connect):
    """Connects to the address that was asked for and to no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the error that ends the attempt, never an address to follow."""
        if isinstance(exc, websockets.InvalidStatus) and exc.response.status_code in REDIRECTIONS:
            return _Redirected(not_followed(_location(exc.response.headers.get_all("Location"))))
        return exc


def open_http() -> aiohttp.ClientSession:
    """Return a client of venues' REST, which keeps no cookies: their dates and ages are not even read."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


async def run_socket(order: OpenSocket, report: Report, max_frame_bytes: int) -> None:
    """Connect, subscribe, report every frame and at last the end."""
    try:
        async with _Connect(
            order.url,
            max_size=max_frame_bytes,
            max_queue=QUEUED_FRAMES,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=None,  # ours are sent below: silence is the core's to judge
            close_timeout=1.0,
            compression=None,
        ) as socket:
            for frame in order.subscribe:
                await socket.send(frame)
            await report(SocketOpened(order.key, order.connection))
            keepers = [asyncio.create_task(each) for each in _keepers(socket, order, report)]
            try:
                while True:
                    for _ in range(TURN_FRAMES):
                        raw = await socket.recv(decode=False)
                        await report(FrameReceived(order.key, order.connection, raw))
                    await asyncio.sleep(0)
            finally:
                for keeper in keepers:
                    keeper.cancel()
    except _Redirected as error:
        await report(SocketClosed(order.key, order.connection, str(error)))
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        await report(SocketClosed(order.key, order.connection, printable(f"{type(error).__name__}: {error}")))


def _keepers(
    socket: websockets.ClientConnection, order: OpenSocket, report: Report
) -> Iterator[Coroutine[None, None, None]]:
    if order.ping is not None:
        yield _keep_alive(socket, order.ping, order.ping_interval_s)
    if order.pong_interval_s is not None:
        yield _prove_alive(socket, order, report, order.pong_interval_s)


async def _keep_alive(socket: websockets.ClientConnection, ping: str, interval_s: float) -> None:
    try:
        while True:
            await asyncio.sleep(interval_s)
            await socket.send(ping)
    except websockets.ConnectionClosed:
        return  # the reader of the same socket reports the end


async def _prove_alive(
    socket: websockets.ClientConnection, order: OpenSocket, report: Report, interval_s: float
) -> None:
    """Ping, and report each pong; one that does not come is silence, which the core judges."""
    try:
        while True:
            await asyncio.sleep(interval_s)
            await (await socket.ping())
            await report(PongReceived(order.key, order.connection))
    except websockets.ConnectionClosed:
        return  # the reader of the same socket reports the end


async def fetch(order: Fetch, report: Report, http: aiohttp.ClientSession) -> None:
    """GET and report the reply; no reply is reported with status 0 and the reason."""
    retry_after: float | None = None
    took_ns: int | None = None
    asked = time.monotonic_ns()
    patience = aiohttp.ClientTimeout(total=REPLY_TIMEOUT_S)
    try:
        async with http.get(order.url, timeout=patience, allow_redirects=False) as reply:
            took_ns = time.monotonic_ns() - asked
            status = reply.status
            retry_after = _pause(order, reply.headers.getall("Retry-After", []))
            held = bytearray()  # grows in place, however small the pieces are
            while len(held) <= MAX_REPLY_BYTES and (more := await reply.content.read(MAX_REPLY_BYTES)):
                held += more
            body = bytes(held)
            if status in REDIRECTIONS:
                body = not_followed(_location(reply.headers.getall("Location", []))).encode()
        if len(body) > MAX_REPLY_BYTES:
            status, body = 0, f"reply of more than {MAX_REPLY_BYTES} bytes".encode()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        status, body = 0, printable(f"{type(error).__name__}: {error}").encode()
    await report(ReplyReceived(order.key, order.request, order.purpose, status, body, retry_after, took_ns))


def _pause(order: Fetch, headers: list[str]) -> float | None:
    """Return how long the venue asks to wait, None where it does not; what cannot be read is logged."""
    pauses = [pause_of(text, time.time()) for text in headers]
    for text, pause in zip(headers, pauses, strict=True):
        if pause is None:
            facts = {"book": order.key, "text": printable(text, 100), "right": "seconds, or a date of HTTP"}
            log.warning("retry_after_unreadable", extra=facts)
    return max((pause for pause in pauses if pause is not None), default=None)


def _location(headers: list[str]) -> str:
    return " ".join(headers)
