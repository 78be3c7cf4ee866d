from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import KrakenClient, json_of, texts

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse


async def subscribe(socket: ClientWebSocketResponse, **params: Any) -> None:
    await socket.send_json({"method": "subscribe", "params": params, "req_id": 7})


async def until_channel(socket: ClientWebSocketResponse, key: str, value: object) -> dict[str, Any]:
    async for raw in texts(socket):
        message: dict[str, Any] = json.loads(raw)
        if message.get(key) == value:
            return message
    raise AssertionError("the socket closed")


@pytest.mark.parametrize("depth", [10, 25, 100, 1000])
async def test_a_truncated_book_keeps_its_checksums_and_equals_the_truth(
    client: ClientSession, depth: int
) -> None:
    naive = KrakenClient(depth)
    async with client.ws_connect("/kraken/v2") as socket:
        await subscribe(socket, channel="book", symbol=["BTC/USDT"], depth=depth)
        while naive.updates < 150:
            naive.message(await socket.receive_str())
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/kraken/BTC-USDT")
        want = (truth["bids"][:depth], truth["asks"][:depth])
        while naive.book.top() != want:  # what was on the line when the market was held
            naive.message(await socket.receive_str(timeout=5))


async def test_levels_that_fall_out_of_the_window_are_not_mentioned(client: ClientSession) -> None:
    naive, dropped = KrakenClient(10), 0
    async with client.ws_connect("/kraken/v2") as socket:
        await subscribe(socket, channel="book", symbol=["ETH/USDT"], depth=10)
        while dropped < 5:
            before = set(naive.book.bids)
            raw = await socket.receive_str()
            naive.message(raw)
            gone = before - set(naive.book.bids)
            zeros = {level["price"] for level in deletions(raw)}
            dropped += len([price for price in gone if float(price) not in zeros])


def deletions(raw: str) -> list[dict[str, float]]:
    message = json.loads(raw)
    if message.get("channel") != "book":
        return []
    return [level for side in ("bids", "asks") for level in message["data"][0][side] if level["qty"] == 0]


