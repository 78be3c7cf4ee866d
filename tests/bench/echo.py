"""``python -m tests.bench.echo FROM TO``: send every record back, and do nothing else; a baseline."""

from __future__ import annotations

import os
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


async def echo(source: str, target: str) -> None:
    """Read partition 0 of one topic from its end, and write each value to the other."""
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(source, 0)])
    async for record in consumer:
        await producer.send(target, record.value, partition=0)


if __name__ == "__main__":
    uvloop.run(echo(*sys.argv[1:]))
