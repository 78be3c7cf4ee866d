"""The socket shell: one task per connection and per REST request; each reports and never decides.

Whatever ends a connection, or keeps a request from its answer, is reported, be it a proxy, a certificate or
an address that is none. What `report` raises is the caller's, and leaves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import websockets

from libs.common.printable import printable
from libs.common.proxies import Proxies
from libs.common.reply_headers import not_followed, pause_of
from libs.common.time_units import NS_PER_S
from libs.common.venue_http import FAILURES, VenueHttp, told
from services.l2.arrivals import Arrival
from services.l2.frame_socket import MOST_WAITING, FrameSocket
from services.l2.messages import (
    BytesArrived,
    Fetch,
    FrameReceived,
    OpenSocket,
    PongReceived,
    ReplyArriving,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
)
from services.l2.refusals import REDIRECTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator

    from services.l2.messages import L2Message

    Report = Callable[[L2Message], Awaitable[None]]

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S: Final = 10.0
REPLY_TIMEOUT_S: Final = 15.0  # without a byte, beyond what a slow line takes; see `Arrival`
MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
ARRIVING_S: Final = 0.5  # between two reports of the bytes that are arriving
TURN_FRAMES: Final = 16  # then others have theirs: a socket does not yield while messages wait
# What a network, a proxy or an address does; what else fails is a fault in code, and logged with its trace.
_USUAL: Final = (*FAILURES, websockets.WebSocketException)


class _Redirected(websockets.WebSocketException):
    """The venue answered with another address."""

    def __str__(self) -> str:
        return str(self.args[0])


class _Connect(websockets.connect):
    """Connects to the address that was asked for and to no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the error that ends the attempt, never an address to follow."""
        if isinstance(exc, websockets.InvalidStatus) and exc.response.status_code in REDIRECTIONS:
            return _Redirected(not_followed(_location(exc.response.headers.get_all("Location"))))
        return exc


class _Head(NamedTuple):
    """What is known of a reply before its body."""

    status: int
    retry_after: list[str]
    location: list[str]


def open_http(proxies: Proxies | None = None) -> VenueHttp:
    """Return a client of venues' REST; without `proxies`, those of the environment."""
    return VenueHttp(proxies or Proxies.of_environment())


async def run_socket(
    order: OpenSocket, report: Report, max_frame_bytes: int, proxies: Proxies | None = None
) -> None:
    """Connect, subscribe, report every frame and at last the end.

    Parameters
    ----------
    max_frame_bytes
        The largest frame that is accepted, as it is once it is no longer compressed.
    proxies
        The ways out; None: those of the environment.
    """
    proxies = proxies or Proxies.of_environment()
    async with AsyncExitStack() as open_:
        try:
            socket = await _connected(order, max_frame_bytes, proxies)
            await open_.enter_async_context(socket)
            for frame in order.subscribe:
                await socket.send(frame)
        except Exception as error:  # noqa: BLE001 -- of which there are many kinds; reported, each
            await report(_end(order, error, proxies))
            return
        await report(SocketOpened(order.key, order.connection))
        reading = asyncio.create_task(_read(socket, order, report, proxies))
        tasks = {reading, *(asyncio.create_task(each) for each in _keepers(socket, order, report))}
        try:
            going = tasks
            while not reading.done():
                ended, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
                for keeper in ended - {reading}:
                    keeper.result()  # raises what `report` raised
            await report(reading.result())
        finally:
            for task in tasks:
                task.cancel()


async def _connected(order: OpenSocket, max_frame_bytes: int, proxies: Proxies) -> FrameSocket:
    class Socket(FrameSocket):
        most_bytes = max_frame_bytes

    proxy = proxies.to(order.url)
    socket = await _Connect(
        order.url,
        create_connection=Socket,
        proxy=None if proxy is None else proxy.url,
        max_size=max_frame_bytes,
        max_queue=MOST_WAITING,
        open_timeout=OPEN_TIMEOUT_S,
        ping_interval=None,  # ours are sent below: silence is the core's to judge
        close_timeout=1.0,
        compression="deflate" if order.compressed else None,
    )
    if not isinstance(socket, FrameSocket):
        raise TypeError("a connection of another kind")
    socket.told = socket.received
    return socket


async def _read(socket: FrameSocket, order: OpenSocket, report: Report, proxies: Proxies) -> SocketClosed:
    """Report every frame, and return the end."""
    key, connection, turn = order.key, order.connection, 0
    while True:
        try:
            frames = await socket.messages(TURN_FRAMES - turn)
        except Exception as error:  # noqa: BLE001 -- reported
            return _end(order, error, proxies)
        socket.told = socket.received
        for raw in frames:
            await report(FrameReceived(key, connection, raw))
        turn += len(frames)
        if turn == TURN_FRAMES:
            turn = 0
            await asyncio.sleep(0)


