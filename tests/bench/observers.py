"""Who sees a message downstream, and when: readers of Kafka, of the gateway's stream and of its GET.

Each message is known by its venue time in ms, which the load exchange makes unique.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUND_TRIP_S: Final = 0.05  # between two raw round trips
ROUND_TRIP_BYTES: Final = 560  # as long as a Binance delta on the wire
DATA: Final = b"\ndata: "  # of a server-sent event
FETCH_BYTES: Final = 4 * 1024 * 1024


class Said(msgspec.Struct, frozen=True, gc=False):
    """What is needed of a BookDelta or BookTop."""

    type: str
    venue: str
    symbol: str
    venue_ts: int | None
    received_ts: int


class Streamed(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What is needed of a message on the gateway's stream; its times are ms."""

    type: str
    venue_ts: int | None


class Shown(msgspec.Struct, frozen=True, gc=False):
    """What is needed of the gateway's answer to GET."""

    ts: int
    state: str


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """A message on Kafka: when l2 had it, and when a consumer saw it; ns UTC."""

    received_ts: int
    seen_ts: int


async def records(bootstrap_servers: str, topic: str) -> AsyncIterator[list[bytes]]:
    """Yield what is written to a topic from now on, as it comes."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=1000)
            if found:
                yield [record.value for batch in found.values() for record in batch]
    finally:
        await consumer.stop()


class Observers:
    """Everything seen of one run, by venue time in ms."""

    def __init__(self, bootstrap_servers: str, gateway: str) -> None:
        self.deltas: dict[int, Sighting] = {}
        self.tops: dict[int, Sighting] = {}
        self.streamed: dict[int, int] = {}  # ns UTC at which a client of the stream had the JSON
        self.shown: dict[int, int] = {}  # ns UTC at which GET showed this message or a newer one
        self.round_trips: list[tuple[int, int]] = []  # (when, duration), ns
        self.polls = 0
        self._kafka = bootstrap_servers
        self._gateway = gateway
        self._decode = msgspec.msgpack.Decoder(Said).decode

    async def see_deltas(self, topic: str) -> None:
        """Note when a consumer of Kafka has a delta."""
        async for batch in records(self._kafka, topic):
            seen = time.time_ns()
            for value in batch:
                said = self._decode(value)
                if said.type == "BookDelta" and said.venue_ts is not None:
                    self.deltas[said.venue_ts // NS_PER_MS] = Sighting(said.received_ts, seen)

    async def see_tops(self, topic: str) -> None:
        """Note when a consumer has a top, and from then on ask the gateway until it shows it."""
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
            async for batch in records(self._kafka, topic):
                seen = time.time_ns()
                for value in batch:
                    said = self._decode(value)
                    if said.venue_ts is not None:
                        self.tops[said.venue_ts // NS_PER_MS] = Sighting(said.received_ts, seen)
                        tasks.create_task(self._ask(http, said, said.venue_ts // NS_PER_MS))

    async def see_stream(self, topic: str) -> None:
        """Note when a client of the gateway's stream has a delta's JSON."""
        decode = msgspec.json.Decoder(Streamed).decode
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{self._gateway}/api/stream", params={"topics": topic}) as stream,
        ):
            stream.raise_for_status()
            rest = b""
            async for chunk in stream.content.iter_any():
                seen = time.time_ns()
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    at = event.find(DATA)
                    said = decode(event[at + len(DATA) :]) if at >= 0 else None
                    if said is not None and said.type == "BookDelta" and said.venue_ts is not None:
                        self.streamed[said.venue_ts] = seen

    async def make_round_trips(self, topic: str) -> None:
        """Send and receive a plain record again and again: what Kafka and its client cost at least."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka, enable_idempotence=True, acks="all", linger_ms=0
        )
        await producer.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(producer, topic))
                async for batch in records(self._kafka, topic):
                    seen = time.time_ns()
                    for value in batch:
                        sent = int.from_bytes(value[:8])
                        self.round_trips.append((sent, seen - sent))
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, topic: str) -> None:
        padding = bytes(ROUND_TRIP_BYTES - 8)
        while True:
            await asyncio.sleep(ROUND_TRIP_S)
            await producer.send(topic, time.time_ns().to_bytes(8) + padding)

    async def _ask(self, http: aiohttp.ClientSession, said: Said, venue_ms: int) -> None:
        address = f"{self._gateway}/api/l2/{said.venue}/{said.symbol}"
        while True:
            self.polls += 1
            async with http.get(address) as reply:
                shown = msgspec.json.decode(await reply.read(), type=Shown) if reply.status == 200 else None
            if shown is not None and shown.ts >= venue_ms:
                self.shown[venue_ms] = time.time_ns()
                return
