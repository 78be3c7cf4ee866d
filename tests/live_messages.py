"""What stands on the topics, read by aiokafka and msgpack alone, held against the AsyncAPI document."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


UNDECODABLE = "Undecodable"
PRIVATE = "PrivateState"


class Message(NamedTuple):
    """A record that is no tombstone."""

    channel: str
    key: bytes | None
    headers: dict[str, str]
    raw: bytes


class Document:
    """An AsyncAPI document, which knows what may stand where."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.channels: dict[str, Any] = document["channels"]
        self._components: dict[str, Any] = document["components"]
        self.validator_of = cache(self._validator_of)

    def faults(self, message: Message) -> Iterator[str]:
        """Yield what is wrong with a message."""
        names = self.channels[message.channel]["messages"]
        payload = self._payload(message)
        name = self.name_of(message)
        if name not in names:
            yield f"{message.channel}: {name} is none of {', '.join(names)}"
            return
        if name != PRIVATE and (said := message.headers.get("ce_type", name)) != name:
            yield f"{message.channel}: {name} has ce_type {said}"
        for part, value in (("headers", message.headers), ("payload", payload)):
            for error in self.validator_of(name, part).iter_errors(value):
                yield f"{message.channel} {name} {part}: {error.message[:300]} at {error.json_path}"

    def name_of(self, message: Message) -> str:
        """Return the message's name: its tag, if the channel has no name for what it does not tell."""
        names = self.channels[message.channel]["messages"]
        if UNDECODABLE in names:
            return UNDECODABLE
        tag = str(self._payload(message).get("type"))
        return PRIVATE if PRIVATE in names and tag not in names else tag

    def _payload(self, message: Message) -> Any:
        (first, *_) = self.channels[message.channel]["messages"]
        media_type = self._components["messages"][first]["contentType"]
        if media_type == "application/vnd.msgpack":
            return msgpack.unpackb(message.raw)
        return message.raw.decode("latin-1")  # a text of bytes, which is what the document says of it

    def _validator_of(self, name: str, part: str) -> Draft202012Validator:
        said = self._components["messages"][name].get(part, True)
        schema = {"allOf": [said], "components": self._components}
        return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


async def everything_on(kafka: str, channels: Iterable[str]) -> dict[str, list[Message]]:
    """Return every record of these topics, from their beginnings to their present ends."""
    found: defaultdict[str, list[Message]] = defaultdict(list)
    async with AIOKafkaConsumer(
        *channels,
        bootstrap_servers=kafka,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=16 * 1024 * 1024,
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while [partition for partition in ends if await consumer.position(partition) < ends[partition]]:
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.value is not None:
                        headers = {name: value.decode() for name, value in record.headers}
                        found[partition.topic].append(
                            Message(partition.topic, record.key, headers, record.value)
                        )
    return found


async def ends_of(kafka: str, channels: Iterable[str]) -> dict[str, int]:
    """Return how many records were ever written to each of these topics."""
    async with AIOKafkaConsumer(*channels, bootstrap_servers=kafka) as consumer:
        ends: defaultdict[str, int] = defaultdict(int)
        for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
            ends[partition.topic] += end
        return dict(ends)


async def write_raw(kafka: str, channel: str, key: bytes, raw: bytes) -> None:
    """Write bytes to a topic as somebody else might."""
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(channel, raw, key)
