from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import GapError, NaiveBook, json_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession, ClientWebSocketResponse

REST = "/coinbase/api/v3/brokerage"
SIDES = {"bid": "bids", "offer": "asks"}


class CoinbaseClient:
    """The published rule: each frame of the connection has the next number, and zero removes a level."""

    def __init__(self, socket: ClientWebSocketResponse, product: str = "BTC-USDT") -> None:
        self.socket = socket
        self.product = product
        self.book = NaiveBook()
        self.number: int | None = None
        self.updates = 0

    async def subscribe(self, *channels: str, **more: Any) -> None:
        for channel in channels:
            message = {"type": "subscribe", "product_ids": [self.product], "channel": channel}
            await self.socket.send_json(message | more)

    async def frame(self) -> dict[str, Any]:
        """Return the next frame, after counting and applying it."""
        frame: dict[str, Any] = json.loads(await self.socket.receive_str(timeout=10))
        if "sequence_num" not in frame:
            return frame
        due = 0 if self.number is None else self.number + 1
        if frame["sequence_num"] != due:
            raise GapError(f"{frame['sequence_num']} where {due} was due")
        self.number = due
        if frame["channel"] == "l2_data":
            for event in frame["events"]:
                self.apply(event)
        return frame

    async def until(self, channel: str) -> dict[str, Any]:
        while (frame := await self.frame()).get("channel") != channel:
            pass
        return frame

    async def follow(self) -> None:
        """Read on until something is wrong."""
        while True:
            await self.frame()

    def apply(self, event: dict[str, Any]) -> None:
        if event["product_id"] != self.product:
            return
        if event["type"] == "snapshot":
            self.book = NaiveBook()
        else:
            self.updates += 1
        for change in event["updates"]:
            level = (Decimal(change["price_level"]), Decimal(change["new_quantity"]))
            self.book.apply(SIDES[change["side"]], [level])

    @property
    def is_crossed(self) -> bool:
        return bool(self.book.bids) and max(self.book.bids) >= min(self.book.asks)


@asynccontextmanager
async def connected(client: ClientSession, product: str = "BTC-USDT") -> AsyncIterator[CoinbaseClient]:
    async with client.ws_connect("/coinbase/", max_msg_size=0) as socket:
        yield CoinbaseClient(socket, product)


async def inject(client: ClientSession, kind: str, **more: Any) -> None:
    body = {"kind": kind, "venue": "coinbase", "symbol": "BTCUSDT", "once": True, **more}
    async with client.post("/control/faults", json=body) as response:
        assert response.status == 201, await response.text()


async def test_the_book_equals_the_truth_with_every_frame_of_three_channels_counted(
    client: ClientSession,
) -> None:
    async with connected(client) as naive:
        await naive.subscribe("level2", "market_trades", "heartbeats")
        while naive.updates < 300:
            await naive.frame()
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/coinbase/BTC-USDT")
        while naive.book.top() != (truth["bids"], truth["asks"]):  # what was on the line
            await naive.frame()
        assert naive.number is not None
        assert naive.number > naive.updates + 5
        assert len(truth["bids"]) > 300


async def test_two_connections_see_the_same_news_under_numbers_of_their_own(client: ClientSession) -> None:
    async with connected(client) as first, connected(client) as second:
        await first.subscribe("heartbeats", "level2")
        while first.updates < 5:
            await first.frame()
        await second.subscribe("level2")
        while second.updates < 20:
            await second.frame()
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/coinbase/BTC-USDT")
        for naive in (first, second):
            while naive.book.top() != (truth["bids"], truth["asks"]):
                await naive.frame()
    assert first.number is not None
    assert second.number is not None
    assert first.number > second.number


async def test_channels_are_confirmed_one_by_one_and_end_when_they_are_unsubscribed(
    client: ClientSession,
) -> None:
    async with connected(client) as naive:
        await naive.subscribe("level2", "heartbeats")
        held = [(await naive.until("subscriptions"))["events"][0]["subscriptions"] for _ in range(2)]
        assert held == [
            {"level2": ["BTC-USDT"]},
            {"heartbeats": ["heartbeats"], "level2": ["BTC-USDT"]},
        ]
        await naive.subscribe("level2", type="unsubscribe")
        assert (await naive.until("subscriptions"))["events"][0]["subscriptions"] == {
            "heartbeats": ["heartbeats"]
        }
        for _ in range(2):
            assert (await naive.frame())["channel"] == "heartbeats"


