"""Recordings of real exchanges, through the real sockets, to Kafka: held against the venues' own proofs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from aiokafka import AIOKafkaConsumer

from simulator.recordings import Frame, open_recording
from tests.e2e.system import System, until
from tests.recordings import BINANCE_SPOT, KRAKEN_V1, needs_recordings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs_recordings, pytest.mark.timeout(240)]
SPEED = "25"


async def everything_on(kafka: str, *topics: str) -> list[dict[str, Any]]:
    """Read topics to their present end with aiokafka and msgpack alone."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        events: list[dict[str, Any]] = []
        while [partition for partition in ends if await consumer.position(partition) < ends[partition]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                events += [msgpack.unpackb(record.value) for record in records if record.value]
        return events
    finally:
        await consumer.stop()


async def finished(system: System) -> bool:
    state = await system.get("/control/replay", system.simulator)
    assert state is None or state["state"] != "failed", state
    return bool(state and state["finished"])


def best_quotes() -> dict[int, tuple[float, ...]]:
    """Every best quote of the Binance recording by its book id: bid, its size, ask, its size."""
    quotes = {}
    for path in BINANCE_SPOT:
        for record in open_recording(path).records():
            if isinstance(record, Frame) and "bookTicker" in record.text[:60]:
                data = json.loads(record.text)["data"]
                quotes[data["u"]] = tuple(float(data[name]) for name in ("b", "B", "a", "A"))
    return quotes


async def test_the_binance_recording_replays_without_a_gap_and_every_best_quote_agrees(
    fresh_kafka: str, tmp_path: Path
) -> None:
    feed = "replay:" + ",".join(map(str, BINANCE_SPOT))
    settings = {"FEED": feed, "REPLAY_SPEED": SPEED, "L2_BOOKS": "binance:BTC-USDT"}
    async with System(fresh_kafka, tmp_path, **settings) as system:
        await until("the recording has ended", lambda: finished(system), 180)
    events = await everything_on(fresh_kafka, "l2.book-deltas.v1")
    quotes = best_quotes()
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    epochs, checked, seq = set(), 0, 0
    for event in events:
        epochs.add(event["epoch"])
        if event["type"] == "BookSnapshot":
            if not seq:
                bids, asks, seq = dict(event["bids"]), dict(event["asks"]), event["seq"]
            assert (bids, asks, seq) == (dict(event["bids"]), dict(event["asks"]), event["seq"])
        else:
            assert event["seq"] == seq + 1
            seq = event["seq"]
            for side, levels in ((bids, event["bids"]), (asks, event["asks"])):
                side.update(levels)
                for price, size in levels:
                    if not size:
                        del side[price]
        if event["venue_seq"] in quotes:
            quote = quotes.pop(event["venue_seq"])
            best_bid, best_ask = max(bids), min(asks)
            assert (best_bid, bids[best_bid], best_ask, asks[best_ask]) == quote
            checked += 1
    assert len(epochs) == 1, "one epoch: no gap, no resync"
    assert checked == 1072
    assert seq > 6400
    healths = await everything_on(fresh_kafka, "l2.book-health.v1")
    assert max(health["gaps"] for health in healths) == 0
    assert max(health["quotes_matched"] for health in healths) == 1072


async def test_the_kraken_recording_replays_with_every_checksum_right(
    fresh_kafka: str, tmp_path: Path
) -> None:
    pairs = ("ADA-BTC", "BTC-CHF", "ETH-CHF", "GRT-ETH", "KSM-BTC", "OCEAN-BTC", "OMG-USD", "SC-EUR")
    books = ",".join(f"kraken-v1:{pair}" for pair in (*pairs, "WAVES-EUR", "XMR-USD"))
    settings = {"FEED": f"replay:{KRAKEN_V1}", "REPLAY_SPEED": "5", "L2_BOOKS": books}
    async with System(fresh_kafka, tmp_path, **settings) as system:
        system.start("services.context")
        await system.all_fresh("stub")  # of the day of a recording nothing else is known
        assert "WARNING" not in system.log("services.context")
        await until("the recording has ended", lambda: finished(system), 180)
    healths = await everything_on(fresh_kafka, "l2.book-health.v1")
    last = {health["symbol"]: health for health in healths}
    assert len(last) == 10
    assert sum(health["checksums_matched"] for health in last.values()) == 4269
    assert sum(health["checksum_failures"] for health in last.values()) == 0
    assert sum(health["gaps"] for health in last.values()) == 0
