from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import GapError, NaiveBook, json_of

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

PATH = "/okx/ws/v5/public"
CANDLES = "/okx/api/v5/market/history-candles?instId=BTC-USDT"


class OkxClient:
    """The published rule: prevSeqId names the message before, and nothing else is looked at."""

    def __init__(self) -> None:
        self.book = NaiveBook()
        self.seq_id = -1
        self.updates = 0

    def message(self, raw: str) -> None:
        message = json.loads(raw)
        if message.get("arg", {}).get("channel") != "books" or "event" in message:
            return
        (data,) = message["data"]
        if message["action"] == "snapshot":
            self.book, self.seq_id = NaiveBook(), -1
        else:
            self.updates += 1
        if data["prevSeqId"] != self.seq_id:
            raise GapError(f"{data['prevSeqId']} after {self.seq_id}")
        assert data["checksum"] == 0
        self.seq_id = data["seqId"]
        for side in ("bids", "asks"):
            rows = [(Decimal(price), Decimal(size)) for price, size, zero, _ in data[side] if zero == "0"]
            assert len(rows) == len(data[side])
            self.book.apply(side, rows)

    async def follow(self, socket: ClientWebSocketResponse, updates: int) -> None:
        async with asyncio.timeout(30):
            while self.updates < updates:
                self.message(await socket.receive_str())


async def subscribe(socket: ClientWebSocketResponse, *names: str, channel: str = "books") -> None:
    args = [{"channel": channel, "instId": name} for name in names]
    await socket.send_json({"id": "1512", "op": "subscribe", "args": args})


async def a_followed_book(socket: ClientWebSocketResponse) -> OkxClient:
    naive = OkxClient()
    await subscribe(socket, "BTC-USDT")
    await naive.follow(socket, 3)
    return naive


async def inject(client: ClientSession, kind: str, **more: Any) -> None:
    body = {"kind": kind, "venue": "okx", "symbol": "BTCUSDT", "once": True, **more}
    async with client.post("/control/faults", json=body) as response:
        assert response.status == 201, await response.text()