async def test_heartbeats_come_about_every_second_and_count(client: ClientSession) -> None:
    async with connected(client) as naive:
        await naive.subscribe("heartbeats")
        first = (await naive.until("heartbeats"))["events"][0]["heartbeat_counter"]
        started = time.monotonic()
        for number in (1, 2):
            assert (await naive.frame())["events"][0]["heartbeat_counter"] == first + number
        assert 1.0 < time.monotonic() - started < 5.0


async def test_trades_follow_their_snapshot_newest_first_with_the_makers_side(client: ClientSession) -> None:
    async with connected(client) as naive:
        await naive.subscribe("level2", "market_trades")
        snapshot = await naive.until("market_trades")
        assert snapshot["events"][0]["type"] == "snapshot"
        seen = [int(trade["trade_id"]) for trade in snapshot["events"][0]["trades"]]
        assert seen == sorted(seen, reverse=True)
        matched = 0
        while matched < 10:
            trades = (await naive.until("market_trades"))["events"][0]["trades"]
            ids = [int(trade["trade_id"]) for trade in trades]
            assert ids == sorted(ids, reverse=True)
            assert not seen or ids[-1] == seen[0] + 1
            seen = ids
            matched += len(ids)
            assert {trade["side"] for trade in trades} <= {"BUY", "SELL"}


async def test_what_cannot_be_subscribed_is_refused_by_an_error_without_a_number(
    client: ClientSession,
) -> None:
    async with connected(client) as naive:
        for message in (
            {"type": "subscribe", "channel": "level2", "product_ids": ["NO-PE"]},
            {"type": "subscribe", "channel": "gossip", "product_ids": ["BTC-USDT"]},
            {"type": "subscribe", "channel": "level2"},
            {"type": "dance"},
            7,
        ):
            await naive.socket.send_json(message)
            assert (await naive.frame())["type"] == "error"
        await naive.subscribe("level2")
        assert (await naive.frame())["sequence_num"] == 0


@pytest.mark.parametrize("kind", ["drop", "duplicate", "reorder", "corrupt", "freeze"])
async def test_a_fault_of_the_stream_is_a_hole_in_the_count(client: ClientSession, kind: str) -> None:
    async with connected(client) as naive:
        await naive.subscribe("level2")
        while naive.updates < 5:
            await naive.frame()
        await inject(client, kind, **({"durationS": 0.3} if kind == "freeze" else {}))
        with pytest.raises(GapError):
            await naive.follow()


async def test_a_crossing_frame_has_the_right_number(client: ClientSession) -> None:
    async with connected(client) as naive:
        await naive.subscribe("level2")
        while naive.updates < 5:
            await naive.frame()
            assert not naive.is_crossed
        await inject(client, "cross")
        while not naive.is_crossed:
            await naive.frame()


async def test_malformed_frames_take_turns_in_four_shapes(client: ClientSession) -> None:
    shapes = set[str]()
    async with connected(client) as naive:
        await naive.subscribe("level2")
        while naive.updates < 5:
            await naive.frame()
        await inject(client, "malformed", once=False, probability=1.0)
        async with asyncio.timeout(30):
            while len(shapes) < 4:
                shapes.add(shape_of(await naive.socket.receive_str()))
                shapes.discard("sound")
    assert shapes == {"truncated", "wrong type", "NaN", "negative"}


def shape_of(text: str) -> str:
    try:
        events = json.loads(text)["events"]
    except ValueError:
        return "truncated"
    size = events[0]["updates"][0]["new_quantity"] if "updates" in events[0] else "0"
    if not isinstance(size, str):
        return "wrong type"
    if size == "NaN":
        return "NaN"
    return "negative" if float(size) < 0 else "sound"


async def test_a_disconnect_cuts_the_socket(client: ClientSession) -> None:
    async with connected(client) as naive:
        await naive.subscribe("level2")
        await naive.frame()
        await inject(client, "disconnect")
        with pytest.raises(TypeError):  # no text, but the end
            await naive.follow()


