"""A local host of every source: each path has an answer, and what is wrong with it."""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as dt_time
from functools import cache
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.option_surfaces import summaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


BOMB = gzip.compress(b" " * 50_000_000)


@dataclass
class Host:
    """What it answers with, and what it was asked."""

    url: str = ""
    faults: dict[str, str] = field(default_factory=dict)  # by the beginning of a path
    asked: list[str] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        self.asked.append(path)
        fault = next((what for start, what in self.faults.items() if path.startswith(start)), "")
        match fault:
            case "limited":
                return web.Response(status=429, headers={"Retry-After": "7"})
            case "blocked":
                return web.Response(status=403, text="<html>no</html>")
            case "broken":
                return web.Response(status=500, text="oops")
            case "busy":
                return web.Response(status=503, headers={"Retry-After": "30"})
            case "html":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            case "away":
                raise web.HTTPFound("http://127.0.0.1:9/elsewhere")
            case "huge":
                return web.Response(body=b"[" + b" " * 4_000_000 + b"]")
            case "bomb":
                headers = {"Content-Encoding": "gzip"}
                return web.Response(body=BOMB, headers=headers)
            case "silent":
                await self.held.wait()
            case "cut":
                assert request.transport is not None
                request.transport.close()
        return web.json_response(self.content(request, old=fault == "old"))

    def content(self, request: web.Request, *, old: bool) -> Any:
        said: Any
        ms = int(time.time() * 1000) - (600_000 if old else 0)
        symbol = request.query.get("symbol", "BTCUSDT")
        inst = request.query.get("instId", "BTC-USDT-SWAP")
        row = {"symbol": symbol, "markPrice": "101", "indexPrice": "100"}
        match request.path.split("/")[-1]:
            case "premiumIndex":
                said = [
                    row | {"symbol": each, "lastFundingRate": "0.0001", "time": ms} for each in PERPETUALS
                ]
            case "fundingInfo":
                said = [{"symbol": "ETHUSDT", "fundingIntervalHours": 4}]
            case "mark-price":
                swaps = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
                said = okx([{"instId": each, "markPx": "102", "ts": str(ms)} for each in swaps])
            case "index-tickers":
                said = okx([{"instId": inst, "idxPx": "100", "ts": str(ms)}])
            case "funding-rate":
                times = {"fundingTime": "28800000", "nextFundingTime": "57600000", "ts": str(ms)}
                said = okx([{"instId": inst, "fundingRate": "0.0002", **times}])
            case "tickers":
                result = {"category": "linear", "list": [row | {"fundingRate": "0.0003"}]}
                said = {"retCode": 0, "retMsg": "OK", "result": result, "time": ms}
            case "get_book_summary_by_currency":
                said = options(request.query["currency"], ms)
            case "n-transactions":
                day = int(time.time()) // 86_400 * 86_400
                said = {"values": [{"x": day - n * 86_400, "y": 100.0 + n % 3} for n in range(30)]}
            case "recommended":
                said = {"fastestFee": 40, "halfHourFee": 30, "hourFee": 20}
            case "globalLongShortAccountRatio":
                said = [{"longAccount": "0.6", "shortAccount": "0.4", "timestamp": ms}]
            case _:
                said = {"data": [{"value": "75", "timestamp": str(ms // 1000)}]}
        return said


PERPETUALS = ("BTCUSDT", "ETHUSDT")


def okx(rows: list[dict[str, str]]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": rows}


@cache
def surface(currency: str, day: date) -> list[dict[str, Any]]:
    """Return options of two expiries whose puts are dearer, seen from a day."""
    strikes = [float(K) for K in range(50_000, 80_000, 1_000)]
    rows: list[dict[str, Any]] = []
    for days in (20, 50):
        expiry = datetime.combine(day, dt_time(8), UTC) + timedelta(days=days)
        rows += summaries(lambda K: 0.6 - 1e-6 * K, strikes, 64_000.0, expiry, currency)
    return rows


def options(currency: str, ms: int) -> dict[str, Any]:
    """Return a surface, said at a time."""
    rows = surface(currency, datetime.fromtimestamp(ms / 1000, tz=UTC).date())
    return {"jsonrpc": "2.0", "result": [row | {"creation_timestamp": ms} for row in rows]}


@asynccontextmanager
async def context_host() -> AsyncIterator[Host]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{path:.*}", host.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield host
    finally:
        host.held.set()
        await runner.cleanup()