async def test_the_window_of_400_is_kept_by_the_server_and_equals_the_truth(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        naive = await a_followed_book(socket)
        while naive.updates < 30:
            naive.message(await socket.receive_str())
            assert len(naive.book.bids) <= 400
            assert len(naive.book.asks) <= 400
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/okx/BTC-USDT")
        while naive.seq_id != truth["venueSeq"]:  # what was on the line when the market was held
            naive.message(await socket.receive_str(timeout=5))
    assert len(truth["bids"]) > 400
    assert naive.book.top() == (truth["bids"][:400], truth["asks"][:400])


async def test_who_comes_later_joins_the_same_chain(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as early, client.ws_connect(PATH) as late:
        first, second = await a_followed_book(early), await a_followed_book(late)
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/okx/BTC-USDT")
        for socket, naive in ((early, first), (late, second)):
            while naive.seq_id != truth["venueSeq"]:
                naive.message(await socket.receive_str(timeout=5))
    assert first.book.top() == second.book.top()


async def test_a_subscription_is_acknowledged_and_ended(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        await subscribe(socket, "BTC-USDT", "NO-PE")
        ack = await socket.receive_json()
        connection = ack.pop("connId")
        assert ack == {
            "id": "1512",
            "event": "subscribe",
            "arg": {"channel": "books", "instId": "BTC-USDT"},
        }
        assert (await socket.receive_json())["action"] == "snapshot"
        refusal = await socket.receive_json()
        assert (refusal["event"], refusal["code"]) == ("error", "60018")
        assert "instId:NO-PE doesn't exist" in refusal["msg"]
        assert refusal["connId"] == connection
        args = [{"channel": "books", "instId": "BTC-USDT"}]
        await socket.send_json({"op": "unsubscribe", "args": args})
        while "event" not in (last := await socket.receive_json()):
            pass
        assert last["event"] == "unsubscribe"
        await socket.send_str("ping")
        assert await socket.receive_str(timeout=5) == "pong"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", "60012"),
        ("[]", "60012"),
        ('{"op":"subscribe"}', "60012"),
        ('{"op":"subscribe","args":[]}', "60012"),
        ('{"op":"subscribe","args":["books"]}', "60012"),
        ('{"op":"dance","args":[{"channel":"books","instId":"BTC-USDT"}]}', "60012"),
        ('{"op":"subscribe","args":[{"channel":"books-l2-tbt","instId":"BTC-USDT"}]}', "64003"),
        ('{"op":"subscribe","args":[{"channel":"gossip","instId":"BTC-USDT"}]}', "60018"),
    ],
)
async def test_what_okx_does_not_know_is_refused_with_its_code(
    client: ClientSession, sent: str, code: str
) -> None:
    async with client.ws_connect(PATH) as socket:
        await socket.send_str(sent)
        refusal = await socket.receive_json(timeout=5)
    assert (refusal["event"], refusal["code"]) == ("error", code)


async def test_trades_come_one_a_message(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        await subscribe(socket, "BTC-USDT", channel="trades")
        assert (await socket.receive_json())["event"] == "subscribe"
        first, second = [(await socket.receive_json(timeout=20))["data"] for _ in range(2)]
    (trade,) = first
    assert set(trade) == {"instId", "tradeId", "px", "sz", "side", "ts", "count", "source", "seqId"}
    assert trade["side"] in {"buy", "sell"}
    assert int(second[0]["tradeId"]) == int(trade["tradeId"]) + 1


@pytest.mark.parametrize("kind", ["drop", "duplicate", "reorder", "corrupt"])
async def test_a_fault_of_the_stream_breaks_the_chain(client: ClientSession, kind: str) -> None:
    async with client.ws_connect(PATH) as socket:
        naive = await a_followed_book(socket)
        await inject(client, kind)
        with pytest.raises(GapError):
            await naive.follow(socket, naive.updates + 50)


async def test_a_crossed_update_keeps_its_place_in_the_chain(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        naive = await a_followed_book(socket)
        await inject(client, "cross")
        while max(naive.book.bids) < min(naive.book.asks):
            naive.message(await socket.receive_str(timeout=5))


async def test_malformed_updates_take_turns_in_four_shapes(client: ClientSession) -> None:
    shapes = set[str]()
    async with client.ws_connect(PATH) as socket:
        await a_followed_book(socket)
        await inject(client, "malformed", once=False, probability=1.0)
        async with asyncio.timeout(30):
            while len(shapes) < 4:
                shapes.add(shape_of(await socket.receive_str()))
                shapes.discard("sound")
    assert shapes == {"truncated", "wrong type", "NaN", "negative"}


def shape_of(text: str) -> str:
    try:
        (data,) = json.loads(text)["data"]
    except ValueError:
        return "truncated"
    size = (data["asks"] or data["bids"])[0][1]
    if not isinstance(size, str):
        return "wrong type"
    if size == "NaN":
        return "NaN"
    return "negative" if float(size) < 0 else "sound"


async def test_candles_come_newest_first_between_bounds_that_are_excluded(client: ClientSession) -> None:
    body = await json_of(client, f"{CANDLES}&bar=1m&limit=300")
    assert (body["code"], len(body["data"])) == ("0", 300)
    opens = [int(row[0]) for row in body["data"]]
    assert opens == sorted(opens, reverse=True)
    assert [row[8] for row in body["data"][:2]] == ["0", "1"]
    assert [len(row) for row in body["data"]] == [9] * 300
    between = await json_of(client, f"{CANDLES}&before={opens[5] - 1}&after={opens[2]}")
    assert [int(row[0]) for row in between["data"]] == opens[3:6]
    days = await json_of(client, f"{CANDLES}&bar=1Dutc")
    assert all(int(row[0]) % 86_400_000 == 0 for row in days["data"])
    assert len(days["data"]) == 4  # the history of this simulator, and today


async def test_the_rest_book_and_instruments_are_written_as_okx_does(client: ClientSession) -> None:
    (book,) = (await json_of(client, "/okx/api/v5/market/books?instId=BTC-USDT&sz=5"))["data"]
    assert (len(book["asks"]), len(book["bids"])) == (5, 5)
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])
    path = "/okx/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT"
    (instrument,) = (await json_of(client, path))["data"]
    sizes = (instrument["tickSz"], instrument["lotSz"], instrument["minSz"])
    assert sizes == ("0.1", "0.00000001", "0.00001")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/okx/api/v5/market/history-candles?instId=NO-PE", "51001"),
        (f"{CANDLES}&bar=1D", "51000"),
        (f"{CANDLES}&before=yesterday", "51000"),
        ("/okx/api/v5/market/books?instId=BTC-USDT&sz=401", "51000"),
        ("/okx/api/v5/public/instruments?instType=TULIPS", "51000"),
        ("/okx/api/v5/public/instruments?instType=SPOT&instId=NOSUCH-USDT", "51001"),
        ("/okx/api/v5/public/instruments?instType=SWAP&instId=BTC-USDT-SWAP", "51001"),
    ],
)
async def test_rest_refuses_with_okx_codes_inside_a_200(client: ClientSession, path: str, code: str) -> None:
    body = await json_of(client, path)
    assert (body["code"], body["data"]) == (code, [])


async def test_rest_counts_requests_in_two_seconds_and_faults_answer_in_okx_words(
    client: ClientSession,
) -> None:
    statuses = []
    for _ in range(50):  # more than two windows allow
        async with client.get("/okx/api/v5/public/time") as response:
            statuses.append(response.status)
            if response.status == 429:
                assert (await response.json())["code"] == "50011"
                break
    assert statuses[:10] == [200] * 10
    assert statuses[-1] == 429
    for kind, status, code in (("rate_limit", 429, "50011"), ("server_error", 500, "50026")):
        await inject(client, kind, durationS=5)
        async with client.get(CANDLES) as response:
            assert (response.status, (await response.json())["code"]) == (status, code)
        await client.delete("/control/faults")


async def test_the_rest_book_has_the_id_of_the_channels_book(client: ClientSession) -> None:
    async with client.ws_connect(PATH) as socket:
        await subscribe(socket, "BTC-USDT")
        while "data" not in await socket.receive_json():
            pass
        await client.post("/control/pause")
        truth = await json_of(client, "/control/books/okx/BTC-USDT")
        (book,) = (await json_of(client, "/okx/api/v5/market/books?instId=BTC-USDT&sz=5"))["data"]
    assert book["seqId"] == truth["venueSeq"]
    assert [float(level[0]) for level in book["bids"]] == [price for price, _ in truth["bids"][:5]]


async def test_there_are_no_instruments_but_spot(client: ClientSession) -> None:
    body = await json_of(client, "/okx/api/v5/public/instruments?instType=SWAP")
    assert (body["code"], body["data"]) == ("0", [])
