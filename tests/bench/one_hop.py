"""``python -m tests.bench.one_hop KIND RECORDS PARTITIONS``: makes records of a command; see `exactly_once`.

``processor`` is a service on `libs.common.processor`, ``classic`` the same with the first version of Kafka's
transactions; ``transaction`` is the textbook loop of aiokafka that keeps no state, and ``echo`` has none.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

import aiokafka.producer.sender
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.common import partition_owner, processor
from libs.common.events import Event
from libs.common.handling import Output, Wiring
from libs.common.kafka import partition_of
from libs.common.settings import ProcessorSettings
from libs.common.topics import Key, Topic
from libs.common.transactions import GAP_S, classic, fence

if TYPE_CHECKING:
    from libs.common.handling import State, WakeAt

PARTITIONS: Final = 4
PADDING: Final = "x" * 200  # of a record, bytes


class Ask(Event, frozen=True, kw_only=True):
    """The command."""

    number: int


class Told(Event, frozen=True, kw_only=True):
    """One of the records it leads to."""

    key: str
    number: int
    padding: str


class Asked(Event, frozen=True, kw_only=True):
    """State: the last command."""

    number: int


def topic(kind: str, name: str, *events: type[Event]) -> Topic:
    """Return a topic of the bench; each kind has its own."""
    return Topic(f"bench-{kind}.{name}.v1", events, Key.ORIGINAL, ("tests",))


def keys(partitions: int) -> list[bytes]:
    """Return a key for each of the first partitions."""
    found: dict[int, bytes] = {}
    names = count()
    while len(found) < PARTITIONS:
        key = b"key%d" % next(names)
        found.setdefault(partition_of(key, PARTITIONS), key)
    return [found[number] for number in range(partitions)]


def wiring(kind: str, records: int, partitions: int) -> Wiring[Asked]:
    """Return the service that tells `records` over `partitions` for each command."""
    names = keys(partitions)

    def handle(state: State[Asked], message: Ask, _now: int) -> list[Event | WakeAt]:
        state.put(b"asked", Asked(number=message.number))
        return [
            Told(key=names[n % partitions].decode(), number=message.number, padding=PADDING)
            for n in range(records)
        ]

    return Wiring(
        service=f"bench-{kind}",
        inputs=(topic(kind, "commands", Ask),),
        state=replace(topic(kind, "state", Asked), compacted=True),
        outputs={Told: Output(topic(kind, "told", Told), lambda told: told.key.encode())},
        handle=handle,
    )


async def transact(records: int, partitions: int) -> None:
    """Consume, produce and commit the group's offset, a transaction per batch; no state, no codec."""
    aiokafka.producer.sender.BACKOFF_OVERRIDE = GAP_S
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    group, told = "bench-transaction", topic("transaction", "told").name
    source = TopicPartition(topic("transaction", "commands").name, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=group)
    await consumer.start()
    await producer.start()
    consumer.assign([source])
    while True:
        for batch in (await consumer.getmany(timeout_ms=1_000)).values():
            async with producer.transaction():
                sends = [
                    await producer.send(told, batch[0].value + PADDING.encode(), partition=n % partitions)
                    for n in range(records)
                ]
                await asyncio.gather(*sends)
                await producer.send_offsets_to_transaction({source: batch[-1].offset + 1}, group)


async def echo(records: int, partitions: int) -> None:
    """Write the same records for each command, and nothing else."""
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    told = topic("echo", "told").name
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(topic("echo", "commands").name, 0)])
    async for record in consumer:
        for n in range(records):
            await producer.send(told, record.value + PADDING.encode(), partition=n % partitions)


if __name__ == "__main__":
    kind, records, partitions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if kind in {"processor", "classic"}:
        begin = {"processor": fence, "classic": classic}[kind]
        with patch.object(partition_owner, "fence", begin):
            processor.run(wiring(kind, records, partitions), ProcessorSettings())
    else:
        work = {"transaction": transact, "echo": echo}[kind]
        uvloop.run(partial(work, records, partitions)())
