"""The simulator's shell: a clock, an aiohttp server, and nothing that decides."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import WSCloseCode, WSMsgType, web

from libs.common.time_units import NS_PER_S
from simulator.boundary import boundary, for_own_pages
from simulator.connections import Connection, Unavailable
from simulator.control import Control, json_response
from simulator.replay import create_replay_app
from simulator.replay import list_books as list_replay_books
from simulator.simulation import Simulation
from simulator.venues import VENUES
from simulator.venues.venue import RestRequest, SessionRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from simulator.settings import SimulatorSettings
    from simulator.venues.venue import RestReply

logger: Final = logging.getLogger(__name__)

SIMULATION: Final = web.AppKey("simulation", Simulation)

_TICK_S: Final = 0.005  # each wakes the process, which costs more than what is then due
_PART_S: Final = 0.02  # of an answer on a slow line: so often a part of it is written
_MAX_CLIENT_MESSAGE: Final = 1 << 16  # bytes
_MAX_UNREAD: Final = 16 << 20  # bytes of the socket buffer, after which a slow client is cut


def create_app(settings: SimulatorSettings) -> web.Application:
    """Return the application that serves the simulated market, or the recording of ``FEED=replay:…``."""
    if settings.replay_paths:
        return create_replay_app(settings)
    app = web.Application(middlewares=[boundary(settings)])
    app.on_response_prepare.append(for_own_pages)
    simulation = Simulation(settings, time.time_ns())
    app[SIMULATION] = simulation
    server = _Server(simulation)
    app.add_routes(Control(simulation).routes())
    for venue in simulation.venues:
        app.router.add_get(f"/{venue}{{path:/.*}}", server.handler(venue))
    for venue in simulation.bookless:
        app.router.add_get(f"/{venue}{{path:/.*}}", server.rest_handler(venue))
    app.cleanup_ctx.append(server.running)
    app.on_shutdown.append(server.say_goodbye)
    return app


def list_books(settings: SimulatorSettings) -> list[str]:
    """Return ``venue:SYMBOL`` of every book that `create_app` would serve."""
    if settings.replay_paths:
        return list_replay_books(settings)
    return [f"{venue}:{symbol}" for venue in VENUES for symbol in settings.symbols]


class _Server:
    """Connects sockets and the clock to the simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._sockets: dict[Connection, tuple[web.WebSocketResponse, asyncio.Transport]] = {}

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Drive the market while the application runs; if that fails, end the process with the error."""
        driver = asyncio.create_task(self._drive(), name="simulation")
        driver.add_done_callback(_end_process_on_failure)
        pinger = asyncio.create_task(self._ping(), name="pings")
        pinger.add_done_callback(_end_process_on_failure)
        yield
        for task in (driver, pinger):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def say_goodbye(self, _: web.Application) -> None:
        """Close every socket, so that no handler holds up the end of the process."""
        for connection, (websocket, _transport) in list(self._sockets.items()):
            await self._close(websocket, connection, WSCloseCode.GOING_AWAY, "server shutdown")

    def handler(self, venue: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler of everything under a venue's prefix."""
        sockets = self._simulation.venues[venue].sockets

        async def handle(request: web.Request) -> web.StreamResponse:
            path = request.match_info["path"]
            if sockets.fullmatch(path):
                return await self._serve_socket(venue, path, request)
            return await self._serve_rest(venue, path, request)

        return handle

    def rest_handler(self, venue: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler of everything under the prefix of a venue without sockets."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve_rest(venue, request.match_info["path"], request)

        return handle

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while True:
            now_ns = time.time_ns()
            self._simulation.tick(now_ns)
            for connection in self._simulation.arrivals.take(now_ns):
                self._deliver(connection, now_ns)
            deadline = max(
                deadline + _TICK_S, loop.time()
            )  # a late tick delays the rest, it is not made up for
            await asyncio.sleep(deadline - loop.time())

    def _deliver(self, connection: Connection, now_ns: int) -> None:
        """Write what has arrived; what has no socket yet, or is slow, is looked at again in the next turn."""
        if connection in self._sockets:
            _write(connection, self._sockets[connection][1], now_ns)
        elif connection.session not in self._simulation.connections:
            return
        self._simulation.expect(connection)

    async def _ping(self) -> None:
        """Ping every client as often as its venue does, and drop those that do not answer."""
        while True:
            await asyncio.sleep(1.0)
            now_ns = time.time_ns()
            for connection, (websocket, transport) in list(self._sockets.items()):
                venue = self._simulation.venues[connection.venue]
                if now_ns - connection.pinged_ns < venue.ping_s * NS_PER_S:
                    continue
                if connection.pinged_ns - connection.ponged_ns > venue.pong_timeout_s * NS_PER_S:
                    logger.warning("client_silent", extra={"venue": connection.venue})
                    transport.abort()
                elif not websocket.closed:
                    self._simulation.ping(connection, now_ns)

    async def _serve_rest(self, venue: str, path: str, request: web.Request) -> web.StreamResponse:
        asked = RestRequest(path, dict(request.query), request.remote or "")
        reply = self._simulation.rest(venue, asked, time.time_ns())
        await asyncio.sleep(self._simulation.delay_s(venue))
        if self._simulation.bytes_per_s(venue) is None:
            return _response(reply)
        return await self._write_slowly(venue, reply, request)

    async def _write_slowly(self, venue: str, reply: RestReply, request: web.Request) -> web.StreamResponse:
        """Write an answer at the speed of the venue's line, and the rest at once when that is over."""
        rest = memoryview(reply.body.encode())
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_type = reply.content_type
        response.content_length = len(rest)
        await response.prepare(request)
        while rest:
            bytes_per_s = self._simulation.bytes_per_s(venue)
            part = len(rest) if bytes_per_s is None else max(1, int(bytes_per_s * _PART_S))
            await response.write(rest[:part])
            rest = rest[part:]
            await asyncio.sleep(_PART_S)
        await response.write_eof()
        return response

    async def _serve_socket(self, venue: str, path: str, request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(autoping=False, max_msg_size=_MAX_CLIENT_MESSAGE)
        if not websocket.can_prepare(request):
            return json_response({"error": "this path is a WebSocket"}, 426)
        try:
            connection = self._simulation.connect(venue, path, request.query, time.time_ns())
        except Unavailable as error:
            if error.reply is not None:
                return _response(error.reply)
            return json_response({"error": str(error)}, 503)
        except SessionRefusedError as error:
            return json_response({"error": str(error)}, 400)
        try:
            await websocket.prepare(request)
            connection.window_bits = int(websocket.compress)  # 0 if the client did not offer to inflate
            if request.transport is not None:  # None: the client left during the handshake
                self._sockets[connection] = (websocket, request.transport)
                self._simulation.arrivals.add(connection, 0)  # it may have been cut meanwhile
                await self._listen(websocket, connection)
        finally:
            self._sockets.pop(connection, None)
            self._simulation.close(connection)
        return websocket

    async def _listen(self, websocket: web.WebSocketResponse, connection: Connection) -> None:
        async for message in websocket:
            match message.type:
                case WSMsgType.TEXT:
                    reason = self._simulation.receive(connection, message.data, time.time_ns())
                    if reason is not None:
                        await self._close(websocket, connection, WSCloseCode.POLICY_VIOLATION, reason)
                case WSMsgType.PING:
                    self._simulation.pong(connection, message.data, time.time_ns())
                case WSMsgType.PONG:
                    connection.ponged_ns = time.time_ns()
                case _:
                    await self._close(websocket, connection, WSCloseCode.UNSUPPORTED_DATA, "text only")

    async def _close(
        self, websocket: web.WebSocketResponse, connection: Connection, code: WSCloseCode, reason: str
    ) -> None:
        """Close a socket between two frames."""
        rest = connection.line.finish_frame()
        if rest and connection in self._sockets:
            self._sockets[connection][1].write(rest)
        await websocket.close(code=code, message=reason.encode())


def _write(connection: Connection, transport: asyncio.Transport, now_ns: int) -> None:
    """Hand a client's socket what has arrived for it; cut one that is to be cut or does not read."""
    if connection.is_cut or transport.is_closing():
        transport.abort()
        return
    line, bytes_per_s = connection.line, connection.bytes_per_s
    arrived = line.arrived(now_ns) if bytes_per_s is None else line.trickled(now_ns, bytes_per_s)
    if arrived:
        transport.write(arrived)
    elif bytes_per_s is None:
        return
    if transport.get_write_buffer_size() + line.waiting > _MAX_UNREAD:
        logger.warning("client_too_slow", extra={"venue": connection.venue, "unread_bytes": _MAX_UNREAD})
        transport.abort()


def _response(reply: RestReply) -> web.Response:
    return web.Response(
        text=reply.body, status=reply.status, headers=reply.headers, content_type=reply.content_type
    )


def _end_process_on_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.critical("simulation_failed", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)  # the clean-up then awaits the task and raises its error
