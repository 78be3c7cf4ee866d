"""Faults that hold for a while, over real sockets and REST, to clients that keep books as documented."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from websockets.asyncio.client import connect

from tests.integration.simulator.naive_clients import BinanceClient, KrakenClient, json_of, texts

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

BINANCE = "/binance/ws/btcusdt@depth@100ms"
DEPTH = "/binance/api/v3/depth?symbol=BTCUSDT&limit=5000"
KRAKEN_BOOK = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 10}}
COINBASE_BOOK = {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USDT"]}
OKX_BOOK = {"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]}
BYBIT_BOOK = {"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]}


async def begin(client: ClientSession, kind: str, venue: str, **more: Any) -> None:
    async with client.post("/control/faults", json={"kind": kind, "venue": venue, **more}) as response:
        assert response.status == 201, await response.text()


async def injected(client: ClientSession, kind: str) -> int:
    return int((await json_of(client, "/control/faults"))["injected"][kind])


async def sides(client: ClientSession, venue: str) -> tuple[list[Any], list[Any]]:
    truth = await json_of(client, f"/control/books/{venue}/BTC-USDT")
    return truth["bids"], truth["asks"]


@pytest.mark.parametrize("status", [403, 418, 429, 451])
async def test_a_blocked_venue_answers_with_the_status_at_both_doors(
    client: ClientSession, status: int
) -> None:
    async with client.ws_connect(BINANCE) as open_before:
        await begin(client, "blocked", "binance", status=status, durationS=60)
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect(BINANCE)
        assert refused.value.status == status
        assert refused.value.headers is not None
        async with client.get(DEPTH) as response:
            assert response.status == status
            waits = [response.headers.get("Retry-After"), refused.value.headers.get("Retry-After")]
        if status in {418, 429}:
            assert all(58 <= int(wait or 0) <= 60 for wait in waits)
        else:
            assert waits == [None, None]
        await open_before.receive_json(timeout=5)  # stays, and is served
    async with client.ws_connect("/okx/ws/v5/public") as other:
        await other.send_str("ping")
        assert await other.receive_str(timeout=5) == "pong"
    assert await injected(client, "blocked") == 2
    await client.delete("/control/faults")
    await json_of(client, DEPTH)


async def test_a_block_may_be_at_one_door_only(client: ClientSession) -> None:
    await begin(client, "blocked", "binance", status=451, at="socket", durationS=60)
    await json_of(client, DEPTH)
    with pytest.raises(WSServerHandshakeError, match="451"):
        await client.ws_connect(BINANCE)
    await client.delete("/control/faults")
    await begin(client, "blocked", "binance", status=451, at="rest", durationS=60)
    async with client.get(DEPTH) as response:
        assert (response.status, (await response.json())["code"]) == (451, 0)
    async with client.ws_connect(BINANCE) as socket:
        await socket.receive_json(timeout=5)


async def test_what_a_fault_says_is_shown_with_what_it_did(client: ClientSession) -> None:
    await begin(client, "blocked", "okx", status=403, at="rest", durationS=60)
    await begin(client, "drop", "okx", once=True)
    blocked, drop = (await json_of(client, "/control/faults"))["faults"]
    assert (blocked["kind"], blocked["status"], blocked["at"], blocked["state"]) == (
        "blocked",
        403,
        "rest",
        "active",
    )
    assert "ageS" not in blocked
    assert (drop["kind"], drop["state"]) == ("drop", "armed")


async def test_one_fault_is_ended_and_the_others_go_on(client: ClientSession) -> None:
    await begin(client, "blocked", "binance", status=451, at="rest", durationS=60)
    await begin(client, "blocked", "okx", status=451, at="rest", durationS=60)
    await begin(client, "drop", "okx", symbol="BTC-USDT", once=True)
    first, second, third = [fault["id"] for fault in (await json_of(client, "/control/faults"))["faults"]]
    for number in (first, third):
        async with client.delete(f"/control/faults/{number}") as response:
            assert response.status == 200
    states = {fault["id"]: fault["state"] for fault in (await json_of(client, "/control/faults"))["faults"]}
    assert states == {second: "active"}
    while (await client.get(DEPTH)).status != 200:
        pass
    async with client.get("/okx/api/v5/public/time") as response:
        assert response.status == 451
    async with client.delete("/control/faults/99") as response:
        assert (response.status, (await response.json())["error"]) == (
            404,
            "no fault 99; GET /control/faults lists them",
        )


async def test_kraken_tells_its_status_and_goes_on_with_fitting_checksums(client: ClientSession) -> None:
    naive = KrakenClient(10)
    async with client.ws_connect("/kraken/v2") as socket:
        assert (await socket.receive_json())["data"][0]["system"] == "online"
        await socket.send_json(KRAKEN_BOOK)
        while naive.updates < 5:
            naive.message(await socket.receive_str())
        await begin(client, "maintenance", "kraken", system="post_only", durationS=60)
        assert (await status_of(socket, naive))["system"] == "post_only"
        async with client.ws_connect("/kraken/v2") as late:
            assert (await late.receive_json())["data"][0]["system"] == "post_only"
        assert json.loads(await socket.receive_str()) == {"channel": "heartbeat"}
        await client.delete("/control/faults")
        assert (await status_of(socket, naive))["system"] == "online"
        before = naive.updates
        while naive.updates < before + 5:
            naive.message(await socket.receive_str())


async def status_of(socket: ClientWebSocketResponse, naive: KrakenClient) -> Any:
    async for raw in texts(socket):
        naive.message(raw)
        message = json.loads(raw)
        if message.get("channel") == "status":
            return message["data"][0]
    raise AssertionError("the socket closed")


async def test_a_cut_is_announced_and_comes_and_a_new_connection_is_taken(client: ClientSession) -> None:
    async with client.ws_connect("/binance/stream?streams=btcusdt@depth@100ms") as socket:
        await socket.receive_json()
        await begin(client, "shutdown_notice", "binance", symbol="BTCUSDT", graceS=0.5)
        seen = [json.loads(raw) async for raw in texts(socket)]  # until it is cut
        assert socket.close_code == 1006
    notices = [message for message in seen if message["stream"] == "!serverShutdown"]
    assert [notice["data"]["e"] for notice in notices] == ["serverShutdown"]
    async with client.ws_connect("/binance/stream?streams=btcusdt@depth@100ms") as socket:
        await socket.receive_json(timeout=5)
    assert await injected(client, "shutdown_notice") == 1


async def test_binance_is_one_sided_in_diffs_snapshots_and_best_prices_alike(client: ClientSession) -> None:
    naive = BinanceClient()
    async with (
        client.ws_connect(BINANCE) as socket,
        client.ws_connect("/binance/ws/btcusdt@bookTicker") as ticker,
    ):
        first = await socket.receive_json()
        naive.snapshot(await json_of(client, DEPTH))
        naive.diff(first)
        await begin(client, "one_sided", "binance", symbol="BTCUSDT", durationS=60)
        while naive.book.asks:
            naive.diff(await socket.receive_json())
        while (best := await ticker.receive_json())["A"] != "0.00000000":
            pass
        assert best["a"] == "0.00000000"
        body = await json_of(client, DEPTH)
        assert (body["asks"], bool(body["bids"])) == ([], True)
        await client.post("/control/pause")
        bids, asks = await sides(client, "binance")
        while naive.book.top() != (bids, asks):
            naive.diff(await socket.receive_json(timeout=5))
        await client.post("/control/resume")
        await client.delete("/control/faults")
        await client.post("/control/pause")
        bids, asks = await sides(client, "binance")
        assert asks
        while naive.book.top() != (bids, asks):
            naive.diff(await socket.receive_json(timeout=5))


async def test_a_one_sided_kraken_book_keeps_its_checksums(client: ClientSession) -> None:
    naive = KrakenClient(10)
    async with client.ws_connect("/kraken/v2") as socket:
        await socket.send_json(KRAKEN_BOOK)
        while not naive.updates:
            naive.message(await socket.receive_str())
        await begin(client, "one_sided", "kraken", side="bids", durationS=60)
        while naive.book.bids:
            naive.message(await socket.receive_str())
        goal = naive.updates + 20
        while naive.updates < goal:
            naive.message(await socket.receive_str())
        await client.delete("/control/faults")
        while len(naive.book.bids) < 10:
            naive.message(await socket.receive_str())
        goal = naive.updates + 20
        while naive.updates < goal:
            naive.message(await socket.receive_str())


@pytest.mark.parametrize(
    ("venue", "path", "subscribe"),
    [
        ("okx", "/okx/ws/v5/public", OKX_BOOK),
        ("bybit", "/bybit/v5/public/spot", BYBIT_BOOK),
        ("coinbase", "/coinbase/", COINBASE_BOOK),
        ("kraken", "/kraken/v2", KRAKEN_BOOK),
    ],
)
@pytest.mark.parametrize("side", ["bids", "asks"])
async def test_who_subscribes_to_a_one_sided_book_gets_it_so(
    client: ClientSession, venue: str, path: str, subscribe: object, side: str
) -> None:
    await begin(client, "one_sided", venue, symbol="BTC-USDT", side=side, durationS=60)
    async with client.ws_connect(path) as socket:
        await socket.send_json(subscribe)
        while not (snapshot := levels_of(venue, json.loads(await socket.receive_str(timeout=5)))):
            pass
        assert (snapshot[side], bool(snapshot[other(side)])) == ([], True)
        for _ in range(5):  # it goes on
            await socket.receive_str(timeout=5)


def other(side: str) -> str:
    return "asks" if side == "bids" else "bids"


def levels_of(venue: str, message: dict[str, Any]) -> dict[str, list[Any]] | None:
    """Return the sides of a snapshot."""
    if venue == "okx" and message.get("action") == "snapshot":
        return {side: message["data"][0][side] for side in ("bids", "asks")}
    if venue == "bybit" and message.get("type") == "snapshot":
        return {"bids": message["data"]["b"], "asks": message["data"]["a"]}
    if venue == "kraken" and (message.get("channel"), message.get("type")) == ("book", "snapshot"):
        return {side: message["data"][0][side] for side in ("bids", "asks")}
    if venue == "coinbase" and message.get("channel") == "l2_data":
        updates = message["events"][0]["updates"]
        return {
            side: [update for update in updates if update["side"] == name]
            for side, name in (("bids", "bid"), ("asks", "offer"))
        }
    return None


async def test_a_socket_is_cut_when_it_becomes_too_old(client: ClientSession) -> None:
    async with client.ws_connect(BINANCE) as socket:
        await begin(client, "daily_cut", "binance", ageS=1.0, durationS=60)
        async for _ in texts(socket):
            pass
        assert socket.close_code == 1006
    assert await injected(client, "daily_cut") == 1
    async with client.ws_connect(BINANCE) as socket:
        await socket.receive_json(timeout=5)


async def test_a_slow_line_delivers_all_in_order_and_pings_between_frames(client: ClientSession) -> None:
    await begin(client, "slow_line", "coinbase", bytesPerS=400_000, durationS=60)
    async with client.ws_connect("/coinbase/", autoping=False, max_msg_size=0) as socket:
        await socket.send_json(COINBASE_BOOK)
        await socket.ping(b"are you there")  # while the snapshot is on its way
        kinds: list[WSMsgType] = []
        numbers: list[int] = []
        while len(numbers) < 20:
            message = await socket.receive(timeout=20)
            kinds.append(message.type)
            if message.type is WSMsgType.TEXT:
                numbers.append(json.loads(message.data)["sequence_num"])
            else:
                assert message.data == b"are you there"
        assert numbers == list(range(20))
        assert kinds.count(WSMsgType.PONG) == 1
        assert kinds[0] is WSMsgType.TEXT
    assert (await json_of(client, "/control/faults"))["faults"][0]["bytesPerS"] == 400_000


async def test_a_slow_line_writes_a_rest_answer_in_parts_until_it_ends(client: ClientSession) -> None:
    await begin(client, "slow_line", "binance", bytesPerS=2_000, durationS=60)
    async with client.get(DEPTH) as response:
        assert response.content_length is not None
        first = await response.content.readany()
        assert 0 < len(first) < response.content_length / 10
        await client.delete("/control/faults")
        body = first + await response.read()
    assert len(body) == response.content_length
    assert len(json.loads(body)["bids"]) > 100


async def test_a_client_who_never_reads_is_cut_on_a_slow_line_too(
    client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.app._MAX_UNREAD", 20_000)
    async with client.ws_connect(BINANCE) as socket:
        await begin(client, "slow_line", "binance", bytesPerS=100, durationS=60)
        async for _ in texts(socket):  # until more waits than is kept for it
            pass
        assert socket.close_code == 1006


async def test_a_client_who_offers_to_inflate_gets_the_same_book(client: ClientSession) -> None:
    plain, inflating = KrakenClient(10), KrakenClient(10)
    async with (
        client.ws_connect("/kraken/v2") as first,
        client.ws_connect("/kraken/v2", compress=15) as second,
    ):
        assert (first.compress, second.compress) == (0, 15)
        for socket in (first, second):
            await socket.send_json(KRAKEN_BOOK)
        while inflating.updates < 30:
            inflating.message(await second.receive_str(timeout=5))
            plain.message(await first.receive_str(timeout=5))
        await client.post("/control/pause")
        bids, asks = await sides(client, "kraken")
        for socket, naive in ((first, plain), (second, inflating)):
            while naive.book.top() != (bids[:10], asks[:10]):
                naive.message(await socket.receive_str(timeout=5))


async def test_the_library_of_our_own_feeds_inflates_what_it_offered_to(client: ClientSession) -> None:
    naive, base = KrakenClient(10), str(client._base_url).rstrip("/")  # noqa: SLF001 -- its own address
    async with connect(f"ws{base.removeprefix('http')}/kraken/v2", compression="deflate") as socket:
        assert [type(extension).__name__ for extension in socket.protocol.extensions] == ["PerMessageDeflate"]
        await socket.send(json.dumps(KRAKEN_BOOK))
        while naive.updates < 20:
            naive.message(str(await socket.recv()))
        assert await (await socket.ping()) < 30.0  # pongs are plain, between the deflated
