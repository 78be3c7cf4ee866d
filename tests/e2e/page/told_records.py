"""The records behind the numbers of the page, read from Kafka, as MessagePack, and not by the gateway."""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.codec import decode
from libs.common.topics import EXECUTION_RECORDS
from tests.whole_records import WholeRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MS_NS: Final = 1_000_000
MISSING: Final = object()
POLL_MS: Final = 500


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, name: str) -> Place:
        """Return the place of a record's id."""
        topic, partition, offset = name.split(":")
        return cls(topic, int(partition), int(offset))


async def records_at(kafka: str, names: Iterable[str]) -> dict[str, Any]:
    """Return the messages at these places; of an execution's progress the whole record that it makes."""
    wanted: defaultdict[TopicPartition, dict[int, str]] = defaultdict(dict)
    for name in names:
        place = Place.of(name)
        wanted[TopicPartition(place.topic, place.partition)][place.offset] = name
    found: dict[str, Any] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        for partition, by_offset in wanted.items():
            found |= await _of_partition(consumer, partition, by_offset)
    finally:
        await consumer.stop()
    return found


async def _of_partition(
    consumer: AIOKafkaConsumer, partition: TopicPartition, by_offset: Mapping[int, str]
) -> dict[str, Any]:
    folds = partition.topic == EXECUTION_RECORDS.name
    whole, found = WholeRecords(), {}
    consumer.assign([partition])
    begin = (await consumer.beginning_offsets([partition]))[partition]
    consumer.seek(partition, begin if folds else min(by_offset))
    while await consumer.position(partition) <= max(by_offset):
        batches = await consumer.getmany(partition, timeout_ms=POLL_MS)
        for raw in batches.get(partition, ()):
            if raw.value is None:
                continue
            message = msgpack.unpackb(raw.value)
            if folds:
                message = msgspec.to_builtins(whole.fold(decode(EXECUTION_RECORDS, raw.value)))
            if raw.offset in by_offset:
                found[by_offset[raw.offset]] = message
    return found


def told_name(name: str) -> str:
    """Return a field's name as callers read it."""
    head, *rest = re.sub("_ns$", "_ms", name).split("_")
    return head + "".join(word.capitalize() for word in rest)


def valued(message: Any, path: str) -> Any:
    """Return what stands at a path of the page in a message of Kafka, `MISSING` if nothing does."""
    if not path:
        return message
    if isinstance(message, list | tuple):
        head, _, rest = path.partition(".")
        there = head.isdecimal() and int(head) < len(message)
        return valued(message[int(head)], rest) if there else MISSING
    if not isinstance(message, dict):
        return MISSING
    for name, value in message.items():  # a name may have dots
        for told in {name, told_name(name)}:
            if path == told or path.startswith(f"{told}."):
                in_ns = isinstance(value, int) and (name == "ts" or name.endswith(("_ts", "_ns")))
                inner = valued(value // MS_NS if in_ns else value, path[len(told) + 1 :])
                if inner is not MISSING:
                    return inner
    return MISSING


def is_shown_as(value: Any, shown: str) -> bool:
    """Tell whether a value of a message is what an element of the page states."""
    match value:
        case bool():
            return shown == str(value).lower()
        case str():
            return shown == value
        case int() | float():
            return re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", shown) is not None and float(shown) == float(value)
        case _:
            return False


def is_rounded_to(value: Any, text: str) -> bool:
    """Tell whether a text is a number rounded to the digits that it has; its thousands may be apart."""
    plain = re.sub(r"[^\d.\-]", "", text.replace("\N{MINUS SIGN}", "-"))
    digits = len(plain.partition(".")[2])
    return abs(Decimal(plain) - Decimal(repr(value))) <= Decimal(1).scaleb(-digits) / 2