async def test_candles_come_newest_first_within_start_and_end(client: ClientSession) -> None:
    now = int((await json_of(client, f"{REST}/time"))["epochSeconds"])
    start = now // 60 * 60 - 10 * 60
    path = f"{REST}/market/products/BTC-USDT/candles"
    body = await json_of(client, f"{path}?start={start}&end={start + 300}&granularity=ONE_MINUTE")
    assert [int(row["start"]) for row in body["candles"]] == [start + 60 * n for n in range(5, -1, -1)]
    assert set(body["candles"][0]) == {"start", "low", "high", "open", "close", "volume"}
    for query in (
        f"start={start}&end={start + 350 * 60}&granularity=ONE_MINUTE",
        f"start={start}&end={start + 60}&granularity=ONE_SECOND",
        f"start={start}&granularity=ONE_MINUTE",
        "start=x&end=y&granularity=ONE_MINUTE",
    ):
        async with client.get(f"{path}?{query}") as response:
            assert (response.status, (await response.json())["error"]) == (400, "INVALID_ARGUMENT")


async def test_products_and_books_are_told_by_rest(client: ClientSession) -> None:
    await client.post("/control/pause")
    products = (await json_of(client, f"{REST}/market/products"))["products"]
    btc = next(product for product in products if product["product_id"] == "BTC-USDT")
    assert (btc["price_increment"], btc["base_increment"]) == ("0.01", "0.00000001")
    truth = await json_of(client, "/control/books/coinbase/BTC-USDT")
    book = (await json_of(client, f"{REST}/market/product_book?product_id=BTC-USDT&limit=3"))["pricebook"]
    assert [[float(level["price"]), float(level["size"])] for level in book["bids"]] == truth["bids"][:3]
    ticker = await json_of(client, f"{REST}/market/products/BTC-USDT/ticker?limit=5")
    assert float(ticker["best_ask"]) == truth["asks"][0][0]
    async with client.get(f"{REST}/market/products/NO-PE") as response:
        assert (response.status, (await response.json())["error"]) == (404, "NOT_FOUND")


async def test_products_are_told_by_page_and_type(client: ClientSession) -> None:
    for query, names in (
        ("", ["BTC-USDT", "ETH-USDT", "SOL-USDT"]),
        ("?product_type=SPOT&limit=1&offset=1", ["ETH-USDT"]),
        ("?product_type=FUTURE", []),
    ):
        body = await json_of(client, f"{REST}/market/products{query}")
        assert [product["product_id"] for product in body["products"]] == names
        assert body["num_products"] == len(names)
    one = await json_of(client, f"{REST}/market/products/ETH-USDT")
    assert (one["status"], one["trading_disabled"], one["display_name"]) == ("online", False, "ETH-USDT")


async def test_the_app_tells_time_currencies_and_rates(client: ClientSession) -> None:
    time = (await json_of(client, "/coinbase/v2/time"))["data"]
    moment = datetime.fromtimestamp(time["epoch"], UTC)
    assert time["iso"] == f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    assert await json_of(client, "/coinbase/v2/currencies") == {"data": []}
    crypto = (await json_of(client, "/coinbase/v2/currencies/crypto"))["data"]
    assert [(each["code"], each["name"]) for each in crypto][:2] == [("BTC", "Bitcoin"), ("USDT", "Tether")]
    await client.post("/control/pause")
    truth = await json_of(client, "/control/books/coinbase/BTC-USDT")
    rates = (await json_of(client, "/coinbase/v2/exchange-rates?currency=BTC"))["data"]
    assert (rates["currency"], rates["rates"]["BTC"]) == ("BTC", "1.0")
    assert float(rates["rates"].get("USDT", truth["bids"][0][0])) == pytest.approx(
        truth["bids"][0][0], rel=1e-2
    )


async def test_rest_is_limited_and_fails_on_demand(client: ClientSession) -> None:
    path = f"{REST}/market/products/BTC-USDT/candles?start=0&end=60&granularity=ONE_MINUTE"
    await inject(client, "rate_limit", durationS=0.2)
    async with client.get(path) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
    await inject(client, "server_error")
    statuses = set()
    for _ in range(60):
        async with client.get(path) as response:
            statuses.add(response.status)
    assert statuses & {500, 503}
    assert statuses >= {200, 429}
