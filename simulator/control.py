"""Control routes: the truth about each book, pause and resume, faults. Not part of any venue's protocol."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from simulator.fault_requests import parse_fault

if TYPE_CHECKING:
    from simulator.simulation import Simulation


def json_response(value: object, status: int = 200) -> web.Response:
    """Return a value as a JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


class Control:
    """Handlers of /control."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.get("/control/books", self._books),
            web.get("/control/books/{venue}/{symbol}", self._book),
            web.post("/control/pause", self._pause),
            web.post("/control/resume", self._resume),
            web.post("/control/faults", self._add_fault),
            web.get("/control/faults", self._faults),
            web.delete("/control/faults", self._clear_faults),
            web.delete(r"/control/faults/{id:\d{1,9}}", self._end_fault),
        ]

    async def _books(self, _: web.Request) -> web.Response:
        simulation = self._simulation
        books = [
            {"venue": venue, "symbol": symbol, "venueSeq": simulation.venues[venue].sequence(symbol)}
            for venue, symbol in simulation.market.pairs
        ]
        return json_response({"paused": simulation.is_paused, "books": books})

    async def _book(self, request: web.Request) -> web.Response:
        venue, spelling = request.match_info["venue"], request.match_info["symbol"]
        pairs = self._simulation.market.pairs
        try:
            symbol = canonical_symbol(spelling)
        except UnknownSymbolError as error:
            return json_response({"error": str(error)}, 404)
        if (venue, symbol) not in pairs:
            served = ", ".join(f"{name}/{pair}" for name, pair in pairs)
            return json_response({"error": f"no book {venue}/{symbol}; there are {served}"}, 404)
        return json_response(self._simulation.truth(venue, symbol, time.time_ns()))

    async def _pause(self, _: web.Request) -> web.Response:
        self._simulation.pause(time.time_ns())
        return json_response({"paused": True})

    async def _resume(self, _: web.Request) -> web.Response:
        self._simulation.resume()
        return json_response({"paused": False})

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = parse_fault(await request.read(), self._simulation.market.pairs, canonical_symbol)
        except ValueError as error:
            return json_response({"error": str(error)}, 422)
        return json_response(self._simulation.add_fault(fault, time.time_ns()), 201)

    async def _faults(self, _: web.Request) -> web.Response:
        faults = self._simulation.faults
        return json_response({"faults": faults.statuses(time.time_ns()), "injected": faults.totals})

    async def _end_fault(self, request: web.Request) -> web.Response:
        """End one fault and forget it."""
        now_ns, number = time.time_ns(), int(request.match_info["id"])
        if not self._simulation.faults.end(number, now_ns):
            return json_response({"error": f"no fault {number}; GET /control/faults lists them"}, 404)
        return await self._faults(request)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._simulation.clear_faults(time.time_ns())
        return json_response({"faults": []})
