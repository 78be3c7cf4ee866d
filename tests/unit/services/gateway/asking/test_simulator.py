"""Faults of the simulated exchanges over HTTP, asked of a simulator that a test stands in for."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from services.gateway.asking import simulator
from services.gateway.http.view import encode
from simulator.fault_kinds import kinds
from simulator.fault_requests import FaultStatus, parse_fault
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BOOKS = (("okx", "SOL-USDT"), ("kraken", "BTC-USDT"))
DROP = {"kind": "drop", "venue": "okx", "symbol": "SOL-USDT", "once": True}
JSON = {"content-type": "application/json"}


class StandIn:
    """Answers as the simulator's control does, by its own rules of what a fault is."""

    def __init__(self) -> None:
        self.faults: dict[int, FaultStatus] = {}
        self.answer: web.Response | None = None  # to everything

    async def add(self, request: web.Request) -> web.Response:
        if self.answer is not None:
            return self.answer
        try:
            fault = parse_fault(await request.read(), BOOKS, str)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=422)
        number = len(self.faults) + 1
        self.faults[number] = FaultStatus.of(fault, id=number, injected=0, state="armed")
        return self._json(self.faults[number], 201)

    async def show(self, _: web.Request) -> web.Response:
        if self.answer is not None:
            return self.answer
        return self._json({"faults": list(self.faults.values()), "injected": {"drop": 3}})

    async def books(self, _: web.Request) -> web.Response:
        books = [{"venue": venue, "symbol": symbol, "venueSeq": 7} for venue, symbol in BOOKS]
        return web.json_response({"paused": False, "books": books})

    async def kinds(self, _: web.Request) -> web.Response:
        return self._json(kinds())

    async def end(self, request: web.Request) -> web.Response:
        number = int(request.match_info.get("id", 0))
        if number and number not in self.faults:
            return web.json_response(
                {"error": f"no fault {number}; GET /control/faults lists them"}, status=404
            )
        self.faults = {each: fault for each, fault in self.faults.items() if number and each != number}
        return self._json({"faults": list(self.faults.values())})

    def _json(self, value: object, status: int = 200) -> web.Response:
        return web.Response(body=encode(value), status=status, content_type="application/json")


@asynccontextmanager
async def a_world(**settings: Any) -> AsyncIterator[tuple[World, StandIn]]:
    stand_in, app = StandIn(), web.Application()
    app.router.add_post("/control/faults", stand_in.add)
    app.router.add_get("/control/faults", stand_in.show)
    app.router.add_get("/control/books", stand_in.books)
    app.router.add_get("/control/kinds", stand_in.kinds)
    app.router.add_delete("/control/faults", stand_in.end)
    app.router.add_delete("/control/faults/{id}", stand_in.end)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield World(**{"feed": "simulator", "simulator_url": f"http://{host}:{port}/"} | settings), stand_in
    finally:
        await runner.cleanup()


async def add(world: World, fault: object, **headers: str) -> Any:
    return await world.ask("/api/simulation/faults", "POST", json.dumps(fault).encode(), JSON | headers)


async def test_faults_are_asked_for_shown_and_ended() -> None:
    async with a_world() as (world, _):
        added = (await add(world, DROP)).json()
        assert added == {
            "id": 1,
            "kind": "drop",
            "venue": "okx",
            "symbol": "SOL-USDT",
            "injected": 0,
            "state": "armed",
            "once": True,
        }
        await add(world, {"kind": "blocked", "venue": "kraken", "status": 429, "durationS": 5})
        shown = (await world.ask("/api/simulation")).json()
        assert shown["feed"] == "simulator"
        assert [(fault["kind"], fault.get("durationS")) for fault in shown["faults"]] == [
            ("drop", None),
            ("blocked", 5.0),
        ]
        assert shown["injected"] == {"drop": 3}
        assert shown["books"] == [{"venue": venue, "symbol": symbol} for venue, symbol in BOOKS]
        blocked = next(kind for kind in shown["kinds"] if kind["kind"] == "blocked")
        assert (blocked["must"], blocked["may"]) == (["status", "durationS"], ["at"])
        assert blocked["choices"] == {"status": [403, 418, 429, 451], "at": ["socket", "rest", "both"]}
        left = (await world.ask("/api/simulation/faults/1", "DELETE")).json()["faults"]
        assert [fault["id"] for fault in left] == [2]
        assert (await world.ask("/api/simulation/faults", "DELETE")).json() == {"faults": []}


