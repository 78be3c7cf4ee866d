"""The system as its users meet it: HTTP and topics only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from tests import kafka_cluster
from tests.e2e.system import System, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

VENUES = ("binance", "bybit", "coinbase", "kraken", "okx")
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
FOUND = {  # at which venues a lone fault of a kind cannot be harmless, so that a new epoch must follow
    "drop": ("binance", "bybit", "coinbase", "okx"),
    "reorder": ("binance", "bybit"),
    "corrupt": ("coinbase", "kraken"),
    "cross": ("binance", "kraken", "okx"),
    "disconnect": VENUES,
    "malformed": VENUES,
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Start one system for all tests here: each leaves its books LIVE."""
    kafka_cluster.wipe(kafka)
    async with System(kafka, tmp_path_factory.mktemp("system")) as running:
        await running.all_live(15)
        yield running


async def test_the_proof_command_answers_from_a_live_book(system: System) -> None:
    book = await system.get("/api/l2/binance/BTCUSDT")
    assert (book["venue"], book["symbol"], book["state"]) == ("binance", "BTC-USDT", "LIVE")
    assert book["seq"] >= 1
    bids, asks = [price for price, _ in book["bids"]], [price for price, _ in book["asks"]]
    assert len(bids) == len(asks) == 20
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert book["features"]["mid"] == pytest.approx((bids[0] + asks[0]) / 2)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/l2/nowhere/BTCUSDT", 404),
        ("/api/l2/binance/NOPEUSDT", 404),
        ("/api/l2/binance/%00", 404),
        ("/api/l2/binance/BTCUSDT?depth=0", 422),
        ("/api/l2/binance/BTCUSDT?depth=51", 422),
        ("/api/l2/binance/BTCUSDT?depth=many", 422),
        ("/api/l2/binance/btc-usdt?depth=50", 200),
    ],
)
async def test_bad_requests_get_their_status(system: System, path: str, status: int) -> None:
    async with system.http.get(system.gateway + path) as reply:
        assert reply.status == status, await reply.text()
        if status != 200:
            assert reply.content_type == "application/problem+json"


