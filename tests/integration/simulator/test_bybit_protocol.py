from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import GapError, NaiveBook, json_of

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

STREAM = "/bybit/v5/public/spot"
BTC = "orderbook.50.BTCUSDT"


class BybitClient:
    """The published rule: a snapshot, or `u` of 1, overwrites; else `u` is the next one."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.book = NaiveBook()
        self.update_id: int | None = None
        self.deltas = 0
        self.orphans = 0

    def message(self, raw: str) -> None:
        message = json.loads(raw)
        if message.get("topic") != self.topic:
            return
        data = message["data"]
        if message["type"] == "snapshot" or data["u"] == 1:
            self.book = NaiveBook()
        elif self.update_id is None or data["u"] != self.update_id + 1:
            raise GapError(f"{data['u']} after {self.update_id}")
        else:
            self.deltas += 1
        self.update_id = data["u"]
        for side, key in (("bids", "b"), ("asks", "a")):
            levels = [(Decimal(price), Decimal(size)) for price, size in data[key]]
            self.orphans += sum(not size and price not in getattr(self.book, side) for price, size in levels)
            self.book.apply(side, levels)


async def subscribe(socket: ClientWebSocketResponse, *topics: str, op: str = "subscribe") -> None:
    await socket.send_json({"op": op, "args": list(topics), "req_id": "7"})


async def until_answer(socket: ClientWebSocketResponse) -> dict[str, Any]:
    while "op" not in (message := await socket.receive_json(timeout=10)):
        pass
    answer: dict[str, Any] = message
    return answer


@pytest.mark.parametrize("depth", [50, 200, 1000])
async def test_a_counted_book_fills_its_window_and_equals_the_truth(
    client: ClientSession, depth: int
) -> None:
    topic = f"orderbook.{depth}.BTCUSDT"
    naive = BybitClient(topic)
    async with client.ws_connect(STREAM, max_msg_size=0) as socket:
        await subscribe(socket, topic)
        while naive.deltas < 60:
            naive.message(await socket.receive_str(timeout=10))
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/bybit/BTC-USDT")
        while naive.update_id != truth["venueSeq"]:  # what was on the line when the market was held
            naive.message(await socket.receive_str(timeout=5))
        assert naive.book.top() == (truth["bids"][:depth], truth["asks"][:depth])
        assert naive.orphans == 0


async def test_a_late_client_ends_with_the_same_book_under_the_same_number(client: ClientSession) -> None:
    early, late = BybitClient(BTC), BybitClient(BTC)
    async with client.ws_connect(STREAM) as first, client.ws_connect(STREAM) as second:
        await subscribe(first, BTC)
        while early.deltas < 20:
            early.message(await first.receive_str(timeout=10))
        await subscribe(second, BTC)
        while late.deltas < 20:
            late.message(await second.receive_str(timeout=10))
        assert late.update_id is not None
        while early.update_id is None or early.update_id < late.update_id:
            early.message(await first.receive_str(timeout=5))
        while late.update_id < early.update_id:
            late.message(await second.receive_str(timeout=5))
        assert late.book.top() == early.book.top()


async def test_one_level_comes_in_snapshots_alone(client: ClientSession) -> None:
    topic = "orderbook.1.ETHUSDT"
    async with client.ws_connect(STREAM) as socket:
        await subscribe(socket, topic)
        await until_answer(socket)
        numbers = []
        for _ in range(5):
            message = await socket.receive_json(timeout=10)
            assert (message["topic"], message["type"]) == (topic, "snapshot")
            assert (len(message["data"]["b"]), len(message["data"]["a"])) == (1, 1)
            numbers.append(message["data"]["u"])
    assert numbers == list(range(numbers[0], numbers[0] + 5))


async def test_trades_carry_the_taker_s_side_and_rising_ids(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        await subscribe(socket, "publicTrade.BTCUSDT")
        await until_answer(socket)
        trades: list[dict[str, Any]] = []
        while len(trades) < 5:
            trades += (await socket.receive_json(timeout=20))["data"]
    assert {trade["s"] for trade in trades} == {"BTCUSDT"}
    assert {trade["S"] for trade in trades} <= {"Buy", "Sell"}
    ids = [int(trade["i"]) for trade in trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_requests_are_answered_in_the_venue_s_words(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        await socket.send_json({"op": "ping"})
        pong = await until_answer(socket)
        assert (pong["success"], pong["ret_msg"], pong["op"]) == (True, "pong", "ping")
        await subscribe(socket, BTC)
        ack = await until_answer(socket)
        assert (ack["success"], ack["ret_msg"], ack["req_id"]) == (True, "subscribe", "7")
        refusals = {
            (BTC,): f"error:already subscribed,topic:{BTC}",
            ("orderbook.30.BTCUSDT",): "error:handler not found,topic:orderbook.30.BTCUSDT",
            tuple(f"publicTrade.X{n}" for n in range(11)): "args size >10",
            (): "error:args is empty",
        }
        for topics, words in refusals.items():
            await subscribe(socket, *topics)
            refusal = await until_answer(socket)
            assert (refusal["success"], refusal["ret_msg"]) == (False, words)
        for text, words in (('{"op":"nope"}', "error:invalid op"), ("hello", "Failed to decode")):
            await socket.send_str(text)
            assert (await until_answer(socket))["ret_msg"].startswith(words)
        await subscribe(socket, BTC, op="unsubscribe")
        assert (await until_answer(socket))["success"]


async def test_a_refused_topic_takes_the_others_of_its_request_with_it(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        await subscribe(socket, "orderbook.50.NOPEUSDT", BTC)
        assert not (await until_answer(socket))["success"]
        await subscribe(socket, BTC)
        assert (await until_answer(socket))["success"]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("drop", GapError),
        ("duplicate", GapError),
        ("reorder", GapError),
        ("corrupt", GapError),
        ("malformed", (ValueError, TypeError, ArithmeticError)),  # by what is malformed
    ],
)
async def test_a_fault_breaks_the_count_or_the_message(
    client: ClientSession, kind: str, found: type[Exception] | tuple[type[Exception], ...]
) -> None:
    naive = BybitClient(BTC)
    async with client.ws_connect(STREAM) as socket:
        await subscribe(socket, BTC)
        while naive.deltas < 5:
            naive.message(await socket.receive_str(timeout=10))
        await client.post("/control/faults", json={"kind": kind, "venue": "bybit", "once": True})
        with pytest.raises(found):  # noqa: PT012 -- whichever message it is
            for _ in range(200):
                raw = await socket.receive_str(timeout=10)
                naive.message(raw)
                sizes = [size for key in ("b", "a") for _, size in json.loads(raw)["data"][key]]
                if any(isinstance(size, str) and not Decimal(size) >= 0 for size in sizes):
                    raise ValueError(raw)


async def test_a_cross_keeps_the_count_and_shows_in_the_book(client: ClientSession) -> None:
    naive = BybitClient(BTC)
    async with client.ws_connect(STREAM) as socket:
        await subscribe(socket, BTC)
        await client.post("/control/faults", json={"kind": "cross", "venue": "bybit", "once": True})
        for _ in range(200):
            naive.message(await socket.receive_str(timeout=10))
            if naive.book.bids and max(naive.book.bids) >= min(naive.book.asks):
                return
    raise AssertionError("the book never crossed")


async def test_candles_come_newest_first_within_their_bounds(client: ClientSession) -> None:
    path = "/bybit/v5/market/kline?category=spot&symbol=BTCUSDT"
    body = await json_of(client, f"{path}&interval=1&limit=10")
    assert (body["retCode"], body["result"]["symbol"]) == (0, "BTCUSDT")
    rows = body["result"]["list"]
    opens = [int(row[0]) for row in rows]
    assert opens == [opens[0] - 60_000 * n for n in range(10)]
    assert all(len(row) == 7 and all(isinstance(cell, str) for cell in row) for row in rows)
    inside = await json_of(client, f"{path}&interval=1&start={opens[5]}&end={opens[2]}")
    assert [int(row[0]) for row in inside["result"]["list"]] == opens[2:6]
    days = await json_of(client, f"{path}&interval=D")
    assert len(days["result"]["list"]) == 4  # three of history and today


async def test_rest_refuses_in_the_venue_s_words(client: ClientSession) -> None:
    for path, words in (
        ("kline?category=spot&symbol=NOPE&interval=1", "Not supported symbols"),
        ("kline?category=linear&symbol=BTCUSDT&interval=1", "params error: Category is invalid"),
        ("orderbook?category=spot&symbol=BTCUSDT&limit=1001", "params error: limit invalid"),
        ("kline?category=spot&symbol=BTCUSDT&interval=1&start=x", "params error: start invalid"),
    ):
        body = await json_of(client, f"/bybit/v5/market/{path}")
        assert (body["retCode"], body["retMsg"]) == (10001, words)
    await client.post(
        "/control/faults", json={"kind": "rate_limit", "venue": "bybit", "once": True, "durationS": 5}
    )
    async with client.get("/bybit/v5/market/time") as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) <= 5
        assert (await response.json())["retCode"] == 10429


async def test_the_instruments_say_tick_and_lot(client: ClientSession) -> None:
    body = await json_of(client, "/bybit/v5/market/instruments-info?category=spot")
    (btc,) = (row for row in body["result"]["list"] if row["symbol"] == "BTCUSDT")
    assert (btc["priceFilter"]["tickSize"], btc["lotSizeFilter"]["basePrecision"]) == ("0.1", "0.000001")
    assert btc["status"] == "Trading"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("category=spot", ["BTCUSDT", "ETHUSDT", "SOLUSDT"]),
        ("category=spot&symbol=ETHUSDT", ["ETHUSDT"]),
        ("category=spot&symbol=NOSUCHUSDT", []),
        ("category=linear&status=Trading&limit=1000", []),
    ],
)
async def test_an_instrument_that_is_not_listed_is_an_empty_list(
    client: ClientSession, query: str, names: list[str]
) -> None:
    body = await json_of(client, f"/bybit/v5/market/instruments-info?{query}")
    assert (body["retCode"], [row["symbol"] for row in body["result"]["list"]]) == (0, names)
    assert body["result"]["category"] == query.partition("&")[0].removeprefix("category=")


async def test_the_rest_book_is_that_of_the_stream_of_1000_levels(client: ClientSession) -> None:
    naive, tops = BybitClient("orderbook.1000.BTCUSDT"), dict[int, Any]()
    path = "/bybit/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=200"
    compared = 0
    async with client.ws_connect(STREAM) as socket:
        await subscribe(socket, "orderbook.1000.BTCUSDT")
        asked = None
        while compared < 3:
            naive.message(await socket.receive_str(timeout=5))
            if naive.update_id is None:
                continue
            tops[naive.update_id] = naive.book.top(200)
            if asked is None:
                asked = (await json_of(client, path))["result"]
            if asked["u"] in tops:
                sides = [[[float(cell) for cell in level] for level in asked[side]] for side in "ba"]
                assert tuple(sides) == tops[asked["u"]]
                compared, asked = compared + 1, None


async def test_without_subscribers_the_rest_books_number_rises_with_the_book(client: ClientSession) -> None:
    path = "/bybit/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=50"
    await client.post("/control/pause")
    held = [(await json_of(client, path))["result"] for _ in range(2)]
    assert held[0]["u"] == held[1]["u"]
    await client.post("/control/resume")
    while (later := (await json_of(client, path))["result"])["b"] == held[0]["b"]:
        pass
    assert later["u"] > held[0]["u"]