def _end(order: OpenSocket, error: Exception, proxies: Proxies) -> SocketClosed:
    if isinstance(error, _Redirected):
        return SocketClosed(order.key, order.connection, str(error))
    reason = told(error, proxies, order.url)
    if not isinstance(error, _USUAL):
        log.error("socket_failed", extra={"book": order.key, "reason": reason}, exc_info=error)
    if not isinstance(error, websockets.InvalidStatus):
        return SocketClosed(order.key, order.connection, reason)
    status, headers = error.response.status_code, error.response.headers
    pause_s = _pause(order.key, headers.get_all("Retry-After"))
    return SocketClosed(order.key, order.connection, reason, status, pause_s)


def _keepers(socket: FrameSocket, order: OpenSocket, report: Report) -> Iterator[Coroutine[None, None, None]]:
    yield _tell_arriving(socket, order, report)
    if order.ping is not None:
        yield _keep_alive(socket, order.ping, order.ping_interval_s)
    if order.pong_interval_s is not None:
        yield _prove_alive(socket, order, report, order.pong_interval_s)


async def _tell_arriving(socket: FrameSocket, order: OpenSocket, report: Report) -> None:
    """Report what came of a frame that is not whole yet."""
    while True:
        await asyncio.sleep(ARRIVING_S)
        if count := socket.received - socket.told:
            socket.told = socket.received
            await report(BytesArrived(order.key, order.connection, count))


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


async def fetch(order: Fetch, report: Report, http: VenueHttp) -> None:
    """GET and report the reply, and meanwhile what of it arrives; no reply has status 0 and the reason."""
    status, retry_after, took_ns = 0, None, None
    held, arrived = bytearray(), 0
    asked = told_at = time.monotonic_ns()
    async with aclosing(_reply(order, http)) as parts:
        async for part in parts:
            match part:
                case _Head():
                    took_ns = time.monotonic_ns() - asked
                    status = part.status
                    retry_after = _pause(order.key, part.retry_after)
                    if status in REDIRECTIONS:
                        held[:] = not_followed(_location(part.location)).encode()
                        break
                case bytes():
                    held += part
                    if len(held) > MAX_REPLY_BYTES:
                        status = 0
                        held[:] = f"reply of more than {MAX_REPLY_BYTES} bytes".encode()
                        break
                    if time.monotonic_ns() - told_at > ARRIVING_S * NS_PER_S:
                        told_at = time.monotonic_ns()
                        await report(ReplyArriving(order.key, order.request, len(held) - arrived))
                        arrived = len(held)
                case str():
                    status = 0
                    held[:] = part.encode()
    reply = ReplyReceived(order.key, order.request, order.purpose, status, bytes(held), retry_after, took_ns)
    await report(reply)


async def _reply(order: Fetch, http: VenueHttp) -> AsyncGenerator[_Head | bytes | str, None]:
    """Yield the head of the reply, then its body in pieces; and last, if it failed, why."""
    loop = asyncio.get_running_loop()
    patience = aiohttp.ClientTimeout(total=None, sock_connect=OPEN_TIMEOUT_S)  # the rest is counted here
    arrival = Arrival(_ns(loop))
    try:
        async with AsyncExitStack() as open_:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                reply = await open_.enter_async_context(http.get(order.url, patience))
            headers = reply.headers
            yield _Head(reply.status, headers.getall("Retry-After", []), headers.getall("Location", []))
            arrival.begin(_ns(loop))
            while True:
                async with asyncio.timeout_at(arrival.due_at(int(REPLY_TIMEOUT_S * NS_PER_S)) / NS_PER_S):
                    piece = await reply.content.readany()
                if not piece:
                    return
                arrival.on_bytes(len(piece), _ns(loop))
                yield piece
    except Exception as error:
        reason = told(error, http.proxies, order.url)
        if not isinstance(error, _USUAL):
            log.exception("request_failed", extra={"book": order.key, "reason": reason})
        yield reason


def _ns(loop: asyncio.AbstractEventLoop) -> int:
    return int(loop.time() * NS_PER_S)


def _pause(book: str, headers: list[str]) -> float | None:
    """Return how long the venue asks to wait, None where it does not; what cannot be read is logged."""
    pauses = [pause_of(text, time.time()) for text in headers]
    for text, pause in zip(headers, pauses, strict=True):
        if pause is None:
            facts = {"book": book, "text": printable(text, 100), "right": "seconds, or a date of HTTP"}
            log.warning("retry_after_unreadable", extra=facts)
    return max((pause for pause in pauses if pause is not None), default=None)


def _location(headers: list[str]) -> str:
    return " ".join(headers)