async def test_what_the_simulator_refuses_is_told_in_its_words() -> None:
    async with a_world() as (world, _):
        answer = await add(world, {"kind": "drift", "venue": "okx", "once": True})
        assert_problem(answer, 422, "invalid")
        assert "drift lacks bps, durationS; it takes bps, durationS, symbol?" in answer.json()["detail"]
        assert_problem(await world.ask("/api/simulation/faults/7", "DELETE"), 404, "unknown-name")
        for wrong in ({"kind": "drop"}, DROP | {"colour": "red"}, DROP | {"durationS": 0}):
            assert_problem(await add(world, wrong), 422, "invalid")
        assert_problem(await world.ask("/api/simulation/faults/0", "DELETE"), 422, "invalid")


@pytest.mark.parametrize("feed", ["live", "replay:/days/of/somebody.ndjson"])
async def test_where_the_books_are_not_simulated_there_is_no_simulation(feed: str) -> None:
    async with a_world(feed=feed) as (world, stand_in):
        for answer in (
            await world.ask("/api/simulation"),
            await add(world, DROP),
            await world.ask("/api/simulation/faults", "DELETE"),
        ):
            assert_problem(answer, 404, "unknown-name")
            assert "somebody" not in answer.json()["detail"]
        assert not stand_in.faults


async def test_a_change_takes_the_token_where_one_is_set_and_looking_does_not() -> None:
    token = "aB3dE6gH9jK2mN5pQ8"  # noqa: S105 -- of this test
    async with a_world(token=token) as (world, stand_in):
        assert_problem(await add(world, DROP), 401, "unauthorized")
        assert_problem(await world.ask("/api/simulation/faults", "DELETE"), 401, "unauthorized")
        assert not stand_in.faults
        assert (await world.ask("/api/simulation")).status == 200
        assert (await add(world, DROP, authorization=f"Bearer {token}")).status == 200


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=500, text="oops"), "answers with status 500"),
        (web.Response(text="a page"), "answers something else than expected"),
        (web.Response(status=302, headers={"Location": "http://localhost:9/"}), "answers something else"),
    ],
)
async def test_a_simulator_that_is_none_is_told_as_such(answer: web.Response, said: str) -> None:
    async with a_world() as (world, stand_in):
        stand_in.answer = answer
        told = await add(world, DROP)
        assert_problem(told, 503, "unavailable")
        assert said in told.json()["detail"]


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    async with a_world() as (world, stand_in):
        whole = encode(FaultStatus.of(parse_fault(encode(DROP), BOOKS, str), id=1, injected=0, state="armed"))

        async def pieces() -> AsyncIterator[bytes]:
            yield whole[:20]
            await asyncio.sleep(0.05)  # so that the first is read before the others come
            yield whole[20:]

        stand_in.answer = web.Response(body=pieces(), content_type="application/json")
        assert (await add(world, DROP)).json()["kind"] == "drop"


async def test_an_answer_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "MOST_BYTES", 64)
    async with a_world() as (world, stand_in):
        stand_in.answer = web.Response(text="x" * 65)
        told = await add(world, DROP)
        assert_problem(told, 503, "unavailable")
        assert "answers more than 64 bytes" in told.json()["detail"]


async def test_a_simulator_that_is_away_is_told_as_such() -> None:
    world = World(simulator_url="http://127.0.0.1:9")
    answer = await world.ask("/api/simulation")
    assert_problem(answer, 503, "unavailable")
    assert "cannot be reached" in answer.json()["detail"]
