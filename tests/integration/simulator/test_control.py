from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from simulator.venues import BOOKLESS, VENUES
from tests.integration.simulator.naive_clients import (
    BinanceClient,
    ChecksumError,
    GapError,
    KrakenClient,
    json_of,
    texts,
)

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

STREAM = "/binance/ws/btcusdt@depth@100ms"
KRAKEN = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 10}}


async def inject(client: ClientSession, kind: str, venue: str = "binance", **more: Any) -> None:
    body = {"kind": kind, "venue": venue, "symbol": "BTCUSDT", "once": True, **more}
    async with client.post("/control/faults", json=body) as response:
        assert response.status == 201, await response.text()


async def injected(client: ClientSession, kind: str) -> int:
    totals = (await json_of(client, "/control/faults"))["injected"]
    return int(totals[kind])


async def synced(client: ClientSession, socket: ClientWebSocketResponse) -> BinanceClient:
    naive = BinanceClient()
    first = await socket.receive_json()
    naive.snapshot(await json_of(client, "/binance/api/v3/depth?symbol=BTCUSDT&limit=5000"))
    naive.diff(first)
    while not naive.diffs:
        naive.diff(await socket.receive_json())
    return naive


async def follow_binance(socket: ClientWebSocketResponse, naive: BinanceClient) -> None:
    async for raw in texts(socket):
        naive.diff(json.loads(raw))


async def follow_kraken(socket: ClientWebSocketResponse, naive: KrakenClient) -> None:
    async for raw in texts(socket):
        naive.message(raw)


