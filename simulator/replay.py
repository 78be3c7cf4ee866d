"""Serves a recording through the sockets and addresses of the exchanges it was recorded from."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from simulator.boundary import boundary, for_own_pages
from simulator.replay_catalogue import catalogue_of
from simulator.replay_clients import Client
from simulator.replay_derivatives import routes_without_contracts
from simulator.replay_hub import Hub
from simulator.replay_player import Player
from simulator.replay_venue import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from simulator.replay_catalogue import Catalogue
    from simulator.replay_venue import ReplayVenue
    from simulator.settings import SimulatorSettings

PING_S: Final = 20.0  # Binance's: web-socket-streams.md
MAX_REQUEST_BYTES: Final = 64 * 1024

_log = logging.getLogger(__name__)


def list_books(settings: SimulatorSettings) -> list[str]:
    """Return every book that the recordings of `settings` can give, as ``venue:SYMBOL``.

    Raises
    ------
    RecordingError
        If a recording cannot be read, or there is no such book.
    """
    return catalogue_of(settings.replay_paths).books()


def create_replay_app(settings: SimulatorSettings) -> web.Application:
    """Return the application that replays the recordings of `settings`; it reads them once before it returns.

    Raises
    ------
    RecordingError
        If a recording cannot be read, or holds no book that can be replayed.
    """
    catalogue = catalogue_of(settings.replay_paths)
    for venue in catalogue.venues:
        if venue.unnamed:
            _log.warning("replay_unnamed", extra={"venue": venue.venue, "symbols": sorted(venue.unnamed)})
    if catalogue.foreign:
        _log.warning("replay_foreign", extra={"records": catalogue.foreign})
    hub = Hub[Client]()
    player = Player(catalogue, settings, hub)
    app = web.Application(middlewares=[boundary(settings)])
    app.on_response_prepare.append(for_own_pages)
    numbers = itertools.count(1)
    for venue in catalogue.venues:
        for path in venue.socket_paths:
            app.router.add_get(path, _socket_handler(venue, player, hub, numbers))
        for path in venue.rest_paths:
            app.router.add_get(path, _rest_handler(venue, player))
    app.add_routes(routes_without_contracts())
    _add_control(app, catalogue, player)
    app.cleanup_ctx.append(_clockwork(player))
    app.on_shutdown.append(_farewell(hub))
    return app


def _socket_handler(
    venue: ReplayVenue, player: Player, hub: Hub[Client], numbers: itertools.count[int]
) -> Callable[[web.Request], Awaitable[web.WebSocketResponse]]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=PING_S, compress=False, max_msg_size=MAX_REQUEST_BYTES)
        await socket.prepare(request)
        session = Session(next(numbers))
        client = Client(socket, request.transport, venue, session)
        hub.clients[client] = None
        writer = asyncio.create_task(client.write())
        try:
            player.answer(client, venue.connect(session, request.path, request.query))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    player.answer(client, venue.request(session, message.data, time.time_ns()))
        finally:
            hub.leave(client)
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
        return socket

    return handle


# The endpoints of instruments of Binance, Bybit, Kraken, OKX, Bitstamp and Coinbase (services/l2/feeds).
INSTRUMENTS: Final = re.compile(
    r"/(exchangeInfo|instruments-info|AssetPairs|public/instruments|v2/markets/?|market/products/[^/]+)$"
)


def _rest_handler(venue: ReplayVenue, player: Player) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if INSTRUMENTS.search(request.path):
            raise web.HTTPNotFound(text="a recording holds no instruments")
        answer = await player.rest(venue, request.path, request.query)
        return web.Response(text=answer.body, status=answer.status, content_type="application/json")

    return handle


def _add_control(app: web.Application, catalogue: Catalogue, player: Player) -> None:
    async def books(_: web.Request) -> web.Response:
        return _json({"paused": player.paused, "books": _listing(catalogue)})

    async def book(request: web.Request) -> web.Response:
        return _truth(catalogue, request.match_info["venue"], request.match_info["symbol"])

    async def position(_: web.Request) -> web.Response:
        return _json(player.position())

    async def pause(_: web.Request) -> web.Response:
        player.pause()
        return _json({"paused": True})

    async def resume(_: web.Request) -> web.Response:
        player.resume()
        return _json({"paused": False})

    app.router.add_get("/control/books", books)
    app.router.add_get("/control/books/{venue}/{symbol}", book)
    app.router.add_get("/control/replay", position)
    app.router.add_post("/control/pause", pause)
    app.router.add_post("/control/resume", resume)


def _listing(catalogue: Catalogue) -> list[dict[str, object]]:
    listing: list[dict[str, object]] = []
    for venue in catalogue.venues:
        for symbol in venue.symbols():
            truth = venue.truth(symbol)
            sequence = None if truth is None else truth.venue_seq
            listing.append({"venue": venue.venue, "symbol": symbol, "venueSeq": sequence})
    return listing


def _truth(catalogue: Catalogue, venue_id: str, spelling: str) -> web.Response:
    venue = next((venue for venue in catalogue.venues if venue.venue == venue_id), None)
    known = ", ".join(catalogue.books())
    if venue is None:
        return _json({"error": f"the recording has no venue {venue_id[:40]!r}; it has {known}"}, status=404)
    try:
        truth = venue.truth(canonical_symbol(spelling))
    except (KeyError, UnknownSymbolError):
        return _json(
            {"error": f"the recording has no {venue_id}:{spelling[:40]}; it has {known}"}, status=404
        )
    if truth is None:
        return _json({"error": "the recording has not come to this book's snapshot"}, status=503)
    return _json(truth)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _clockwork(player: Player) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(_: web.Application) -> AsyncIterator[None]:
        def note(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                player.failed(error)

        tasks = [asyncio.create_task(part()) for part in (player.run, player.report, player.beat)]
        for task in tasks:
            task.add_done_callback(note)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return run


def _farewell(hub: Hub[Client]) -> Callable[[web.Application], Awaitable[None]]:
    async def say(_: web.Application) -> None:
        closing = [client.socket.close(code=WSCloseCode.GOING_AWAY) for client in list(hub.clients)]
        await asyncio.gather(*closing)

    return say
