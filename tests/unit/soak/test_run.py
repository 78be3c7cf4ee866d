"""What becomes of a soak whose gateway or simulator does not answer as it should."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.bench.processes import free_port
from tests.soak.run import SoakError, Watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.soak.run import System


@asynccontextmanager
async def watched(folder: Path, gateway: web.Application, simulator: str) -> AsyncIterator[Watched]:
    async with TestServer(gateway) as server, aiohttp.ClientSession() as http:
        system = SimpleNamespace(gateway=str(server.make_url("")).rstrip("/"), simulator=simulator)
        yield Watched(cast("System", system), http, folder, 1.0, 1, lambda _: None)


def a_gateway(status: int, books: object) -> web.Application:
    async def tell(_request: web.Request) -> web.Response:
        return web.json_response(books, status=status)

    app = web.Application()
    app.router.add_get("/api/l2", tell)
    app.router.add_get("/readyz", tell)
    return app


async def test_a_gateway_that_is_not_ready_has_not_healed(tmp_path: Path) -> None:
    problem = {"type": "/docs#not-ready", "title": "Not ready", "status": 503}
    async with watched(tmp_path, a_gateway(503, problem), "") as soak:
        assert not await soak.healed()


async def test_books_that_are_live_have_healed(tmp_path: Path) -> None:
    async with watched(tmp_path, a_gateway(200, [{"state": "LIVE"}]), "") as soak:
        assert await soak.healed()


async def test_where_no_book_is_told_nothing_is_watched(tmp_path: Path) -> None:
    async with watched(tmp_path, a_gateway(200, []), "") as soak:
        with pytest.raises(SoakError, match="no book"):
            await soak.run()


async def test_a_simulator_that_does_not_answer_breaks_a_promise_and_not_the_run(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    async with watched(tmp_path, a_gateway(200, []), nobody) as soak:
        await soak.fault([{"kind": "drop"}])
        (broken,) = soak.broken
    assert "did not take POST {'kind': 'drop'}" in broken