async def test_a_subscription_is_greeted_acknowledged_and_ended(client: ClientSession) -> None:
    async with client.ws_connect("/kraken/v2") as socket:
        assert (await socket.receive_json())["data"][0]["system"] == "online"
        await subscribe(socket, channel="book", symbol=["BTC/USDT", "NO/PE"])
        ack = await socket.receive_json()
        assert ack["success"]
        assert ack["req_id"] == 7
        assert ack["result"] == {"channel": "book", "symbol": "BTC/USDT", "depth": 10, "snapshot": True}
        refusal = await until_channel(socket, "success", value=False)
        assert refusal["symbol"] == "NO/PE"
        assert "not supported" in refusal["error"]
        await subscribe(socket, channel="book", symbol=["BTC/USDT"])
        again = await until_channel(socket, "success", value=False)
        assert again["error"] == "Already subscribed"
        await socket.send_json(
            {"method": "unsubscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 10}}
        )
        assert (await until_channel(socket, "method", "unsubscribe"))["success"]


async def test_ping_is_answered(client: ClientSession) -> None:
    async with client.ws_connect("/kraken/v2") as socket:
        await socket.send_json({"method": "ping", "req_id": 101})
        assert (await until_channel(socket, "method", "pong"))["req_id"] == 101


async def test_a_silent_subscription_gets_heartbeats_while_the_market_is_held(client: ClientSession) -> None:
    async with client.ws_connect("/kraken/v2") as socket:
        await client.post("/control/pause")
        await subscribe(socket, channel="trade", symbol=["BTC/USDT"])
        for _ in range(2):
            assert await until_channel(socket, "channel", "heartbeat") == {"channel": "heartbeat"}


async def test_trades_follow_their_snapshot(client: ClientSession) -> None:
    async with client.ws_connect("/kraken/v2") as socket:
        await subscribe(socket, channel="trade", symbol=["BTC/USDT"], snapshot=True)
        snapshot = await until_channel(socket, "channel", "trade")
        assert snapshot["type"] == "snapshot"
        update = await until_channel(socket, "channel", "trade")
        assert update["type"] == "update"
        seen = [trade["trade_id"] for trade in snapshot["data"]]
        if seen:
            assert update["data"][0]["trade_id"] == seen[-1] + 1


async def test_instrument_gives_the_precision_of_the_checksum(client: ClientSession) -> None:
    async with client.ws_connect("/kraken/v2") as socket:
        await subscribe(socket, channel="instrument")
        message = await until_channel(socket, "channel", "instrument")
    pairs = {pair["symbol"]: pair for pair in message["data"]["pairs"]}
    assert (pairs["BTC/USDT"]["price_precision"], pairs["BTC/USDT"]["qty_precision"]) == (1, 8)


async def test_candles_come_in_the_venues_rows(client: ClientSession) -> None:
    path = "/kraken/0/public/OHLC?pair=BTC/USDT&interval=1"
    body = await json_of(client, path)
    assert body["error"] == []
    last = body["result"].pop("last")
    (rows,) = body["result"].values()
    assert len(rows) == 720
    assert [type(cell) for cell in rows[0]] == [int, str, str, str, str, str, str, int]
    assert last == rows[-2][0]
    later = await json_of(client, f"{path}&since={rows[-4][0]}")
    assert [row[0] for row in later["result"]["BTC/USDT"]][:3] == [row[0] for row in rows[-3:]]


@pytest.mark.parametrize("asked", ["BTC/USDT", "XBT/USDT", "XBTUSDT", "BTCUSDT"])
async def test_what_is_about_a_pair_is_answered_under_the_name_it_was_asked_by(
    client: ClientSession, asked: str
) -> None:
    pairs = (await json_of(client, f"/kraken/0/public/AssetPairs?pair={asked}"))["result"]
    assert list(pairs) == [asked]
    assert (pairs[asked]["altname"], pairs[asked]["wsname"], pairs[asked]["status"]) == (
        "XBTUSDT",
        "XBT/USDT",
        "online",
    )
    book = (await json_of(client, f"/kraken/0/public/Depth?pair={asked}&count=5"))["result"]
    assert (list(book), len(book[asked]["bids"])) == ([asked], 5)
    candles = (await json_of(client, f"/kraken/0/public/OHLC?pair={asked}"))["result"]
    assert set(candles) == {asked, "last"}


async def test_assets_and_all_pairs_are_told(client: ClientSession) -> None:
    assets = (await json_of(client, "/kraken/0/public/Assets"))["result"]
    assert {name: asset["altname"] for name, asset in assets.items()} == {
        "XXBT": "XBT",
        "USDT": "USDT",
        "XETH": "ETH",
        "SOL": "SOL",
    }
    assert list((await json_of(client, "/kraken/0/public/Assets?asset=XBT,SOL"))["result"]) == ["XXBT", "SOL"]
    pairs = (await json_of(client, "/kraken/0/public/AssetPairs"))["result"]
    assert {name: (pair["base"], pair["quote"]) for name, pair in pairs.items()} == {
        "XBTUSDT": ("XXBT", "USDT"),
        "ETHUSDT": ("XETH", "USDT"),
        "SOLUSDT": ("SOL", "USDT"),
    }
    for path, error in (
        ("Assets?asset=NOPE", "EQuery:Unknown asset"),
        ("AssetPairs?pair=NOPE", "EQuery:Unknown asset pair"),
    ):
        assert (await json_of(client, f"/kraken/0/public/{path}"))["error"] == [error]


async def test_the_time_is_told_twice(client: ClientSession) -> None:
    told = (await json_of(client, "/kraken/0/public/Time"))["result"]
    parsed = datetime.strptime(told["rfc1123"], "%a, %d %b %y %H:%M:%S %z")
    assert parsed.timestamp() == told["unixtime"]


async def test_rest_refuses_in_the_venues_words(client: ClientSession) -> None:
    assert await json_of(client, "/kraken/0/public/Depth?pair=NOPE") == {
        "error": ["EQuery:Unknown asset pair"]
    }
    body = await json_of(client, "/kraken/0/public/OHLC?pair=XBTUSDT&interval=2")
    assert body == {"error": ["EGeneral:Invalid arguments"]}
    for _ in range(40):
        async with client.get("/kraken/0/public/Time") as response:
            if response.status == 429:
                assert response.headers["Retry-After"] == "1"
                return
    raise AssertionError("never limited")