async def test_a_dropped_diff_is_one_gap(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        naive = await synced(client, socket)
        await inject(client, "drop")
        with pytest.raises(GapError):
            await follow_binance(socket, naive)
        naive = await synced(client, socket)
        while naive.diffs < 5:
            naive.diff(await socket.receive_json())
    assert await injected(client, "drop") == 1


async def test_a_duplicated_diff_comes_twice_in_a_row(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        naive = await synced(client, socket)
        await inject(client, "duplicate")
        seen, repeats = [naive.update_id], 0
        while naive.diffs < 8:
            diff = await socket.receive_json()
            repeats += not naive.diff(diff) and diff["u"] == seen[-1]
            seen.append(diff["u"])
    assert repeats == 1


async def test_reordered_diffs_are_two_swapped_neighbours(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        await socket.receive_json()
        await inject(client, "reorder")
        finals = [(await socket.receive_json())["u"] for _ in range(8)]
    swaps = [index for index in range(7) if finals[index] > finals[index + 1]]
    assert len(swaps) == 1
    assert await injected(client, "reorder") == 1


async def test_a_corrupt_binance_diff_is_a_gap_to_a_client(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        naive = await synced(client, socket)
        await inject(client, "corrupt")
        with pytest.raises(GapError):
            await follow_binance(socket, naive)
    assert await injected(client, "corrupt") == 1


async def test_a_corrupt_kraken_update_fails_its_checksum(client: ClientSession) -> None:
    naive = KrakenClient(10)
    async with client.ws_connect("/kraken/v2") as socket:
        await socket.send_json(KRAKEN)
        while not naive.updates:
            naive.message(await socket.receive_str())
        await inject(client, "corrupt", "kraken")
        with pytest.raises(ChecksumError):
            await follow_kraken(socket, naive)
    assert await injected(client, "corrupt") == 1


async def test_a_crossed_diff_has_valid_ids_and_crosses_the_book(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        naive = await synced(client, socket)
        await inject(client, "cross")
        while max(naive.book.bids) < min(naive.book.asks):
            naive.diff(await socket.receive_json())
        truth = await json_of(client, "/control/books/binance/BTC-USDT")
    assert truth["bids"][0][0] < truth["asks"][0][0]


async def test_a_crossed_kraken_update_has_a_fitting_checksum(client: ClientSession) -> None:
    naive = KrakenClient(10)
    async with client.ws_connect("/kraken/v2") as socket:
        await socket.send_json(KRAKEN)
        while not naive.updates:
            naive.message(await socket.receive_str())
        await inject(client, "cross", "kraken")
        while max(naive.book.bids) < min(naive.book.asks):
            naive.message(await socket.receive_str())


async def test_malformed_diffs_take_turns_in_four_shapes(client: ClientSession) -> None:
    shapes = set[str]()
    async with client.ws_connect(STREAM) as socket:
        await socket.receive_json()
        await inject(client, "malformed", once=False, probability=1.0)
        while len(shapes) < 4:
            shapes.add(shape_of(await socket.receive_str()))
            shapes.discard("sound")
    assert shapes == {"truncated", "wrong type", "NaN", "negative"}


def shape_of(text: str) -> str:
    try:
        diff = json.loads(text)
    except ValueError:
        return "truncated"
    size = (diff["b"] or diff["a"])[0][1]
    if not isinstance(size, str):
        return "wrong type"
    if size == "NaN":
        return "NaN"
    return "negative" if float(size) < 0 else "sound"


async def test_a_disconnect_cuts_the_socket_without_a_close_frame(client: ClientSession) -> None:
    async with (
        client.ws_connect(STREAM) as socket,
        client.ws_connect("/binance/ws/solusdt@depth@100ms") as other,
    ):
        await socket.receive_json()
        await inject(client, "disconnect", durationS=30)
        async for _ in texts(socket):
            pass
        assert socket.close_code == 1006
        await other.receive_json()  # carries another symbol
        async with client.get("/binance/ws", headers=UPGRADE) as refused:
            assert refused.status == 503
    assert await injected(client, "disconnect") == 1


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_a_frozen_symbol_is_silent_for_the_duration_and_then_has_a_gap(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        naive = await synced(client, socket)
        await inject(client, "freeze", durationS=1.0)
        with pytest.raises(GapError):
            await follow_binance(socket, naive)
        truth = await json_of(client, "/control/books/binance/BTC-USDT")
    assert truth["venueSeq"] > naive.update_id
    assert await injected(client, "freeze") == 1


async def test_a_rate_limit_answers_429_for_its_duration_in_the_venues_words(client: ClientSession) -> None:
    await inject(client, "rate_limit", durationS=30)
    for _ in range(2):
        async with client.get("/binance/api/v3/depth?symbol=BTCUSDT") as response:
            assert response.status == 429
            assert 28 <= int(response.headers["Retry-After"]) <= 30
            assert (await response.json())["code"] == -1003
    await json_of(client, "/binance/api/v3/depth?symbol=ETHUSDT")
    await client.delete("/control/faults")
    await json_of(client, "/binance/api/v3/depth?symbol=BTCUSDT")


async def test_server_errors_are_500_and_503_in_turn_and_once_is_once(client: ClientSession) -> None:
    statuses = []
    for _ in range(2):
        await inject(client, "server_error")
        for _ in range(2):
            async with client.get("/binance/api/v3/depth?symbol=BTCUSDT") as response:
                statuses.append(response.status)
    assert statuses == [500, 200, 503, 200]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "explode", "venue": "binance", "once": True}, "drop duplicate"),
        ({"kind": "drop", "venue": "mtgox", "once": True}, ", ".join(sorted({*VENUES, *BOOKLESS}))),
        ({"kind": "drop", "venue": "kraken", "symbol": "DOGE-USDT", "once": True}, "BTC-USDT"),
        ({"kind": "drop", "venue": "kraken"}, "either"),
        ({"kind": "drop", "venue": "kraken", "once": True, "probability": 0.5}, "either"),
        ({"kind": "drop", "venue": "kraken", "probability": 2}, "<= 1"),
        ({"kind": "drop", "venue": "kraken", "once": True, "durationS": -1}, "> 0"),
        ({"kind": "drop", "venue": "kraken", "once": True, "seconds": 1}, "seconds"),
        ([], "object"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_422_and_says_why(
    client: ClientSession, body: object, says: str
) -> None:
    async with client.post("/control/faults", json=body) as response:
        assert response.status == 422
        assert says in (await response.json())["error"]


async def test_a_held_market_stands_still_and_goes_on_without_a_gap(client: ClientSession) -> None:
    async with client.ws_connect(STREAM) as socket:
        naive = await synced(client, socket)
        await client.post("/control/pause")
        first = await json_of(client, "/control/books/binance/BTC-USDT")
        again = await json_of(client, "/control/books/binance/BTC-USDT")
        assert (first["venueSeq"], first["bids"]) == (again["venueSeq"], again["bids"])
        await client.post("/control/resume")
        goal = naive.diffs + 6
        while naive.diffs < goal:
            naive.diff(await socket.receive_json())


async def test_a_quiet_market_stands_still_while_the_others_go_on(client: ClientSession) -> None:
    quiet = {"kind": "quiet", "venue": "binance", "symbol": "BTCUSDT", "durationS": 3.0}
    async with client.post("/control/faults", json=quiet) as response:
        assert (response.status, (await response.json())["injected"]) == (201, 1)
    first = await json_of(client, "/control/books/binance/BTC-USDT")
    other = await json_of(client, "/control/books/bybit/BTC-USDT")
    while (await json_of(client, "/control/books/bybit/BTC-USDT"))["bids"] == other["bids"]:
        pass
    again = await json_of(client, "/control/books/binance/BTC-USDT")
    assert (first["venueSeq"], first["bids"]) == (again["venueSeq"], again["bids"])
    while (await json_of(client, "/control/books/binance/BTC-USDT"))["bids"] == first["bids"]:
        pass  # it goes on by itself


async def test_unknown_books_are_404_and_name_those_there_are(client: ClientSession) -> None:
    for path in ("mtgox/BTC-USDT", "binance/DOGE-USDT", "binance/~"):
        async with client.get(f"/control/books/{path}") as response:
            assert response.status == 404
    assert len((await json_of(client, "/control/books"))["books"]) == 3 * len(VENUES)
