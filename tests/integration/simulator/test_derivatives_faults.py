"""Faults of the answers about derivatives, and what is answered where a recording is played."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import json_of
from tests.integration.simulator.test_derivatives_protocol import status_and_body
from tests.integration.simulator.test_replay_sockets import a_binance_recording, replaying

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiohttp import ClientSession

PREMIUM = "/fapi/v1/premiumIndex"
SUMMARY = "/api/v2/public/get_book_summary_by_currency"
ASKED = {
    "binance-usdm": (PREMIUM, "?symbol=BTCUSDT"),
    "okx": ("/api/v5/public/funding-rate", "?instId=BTC-USDT-SWAP"),
    "bybit": ("/v5/market/tickers", "?category=linear&symbol=BTCUSDT"),
    "deribit": ("/api/v2/public/get_index_price", "?index_name=btc_usd"),
}
STAMP: Mapping[str, Callable[[Any], int]] = {
    "binance-usdm": lambda body: int(body["time"]),
    "okx": lambda body: int(body["data"][0]["ts"]),
    "bybit": lambda body: int(body["time"]),
}


async def inject(client: ClientSession, kind: str, venue: str, **more: Any) -> dict[str, Any]:
    async with client.post("/control/faults", json={"kind": kind, "venue": venue, **more}) as response:
        assert response.status == 201, await response.text()
        return await response.json()  # type: ignore[no-any-return]  # JSON


async def test_an_endpoint_is_limited_and_fails_while_others_answer(client: ClientSession) -> None:
    for venue, first_status in zip(ASKED, (500, 503, 500, 503), strict=True):  # in turn
        path, query = ASKED[venue]
        await inject(client, "rate_limit", venue, endpoint=path, once=True, durationS=60)
        async with client.get(f"/{venue}{path}{query}") as response:
            assert response.status == 429
            wait = response.headers.get("Retry-After")
            assert (wait is None) if venue == "deribit" else 58 <= int(wait or 0) <= 60
        other = {"binance-usdm": "/fapi/v1/fundingInfo", "deribit": "/api/v2/public/get_time"}
        times = {"okx": "/api/v5/public/time", "bybit": "/v5/market/time"}
        await json_of(client, f"/{venue}{(other | times)[venue]}")
        await client.delete("/control/faults")
        await json_of(client, f"/{venue}{path}{query}")
        await inject(client, "server_error", venue, symbol="BTC-USDT", endpoint=path, once=True)
        statuses = [(await status_and_body(client, f"/{venue}{path}{query}"))[0] for _ in range(2)]
        assert statuses == [first_status, 200]
        await client.delete("/control/faults")


async def test_a_frozen_endpoint_is_as_of_its_first_answer_and_goes_on(client: ClientSession) -> None:
    for venue, stamp in STAMP.items():
        path, query = ASKED[venue]
        url = f"/{venue}{path}{query}"
        fault = await inject(client, "freeze", venue, endpoint=path, once=True, durationS=60)
        first = await json_of(client, url)
        await asyncio.sleep(0.02)
        assert await json_of(client, url) == first
        (shown,) = (await json_of(client, "/control/faults"))["faults"]
        assert (shown["endpoint"], shown["state"], shown["injected"]) == (path, "active", 2)
        async with client.delete(f"/control/faults/{fault['id']}") as response:
            assert (await response.json())["faults"] == []
        assert stamp(await json_of(client, url)) > stamp(first)


async def test_a_frozen_deribit_repeats_its_chain(client: ClientSession) -> None:
    url = f"/deribit{SUMMARY}?currency=BTC&kind=option"
    await inject(client, "freeze", "deribit", once=True, durationS=60)
    first, second = await json_of(client, url), await json_of(client, url)
    assert first["result"] == second["result"]
    assert first["usIn"] < second["usIn"]
    await client.delete("/control/faults")
    third = await json_of(client, url)
    assert third["result"][0]["creation_timestamp"] > first["result"][0]["creation_timestamp"]


async def test_malformed_answers_come_in_turn(client: ClientSession) -> None:
    for venue, (path, query) in ASKED.items():
        url = f"/{venue}{path}{query}"
        await inject(client, "malformed", venue, endpoint=path, probability=1.0)
        bodies = []
        for _ in range(5):
            async with client.get(url) as response:
                assert response.status == 200
                bodies.append((response.content_type, await response.text()))
        (_, cut), (page, _), (_, objects), (_, nans), (_, negatives) = bodies
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(cut)
        assert page == "text/html"
        assert '{"value":true}' in objects
        assert "NaN" in nans
        assert "-1.5" in negatives
        json.loads(objects)
        await client.delete("/control/faults")


async def test_books_know_nothing_of_an_endpoints_fault(client: ClientSession) -> None:
    await inject(client, "freeze", "okx", endpoint="/api/v5/public/mark-price", once=True, durationS=60)
    await json_of(client, "/okx/api/v5/public/mark-price?instType=SWAP")
    async with client.ws_connect("/okx/ws/v5/public") as socket:
        await socket.send_json({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})
        for _ in range(3):
            await socket.receive_json(timeout=10)


async def test_a_blocked_venue_without_books_says_so_in_its_words(client: ClientSession) -> None:
    for venue in ("binance-usdm", "deribit"):
        await inject(client, "blocked", venue, status=451, durationS=60)
        path, query = ASKED[venue]
        async with client.get(f"/{venue}{path}{query}") as response:
            assert response.status == 451
            assert response.content_type == ("text/html" if venue == "deribit" else "application/json")


async def test_a_replay_answers_as_of_no_contract(tmp_path: Path) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl.zst", diffs=3, spacing_ns=10**9)
    async with replaying(recording) as replay:
        found = {}
        for path in (
            "/binance-usdm/fapi/v1/premiumIndex",
            "/binance-usdm/fapi/v1/premiumIndex?symbol=BTCUSDT",
            "/binance-usdm/fapi/v1/fundingInfo",
            "/binance-usdm/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT&period=5m",
            "/okx/api/v5/public/funding-rate?instId=BTC-USDT-SWAP",
            "/okx/api/v5/public/mark-price?instType=SWAP",
            "/okx/api/v5/market/index-tickers?quoteCcy=USDT",
            "/bybit/v5/market/tickers?category=linear",
            "/bybit/v5/market/tickers?category=spot",
            "/bybit/v5/market/tickers?category=linear&symbol=BTCUSDT",
            "/deribit/api/v2/public/get_book_summary_by_currency?currency=BTC&kind=option",
            "/deribit/api/v2/public/get_instruments?currency=BTC&kind=option",
            "/deribit/api/v2/public/get_index_price?index_name=btc_usd",
            "/deribit/api/v2/public/ticker?instrument_name=BTC-1DEC26-90000-C",
        ):
            async with replay.http.get(replay.server.make_url(path)) as response:
                found[path] = (response.status, await response.json())
    assert [answer[0] for answer in found.values()] == [200, 400, 200, 400, *[200] * 8, 400, 400]
    answers = [answer[1] for answer in found.values()]
    assert answers[0] == answers[2] == []
    assert [answers[1]["code"], answers[3]["code"], answers[4]["code"]] == [-1121, -1121, "51001"]
    assert answers[5]["data"] == answers[6]["data"] == []
    assert answers[7]["result"]["list"] == answers[8]["result"]["list"] == []
    assert answers[9]["retCode"] == 10001
    assert answers[10]["result"] == answers[11]["result"] == []
    assert [answer["error"]["code"] for answer in answers[12:]] == [-32602, -32602]
