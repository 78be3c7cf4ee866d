from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from tests.integration.simulator.naive_clients import NaiveBook, json_of

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

PATH = "/kraken/"


class V1Client:
    """The published rule: apply every map in order, truncate, then the checksum of the last map must fit."""

    def __init__(self, depth: int) -> None:
        self.book = NaiveBook()
        self.depth = depth
        self.verified = 0
        self._texts: dict[str, dict[Decimal, str]] = {"bids": {}, "asks": {}}  # price and size as sent

    def message(self, raw: str) -> None:
        frame = json.loads(raw)
        if not isinstance(frame, list):
            return
        maps = frame[1:-2]
        for each in maps:
            for key, side in (("as", "asks"), ("bs", "bids"), ("a", "asks"), ("b", "bids")):
                self._apply(side, each.get(key, []))
        self.book.truncate(self.depth)
        if "c" in maps[-1]:
            assert crc32(self._digest().encode()) == int(maps[-1]["c"])
            self.verified += 1

    async def follow(self, socket: ClientWebSocketResponse) -> None:
        while True:
            self.message(await socket.receive_str(timeout=5))

    def _apply(self, side: str, rows: list[list[str]]) -> None:
        for price, size, _ in rows:
            digits = [text.replace(".", "").lstrip("0") for text in (price, size)]
            self._texts[side][Decimal(price)] = "".join(digits)
        self.book.apply(side, [(Decimal(price), Decimal(size)) for price, size, _ in rows])

    def _digest(self) -> str:
        asks, bids = sorted(self.book.asks)[:10], sorted(self.book.bids, reverse=True)[:10]
        return "".join(
            self._texts[side][price] for side, prices in (("asks", asks), ("bids", bids)) for price in prices
        )


async def subscribe(socket: ClientWebSocketResponse, pair: str = "XBT/USDT", **subscription: Any) -> Any:
    """Greet, subscribe and return the answer."""
    assert (await socket.receive_json())["event"] == "systemStatus"
    await socket.send_json({"event": "subscribe", "pair": [pair], "subscription": subscription, "reqid": 7})
    return await socket.receive_json()


@pytest.mark.parametrize("depth", [10, 100, 1000])
async def test_a_truncated_book_keeps_its_checksums_and_equals_the_truth(
    client: ClientSession, depth: int
) -> None:
    naive = V1Client(depth)
    async with client.ws_connect(PATH) as socket:
        answer = await subscribe(socket, name="book", depth=depth)
        assert answer == {
            "event": "subscriptionStatus",
            "pair": "XBT/USDT",
            "subscription": {"name": "book", "depth": depth},
            "reqid": 7,
            "channelName": f"book-{depth}",
            "channelID": 336,
            "status": "subscribed",
        }
        while naive.verified < 150:
            naive.message(await socket.receive_str())
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/kraken/BTC-USDT")
        want = (truth["bids"][:depth], truth["asks"][:depth])
        while naive.book.top() != want:  # what was on the line when the market was held
            naive.message(await socket.receive_str(timeout=5))


async def test_prices_have_five_decimals_and_rows_their_time(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        await subscribe(socket, name="book", depth=10)
        number, sides, channel, pair = await socket.receive_json()
        assert (number, channel, pair) == (336, "book-10", "XBT/USDT")
        price, size, time = sides["as"][0]
        assert [len(text.partition(".")[2]) for text in (price, size, time)] == [5, 8, 6]


@pytest.mark.parametrize(
    ("pair", "subscription", "error"),
    [
        ("NO/PE", {"name": "book"}, "Currency pair not supported NO/PE"),
        ("XBT/USDT", {"name": "gossip"}, "Subscription name invalid"),
        ("XBT/USDT", {"name": "book", "depth": 11}, "Subscription depth not supported"),
    ],
)
async def test_what_is_not_served_is_refused(
    client: ClientSession, pair: str, subscription: dict[str, Any], error: str
) -> None:
    async with client.ws_connect(PATH) as socket:
        answer = await subscribe(socket, pair, **subscription)
    assert (answer["status"], answer["errorMessage"]) == ("error", error)


async def test_a_quiet_client_gets_the_heartbeat_of_its_protocol_and_a_pong(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        await subscribe(socket, name="book", depth=10)
        await client.post("/control/pause")
        while await socket.receive_json(timeout=5) != {"event": "heartbeat"}:
            pass
        await socket.send_json({"event": "ping", "reqid": 42})
        while (answer := await socket.receive_json(timeout=5)) == {"event": "heartbeat"}:
            pass
        assert answer == {"event": "pong", "reqid": 42}
        await socket.send_json(
            {"event": "unsubscribe", "pair": ["XBT/USDT"], "subscription": {"name": "book", "depth": 10}}
        )
        while "status" not in (answer := await socket.receive_json(timeout=5)):
            pass
        assert answer["status"] == "unsubscribed"


async def test_corruption_breaks_a_checksum(client: ClientSession) -> None:
    await client.post(
        "/control/faults", json={"kind": "corrupt", "venue": "kraken", "probability": 1.0, "durationS": 5}
    )
    naive = V1Client(10)
    async with client.ws_connect(PATH) as socket:
        await subscribe(socket, name="book", depth=10)
        with pytest.raises(AssertionError):
            await naive.follow(socket)
