from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import BinanceClient, json_of, texts

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

STREAMS = "/binance/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"


async def follow(client: ClientSession, socket: ClientWebSocketResponse, until: int) -> BinanceClient:
    """Splice a snapshot to the stream and follow it for some diffs."""
    naive, buffered = BinanceClient(), list[dict[str, Any]]()
    async for raw in texts(socket):
        data = json.loads(raw)["data"]
        if data.get("e") != "depthUpdate":
            continue
        buffered.append(data)
        if len(buffered) == 2:
            naive.snapshot(await json_of(client, "/binance/api/v3/depth?symbol=BTCUSDT&limit=5000"))
        if len(buffered) >= 2:
            for diff in buffered:
                naive.diff(diff)
        if naive.diffs >= until:
            return naive
    raise AssertionError("the socket closed")


async def test_a_book_spliced_by_the_documented_rule_equals_the_truth(client: ClientSession) -> None:
    async with client.ws_connect(STREAMS) as socket:
        naive = await follow(client, socket, until=10)
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/binance/BTC-USDT")
        assert truth["paused"]
        while naive.update_id < truth["venueSeq"]:
            data = json.loads(await socket.receive_str())["data"]
            if data.get("e") == "depthUpdate":
                naive.diff(data)
    assert naive.update_id == truth["venueSeq"]
    assert naive.book.top() == (truth["bids"], truth["asks"])
    assert len(truth["bids"]) > 300


async def test_the_truth_of_a_running_market_has_been_sent(client: ClientSession) -> None:
    async with client.ws_connect(STREAMS) as socket:
        naive = await follow(client, socket, until=3)
        truth = await json_of(client, "/control/books/binance/btcusdt")
        while naive.update_id < truth["venueSeq"]:
            data = json.loads(await socket.receive_str())["data"]
            if data.get("e") == "depthUpdate":
                naive.diff(data)
    assert naive.update_id == truth["venueSeq"]
    assert naive.book.top() == (truth["bids"], truth["asks"])


async def test_a_best_price_with_the_books_id_equals_the_books_best(client: ClientSession) -> None:
    compared = 0
    async with client.ws_connect(STREAMS) as socket:
        naive, tickers = await follow(client, socket, until=1), dict[int, dict[str, Any]]()
        async for raw in texts(socket):
            data = json.loads(raw)["data"]
            if "b" in data and "B" in data:
                tickers[data["u"]] = data
            elif data.get("e") == "depthUpdate":
                naive.diff(data)
                ticker = tickers.get(naive.update_id)
                if ticker is not None:
                    (bid, *_), (ask, *_) = naive.book.top(1)
                    assert bid == [float(ticker["b"]), float(ticker["B"])]
                    assert ask == [float(ticker["a"]), float(ticker["A"])]
                    compared += 1
            if compared == 3:
                break


async def test_trade_ids_are_contiguous_and_prices_have_eight_places(client: ClientSession) -> None:
    trades = list[dict[str, Any]]()
    async with client.ws_connect("/binance/ws/btcusdt@trade") as socket:
        async for raw in texts(socket):
            trades.append(json.loads(raw))
            if len(trades) == 20:
                break
    first = trades[0]["t"]
    assert [trade["t"] for trade in trades] == list(range(first, first + 20))
    assert {len(trade["p"].partition(".")[2]) for trade in trades} == {8}
    assert {"e", "E", "s", "t", "p", "q", "T", "m", "M"} == trades[0].keys()


async def test_an_aggregate_is_the_trades_of_a_taker_at_a_price(client: ClientSession) -> None:
    aggregates, trades = list[dict[str, Any]](), dict[int, dict[str, Any]]()
    async with client.ws_connect("/binance/stream?streams=btcusdt@trade/btcusdt@aggTrade") as socket:
        async for raw in texts(socket):
            data = json.loads(raw)["data"]
            if data["e"] == "trade":
                trades[data["t"]] = data
            else:
                aggregates.append(data)
            if len(aggregates) == 20:
                break
    assert aggregates[0].keys() == {"e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"}
    assert [each["a"] for each in aggregates] == [aggregates[0]["a"] + n for n in range(20)]
    assert all(b["f"] == a["l"] + 1 for a, b in pairwise(aggregates))
    for each in aggregates:
        parts = [trades[number] for number in range(each["f"], each["l"] + 1)]
        assert {(part["p"], part["m"]) for part in parts} == {(each["p"], each["m"])}
        assert sum(Decimal(part["q"]) for part in parts) == Decimal(each["q"])


@pytest.mark.parametrize(
    "path",
    [
        "/ws/0",
        "/ws/dogeusdt@depth",
        "/ws/btcusdt@kline_1m",
        "/ws",
        "/ws/",
        "/stream",
        "/stream?streams=!ticker@arr",
    ],
)
async def test_a_stream_that_is_not_served_connects_and_is_silent(client: ClientSession, path: str) -> None:
    async with client.ws_connect(f"/binance{path}") as socket:
        await socket.send_json(
            {"method": "SUBSCRIBE", "params": ["nosuch@depth", "btcusdt@depth@100ms"], "id": 4}
        )
        assert await socket.receive_json() == {"result": None, "id": 4}
        message = await socket.receive_json()
        assert (message.get("data", message))["e"] == "depthUpdate"
        assert ("stream" in message) == path.startswith("/stream")


async def test_a_client_may_ask_for_the_envelope_later(client: ClientSession) -> None:
    async with client.ws_connect("/binance/ws/btcusdt@depth@100ms") as socket:
        for number, (method, params) in enumerate(
            (
                ("GET_PROPERTY", ["combined"]),
                ("SET_PROPERTY", ["combined", True]),
                ("SET_PROPERTY", ["combined", "yes"]),
                ("GET_PROPERTY", ["colour"]),
            )
        ):
            await socket.send_json({"method": method, "params": params, "id": number})
        answers = [message async for message in answers_of(socket, 4)]
        assert "stream" in await socket.receive_json()
    assert [answer.get("result", answer.get("error", {}).get("code")) for answer in answers] == [
        False,
        None,
        1,
        0,
    ]