async def third_party_book(kafka: str, venue: str, symbol: str, seq: int, epoch: int) -> tuple[Any, Any]:
    """Rebuild a book as the README tells a stranger to: aiokafka and msgpack, nothing of this project."""
    consumer = AIOKafkaConsumer("l2.book-deltas.v1", bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        at = (0, 0)
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    event = msgpack.unpackb(record.value)
                    if (event["venue"], event["symbol"]) != (venue, symbol) or at == (epoch, seq):
                        continue
                    if event["type"] == "BookSnapshot":
                        bids, asks = dict(event["bids"]), dict(event["asks"])
                    elif bids:
                        assert (event["epoch"], event["seq"]) == (at[0], at[1] + 1)
                        for side, levels in ((bids, event["bids"]), (asks, event["asks"])):
                            for price, size in levels:
                                side[price] = size
                                if size == 0:
                                    del side[price]
                    at = (event["epoch"], event["seq"])
            if at == (epoch, seq):
                return sorted(bids.items(), reverse=True)[:50], sorted(asks.items())[:50]
    finally:
        await consumer.stop()


@pytest.mark.parametrize("venue", VENUES)
async def test_a_third_partys_subscriber_ends_with_the_book_that_the_gateway_shows(
    system: System, venue: str
) -> None:
    shown = await system.get(f"/api/l2/{venue}/BTCUSDT?depth=50")
    async with asyncio.timeout(30):
        bids, asks = await third_party_book(system.kafka, venue, "BTC-USDT", shown["seq"], shown["epoch"])
    assert [list(level) for level in bids] == shown["bids"]
    assert [list(level) for level in asks] == shown["asks"]


async def equals_truth(system: System, venue: str, symbol: str) -> bool:
    """Whether the gateway's LIVE book is the paused exchange's."""
    shown = await system.get(f"/api/l2/{venue}/{symbol}?depth=50")
    truth = await system.get(f"/control/books/{venue}/{symbol}", system.simulator)
    if shown is None or shown["state"] != "LIVE":
        return False
    depth = min(50, len(shown["bids"]), len(shown["asks"]))
    return all(
        [[float(price), float(size)] for price, size in truth[side][:depth]] == shown[side][:depth]
        for side in ("bids", "asks")
    )


def is_the_truth(system: System, venue: str, symbol: str) -> Callable[[], Awaitable[bool]]:
    return lambda: equals_truth(system, venue, symbol)


async def test_every_live_book_is_the_exchanges_own(system: System) -> None:
    await system.control("POST", "pause")
    for venue in VENUES:
        for symbol in SYMBOLS:
            await until(f"{venue} {symbol} is the truth", is_the_truth(system, venue, symbol), 8)
    await system.control("POST", "resume")
    await system.all_live(15)


def is_live_anew(system: System, key: str, epoch: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        book = (await system.books())[key]
        return bool(book["state"] == "LIVE" and book["epoch"] > epoch)

    return holds


async def test_a_duplicate_disturbs_no_book_whose_venue_numbers_its_messages(system: System) -> None:
    before = await system.all_live(15)
    await system.control("POST", "faults", {"kind": "duplicate", "venue": "binance", "probability": 1})

    async def injected() -> bool:
        faults = await system.control("GET", "faults")
        return bool(faults["injected"].get("duplicate", 0) > 30)

    await until("thirty duplicates", injected)
    await system.control("DELETE", "faults")
    after = await system.all_live(15)
    for symbol in SYMBOLS:
        assert after[f"binance:{symbol}"]["epoch"] == before[f"binance:{symbol}"]["epoch"]


async def test_every_fault_is_found_and_heals_without_touching_another_book(system: System) -> None:
    for kind, venues in FOUND.items():
        for venue in venues:
            before = await system.all_live(15)
            fault = {"kind": kind, "venue": venue, "symbol": "ETH-USDT", "once": True}
            await system.control("POST", "faults", fault)
            key = f"{venue}:ETH-USDT"
            await until(f"{key} is LIVE again after {kind}", is_live_anew(system, key, before[key]["epoch"]))
            after = await system.books()
            others = {other: book["epoch"] for other, book in after.items() if other != key}
            assert others == {other: book["epoch"] for other, book in before.items() if other != key}, kind
            await system.control("DELETE", "faults")
    await system.control("POST", "pause")
    for venue in VENUES:
        await until("the truth after all faults", is_the_truth(system, venue, "ETH-USDT"), 8)
    await system.control("POST", "resume")


async def test_a_killed_l2_and_a_killed_gateway_come_back_without_a_human(system: System) -> None:
    epochs = {key: book["epoch"] for key, book in (await system.books()).items()}
    system.kill("services.l2")
    await until("silence is shown", lambda: said_stale(system))
    system.start("services.l2")
    books = await system.all_live(15)
    assert all(book["epoch"] > epochs[key] for key, book in books.items())
    system.kill("services.gateway")
    system.start("services.gateway")
    await system.all_live(15)


async def said_stale(system: System) -> bool:
    return all(book["state"] == "STALE" for book in (await system.books()).values())


async def test_a_subscription_begins_and_ends_a_book_at_run_time(system: System) -> None:
    path = "/api/l2/subscriptions"

    async def ended() -> bool:
        async with system.http.delete(f"{system.gateway}{path}/kraken/SOL-USDT") as reply:
            assert reply.status in {200, 503}, await reply.text()  # 503: a new gateway has not heard l2 yet
            return reply.status == 200

    await until("l2 is heard, and the book ends", ended)
    async with system.http.get(f"{system.gateway}/api/l2/kraken/SOLUSDT") as reply:
        assert reply.status == 404
    async with system.http.post(
        f"{system.gateway}{path}", json={"venue": "kraken", "symbol": "SOLUSDT"}
    ) as reply:
        assert reply.status == 201, await reply.text()
    await system.all_live(15)
