"""Control routes: the truth about each book, pause and resume, faults. Not part of any venue's protocol."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.time_units import NS_PER_MS
from simulator.derivatives_truth import funding_truth, options_truth
from simulator.fault_kinds import kinds
from simulator.fault_requests import parse_fault
from simulator.funding import PERPETUAL_VENUES
from simulator.latent import NS_DAY

if TYPE_CHECKING:
    from simulator.simulation import Simulation


_LEAST_DAYS: Final = 0.05
_MOST_DAYS: Final = 500.0
_SPAN_NS: Final = 60 * NS_DAY  # about now, of which the truth may be asked


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
            web.get("/control/options/{currency}", self._options),
            web.get("/control/funding/{venue}/{symbol}", self._funding),
            web.post("/control/pause", self._pause),
            web.post("/control/resume", self._resume),
            web.post("/control/faults", self._add_fault),
            web.get("/control/faults", self._faults),
            web.get("/control/kinds", self._kinds),
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

    async def _options(self, request: web.Request) -> web.Response:
        """Tell the truth about a coin's options, `atMs` if given, and at a constant `days` to expiry."""
        try:
            now_ns, days = _time_asked(request), _days_asked(request)
        except ValueError as error:
            return json_response({"error": str(error)}, 422)
        options, coin = self._simulation.market.derivatives.options, request.match_info["currency"].upper()
        if coin not in options.coins:
            there = ", ".join(options.coins) or "none"
            return json_response({"error": f"no options on {coin[:20]}; there are {there}"}, 404)
        return json_response(options_truth(options, coin, now_ns, days))

    async def _funding(self, request: web.Request) -> web.Response:
        """Tell the truth about a perpetual, `atMs` if given."""
        venue, spelling = request.match_info["venue"], request.match_info["symbol"]
        perpetuals = self._simulation.market.derivatives.perpetuals
        try:
            now_ns = _time_asked(request)
        except ValueError as error:
            return json_response({"error": str(error)}, 422)
        try:
            symbol = canonical_symbol(spelling)
        except UnknownSymbolError as error:
            return json_response({"error": str(error)}, 404)
        if venue not in PERPETUAL_VENUES or symbol not in perpetuals.symbols:
            there = f"{', '.join(PERPETUAL_VENUES)} each have {', '.join(perpetuals.symbols)}"
            return json_response({"error": f"no perpetual {venue[:40]}/{symbol}; {there}"}, 404)
        return json_response(funding_truth(perpetuals.at(venue, symbol, now_ns)))

    async def _pause(self, _: web.Request) -> web.Response:
        self._simulation.pause(time.time_ns())
        return json_response({"paused": True})

    async def _resume(self, _: web.Request) -> web.Response:
        self._simulation.resume()
        return json_response({"paused": False})

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            simulation = self._simulation
            body = await request.read()
            fault = parse_fault(body, simulation.told_of, canonical_symbol, simulation.bookless)
        except ValueError as error:
            return json_response({"error": str(error)}, 422)
        return json_response(self._simulation.add_fault(fault, time.time_ns()), 201)

    async def _faults(self, _: web.Request) -> web.Response:
        faults = self._simulation.faults
        return json_response({"faults": faults.statuses(time.time_ns()), "injected": faults.totals})

    async def _kinds(self, _: web.Request) -> web.Response:
        return json_response(kinds())

    async def _end_fault(self, request: web.Request) -> web.Response:
        """End one fault and forget it."""
        now_ns, number = time.time_ns(), int(request.match_info["id"])
        if not self._simulation.faults.end(number, now_ns):
            return json_response({"error": f"no fault {number}; GET /control/faults lists them"}, 404)
        return await self._faults(request)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._simulation.clear_faults(time.time_ns())
        return json_response({"faults": []})


def _time_asked(request: web.Request) -> int:
    """Return the time of the query's `atMs`, else now, in ns."""
    now_ns, text = time.time_ns(), request.query.get("atMs")
    if text is None:
        return now_ns
    asked_ns = int(text) * NS_PER_MS if text.isascii() and text.isdigit() and len(text) < 16 else -1  # noqa: PLR2004
    if abs(asked_ns - now_ns) > _SPAN_NS:
        raise ValueError("atMs is a time in ms, at most 60 days from now")
    return asked_ns


def _days_asked(request: web.Request) -> float:
    """Return the number of the query's `days`, else 30."""
    wrong = f"days is a number from {_LEAST_DAYS} to {_MOST_DAYS}"
    try:
        days = float(request.query.get("days", "30"))
    except ValueError:
        raise ValueError(wrong) from None
    if not _LEAST_DAYS <= days <= _MOST_DAYS:
        raise ValueError(wrong)
    return days