async def test_streams_are_subscribed_listed_and_unsubscribed(client: ClientSession) -> None:
    async with client.ws_connect("/binance/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["ethusdt@depth@100ms"], "id": 1})
        assert await socket.receive_json() == {"result": None, "id": 1}
        assert (await socket.receive_json())["e"] == "depthUpdate"
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "two"})
        answers = [message async for message in answers_of(socket, 1)]
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["ethusdt@depth@100ms"], "id": 3})
        answers += [message async for message in answers_of(socket, 1)]
        await socket.send_json({"method": "DANCE", "id": 4})
        answers += [message async for message in answers_of(socket, 1)]
    assert answers[0] == {"result": ["ethusdt@depth@100ms"], "id": "two"}
    assert answers[1] == {"result": None, "id": 3}
    assert answers[2]["error"]["code"] == 2
    assert "unknown variant DANCE, expected one of `SUBSCRIBE`" in answers[2]["error"]["msg"]


async def answers_of(socket: ClientWebSocketResponse, count: int) -> Any:
    """Yield the next messages that answer a request."""
    async for raw in texts(socket):
        message = json.loads(raw)
        if "id" in message:
            yield message
            count -= 1
        if not count:
            return


async def test_a_client_that_talks_too_much_is_disconnected(client: ClientSession) -> None:
    async with client.ws_connect("/binance/ws") as socket:
        for _ in range(12):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        async for _ in texts(socket):
            pass
        assert socket.close_code == 1008


async def test_depth_weighs_by_its_limit_and_too_much_weight_is_429(client: ClientSession) -> None:
    used = []
    for limit in (100, 101, 1000, 5000):
        async with client.get(f"/binance/api/v3/depth?symbol=BTCUSDT&limit={limit}") as response:
            used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))
    assert sum(b < a for a, b in pairwise(used)) <= 1  # at most one new minute
    for _ in range(60):  # 24 requests of weight 250 fill a minute; two minutes cannot take 60
        async with client.get("/binance/api/v3/depth?symbol=BTCUSDT&limit=5000") as response:
            if response.status == 429:
                assert 1 <= int(response.headers["Retry-After"]) <= 60
                assert (await response.json())["code"] == -1003
                return
    raise AssertionError("never limited")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("depth?symbol=NOPE", -1121),
        ("depth", -1102),
        ("depth?symbol=BTCUSDT&limit=x", -1100),
        ("klines?symbol=BTCUSDT&interval=7m", -1120),
        ("exchangeInfo?symbol=NOPE", -1121),
        ('exchangeInfo?symbols=["BTCUSDT","NOPE"]', -1121),
        ("exchangeInfo?symbols=BTCUSDT", -1100),
        ('exchangeInfo?symbol=BTCUSDT&symbols=["BTCUSDT"]', -1128),
    ],
)
async def test_a_wrong_request_gets_the_venues_code(client: ClientSession, path: str, code: int) -> None:
    async with client.get(f"/binance/api/v3/{path}") as response:
        assert response.status == 400
        assert (await response.json())["code"] == code


async def test_klines_are_contiguous_and_end_in_the_book(client: ClientSession) -> None:
    rows = await json_of(client, "/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000")
    truth = await json_of(client, "/control/books/binance/BTC-USDT")
    assert len(rows) == 1000
    assert [len(row) for row in rows] == [12] * 1000
    assert {b[0] - a[0] for a, b in pairwise(rows)} == {60_000}
    assert all(row[6] == row[0] + 59_999 for row in rows)
    assert float(rows[-1][4]) == pytest.approx(truth["bids"][0][0], rel=2e-3)


async def test_klines_page_by_start_time(client: ClientSession) -> None:
    path = "/binance/api/v3/klines?symbol=ETHUSDT&interval=1m"
    rows = await json_of(client, f"{path}&limit=10")
    page = await json_of(client, f"{path}&startTime={rows[2][0]}&limit=3")
    assert page == rows[2:5]
    days = await json_of(client, "/binance/api/v3/klines?symbol=ETHUSDT&interval=1d&startTime=0&limit=2")
    assert len(days) == 2  # the history begins long after 1970; paging starts at its first day


async def test_exchange_info_names_tick_and_lot(client: ClientSession) -> None:
    info = await json_of(client, "/binance/api/v3/exchangeInfo?symbol=BTCUSDT")
    filters = {entry["filterType"]: entry for entry in info["symbols"][0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert info["symbols"][0]["status"] == "TRADING"
    assert info["symbols"][0]["permissionSets"] == [["SPOT"]]


async def test_exchange_info_is_of_one_symbol_of_some_or_of_all(client: ClientSession) -> None:
    path = "/binance/api/v3/exchangeInfo"
    told = [
        [entry["symbol"] for entry in (await json_of(client, path + query))["symbols"]]
        for query in ("?symbol=ETHUSDT", '?symbols=["SOLUSDT","BTCUSDT"]', "")
    ]
    assert told == [["ETHUSDT"], ["SOLUSDT", "BTCUSDT"], ["BTCUSDT", "ETHUSDT", "SOLUSDT"]]


async def test_an_unlisted_symbol_is_refused_in_the_venues_bytes(client: ClientSession) -> None:
    async with client.get("/binance/api/v3/exchangeInfo?symbol=NOPE") as response:
        assert (response.status, await response.json()) == (400, {"code": -1121, "msg": "Invalid symbol."})
