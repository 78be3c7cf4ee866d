"""The baseline of `gateway_commands`: bare ASGI that sends each body through Kafka and waits for its answer.

No route, check, guard, header, identity or log: uvicorn, one aiokafka producer and one consumer.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ASKED: Final = "bench.asked"
ANSWERED: Final = "bench.answered"

_waiting: dict[int, asyncio.Future[object]] = {}
_producer: list[AIOKafkaProducer] = []
_listening: list[asyncio.Task[None]] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a POST with what comes back for it; the first one connects, alone."""
    if scope["type"] != "http":
        return
    if not _producer:
        await _start()
    body = (await receive())["body"]
    number = len(_waiting)
    answer = _waiting[number] = asyncio.get_running_loop().create_future()
    asked = msgspec.msgpack.encode((number, msgspec.json.decode(body)))
    await _producer[0].send_and_wait(ASKED, asked, partition=0)
    said = msgspec.json.encode(await answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


async def _start() -> None:
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None)
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(ANSWERED, 0)])
    await consumer.seek_to_end()

    async def listen() -> None:
        async for record in consumer:
            number, answer = msgspec.msgpack.decode(record.value)
            _waiting[number].set_result(answer)

    _producer.append(producer)
    _listening.append(asyncio.create_task(listen()))
