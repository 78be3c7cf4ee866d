"""A bare echo through Kafka, on one loop: what an answer through HTTP and services is measured by.

A record to a topic is taken by a consumer of this loop, sent to a second topic, and taken there: no HTTP, no
transaction, no computation, no other process.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

POLL_S: Final = 0.02
ASKED: Final = "bookrunner.bench.asked"
ECHOED: Final = "bookrunner.bench.echoed"


@asynccontextmanager
async def bare_echo(kafka: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yield what sends one record and waits until it is back."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in (ASKED, ECHOED)])
    while not {ASKED, ECHOED} <= set(await admin.list_topics()):  # noqa: ASYNC110 -- Kafka tells nobody
        await asyncio.sleep(POLL_S)
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    readers = [AIOKafkaConsumer(bootstrap_servers=kafka) for _ in (ASKED, ECHOED)]
    await producer.start()
    for reader, name in zip(readers, (ASKED, ECHOED), strict=True):
        await reader.start()
        reader.assign([TopicPartition(name, 0)])
        await reader.seek_to_end()
    heard, back = readers

    async def repeat() -> None:
        async for record in heard:
            await producer.send(ECHOED, record.value)

    echoing = asyncio.create_task(repeat())

    async def ask() -> None:
        await producer.send(ASKED, b"x" * 300)
        await back.getone()

    try:
        yield ask
    finally:
        echoing.cancel()
        await asyncio.gather(echoing, return_exceptions=True)
        for client in (producer, *readers):
            await client.stop()
