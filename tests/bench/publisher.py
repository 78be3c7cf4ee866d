"""Publishing of deltas: `Publisher.send` per event against aiokafka alone, through the same Kafka in turn."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Final

import uvloop
from aiokafka import AIOKafkaProducer

from libs.common.codec import encode
from libs.common.events import BookDelta
from libs.common.kafka import BATCH_BYTES, Publisher, by_symbol, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_DELTAS, book_key
from services.l2.feeds import FEEDS
from services.l2.feeds.venue_messages import VenueDelta
from tests.bench.depth_stream import START_MS, SYMBOL, seeded
from tests.bench.processes import folder_and_broker
from tests.bench.report import Result, quartiles

if TYPE_CHECKING:
    from tests.bench.report import Report

VENUE: Final = "binance"
CHUNK: Final = 2000  # events, then all acknowledgements are awaited
ROUNDS: Final = 10
BASELINE: Final = "aiokafka, ready bytes"
OURS: Final = "Publisher.send, events"


def run(report: Report) -> None:
    """Measure rounds of both, after one that is not counted."""
    report.say(f"publisher: {ROUNDS} rounds of {CHUNK} deltas each")
    with folder_and_broker(report.say) as (_, broker):
        uvloop.run(_measure(report, ServiceSettings(kafka_bootstrap_servers=broker.bootstrap_servers)))


async def _measure(report: Report, settings: ServiceSettings) -> None:
    deltas = _deltas()
    values = [encode(delta) for delta in deltas]
    key, ts_ms = book_key(VENUE, SYMBOL), START_MS
    await create_topics(settings)
    raw = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        compression_type="zstd",
        partitioner=by_symbol,
    )
    await raw.start()
    try:
        async with Publisher(settings) as publisher:

            async def send_raw() -> None:
                for value in values:
                    await raw.send(L2_BOOK_DELTAS.name, value, key, timestamp_ms=ts_ms)
                await raw.flush()

            async def send_ours() -> None:
                for delta in deltas:
                    await publisher.send(L2_BOOK_DELTAS, key, delta, delta.received_ts)
                await publisher.flush()

            contenders = {BASELINE: send_raw, OURS: send_ours}
            us: dict[str, list[float]] = {name: [] for name in contenders}
            names = list(contenders)
            for at in range(ROUNDS + 1):
                for name in names[at % 2 :] + names[: at % 2]:
                    gc.collect()
                    begun = time.perf_counter_ns()
                    await contenders[name]()
                    us[name].append((time.perf_counter_ns() - begun) / CHUNK / 1000)
    finally:
        await raw.stop()
    for name, taken in us.items():
        found = quartiles(taken[1:])
        pairs = zip(taken[1:], us[BASELINE][1:], strict=True)
        report.add(
            Result(
                bench="publisher",
                case="deltas of 20.7 levels",
                contender=name,
                figures={"us/record": found.median, "records/s": round(1e6 / found.median)},
                ratio=quartiles([ours / bare for ours, bare in pairs]),
                baseline=BASELINE,
                assumptions={
                    "in_flight": CHUNK,
                    "acks": "all",
                    "compression": "zstd",
                    "one_partition": "yes",
                },
            )
        )


def _deltas() -> list[BookDelta]:
    feed, made = FEEDS[VENUE], []
    for seq, frame in enumerate(seeded(CHUNK).frames):
        (said,) = feed.parse(frame, SYMBOL)
        assert isinstance(said, VenueDelta)
        made.append(
            BookDelta(
                venue=VENUE,
                symbol=SYMBOL,
                epoch=1,
                seq=seq,
                venue_seq=said.last,
                bids=said.bids,
                asks=said.asks,
                venue_ts=said.venue_ts,
                received_ts=said.venue_ts or 0,
            )
        )
    return made
