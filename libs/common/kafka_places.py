"""Where in its logs a reader begins, and where they end when it does.

Two ends: behind the last committed record, which is as far as a reader of committed records comes, and behind
what open transactions wrote, the high watermark.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.kafka_security import client_arguments, stop_consumer
from libs.common.time_units import NS_PER_MS
from libs.common.topic import REPEATED_MS
from libs.common.views import Last

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence

    from libs.common.settings import ServiceSettings

POLL_MS: Final = 100
NEWEST_S: Final = 1.0  # how long the newest records are waited for: where none stands, all are read
RECENT_MS: Final = 3 * REPEATED_MS  # before a partition's newest record

Place: TypeAlias = Literal["beginning", "recent", "end"] | int | Last
"""Where to begin in a partition: a place, or a time (ns UTC); recent: `RECENT_MS` before its newest one."""
Start: TypeAlias = Place | Mapping[TopicPartition, int] | Mapping[str, Place]
"""Where to begin: everywhere alike, at offsets, or by topic name; what is not named, at its beginning."""

Offsets: TypeAlias = Mapping[TopicPartition, int]


async def bounds(
    settings: ServiceSettings, partitions: Sequence[TopicPartition], start: Start
) -> tuple[Offsets, Offsets]:
    """Return where to begin in each partition, and its high watermark.

    On consumers of their own: what they leave waiting at the end of a log would hold up a reader's first
    fetch.

    Raises
    ------
    KafkaError
        If Kafka does not answer.
    """
    async with _looking(settings, partitions, "read_committed") as looking:
        stable = await looking.end_offsets(partitions)
        async with _looking(settings, partitions, "read_uncommitted") as beyond:
            ends = await beyond.end_offsets(partitions)
        return await _starts(looking, partitions, start, stable), ends


@asynccontextmanager
async def _looking(
    settings: ServiceSettings, partitions: Collection[TopicPartition], isolation_level: str
) -> AsyncGenerator[AIOKafkaConsumer, None]:
    """Lend a consumer that is paused everywhere, and so reads nothing until it is told where."""
    consumer = AIOKafkaConsumer(
        **client_arguments(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=isolation_level,
    )
    try:
        await consumer.start()
        consumer.assign(partitions)  # without it, aiokafka first waits 0.3 s for what it knows of the topics
        for partition in partitions:
            consumer.seek(partition, 0)
        consumer.pause(*partitions)
        yield consumer
    finally:
        await stop_consumer(consumer)


async def _starts(
    looking: AIOKafkaConsumer, partitions: Sequence[TopicPartition], start: Start, stable: Offsets
) -> Offsets:
    offsets: dict[TopicPartition, int] = await looking.beginning_offsets(partitions)
    recent: list[TopicPartition] = []
    times: dict[TopicPartition, int] = {}
    for partition in partitions:
        place: Any = start
        if isinstance(place, Mapping):
            named: Mapping[Any, Any] = place
            offsets[partition] = named.get(partition, offsets[partition])
            place = named.get(partition.topic)
        match place:
            case "end":  # before what open transactions wrote: nothing that ends later is missed
                offsets[partition] = stable[partition]
            case "recent" if stable[partition] > offsets[partition]:
                recent.append(partition)
            case Last(offsets=most):
                count = sum(each.topic == partition.topic for each in partitions)
                first = stable[partition] - -(-most // count)
                offsets[partition] = max(offsets[partition], first)
            case int(ts):
                times[partition] = ts // NS_PER_MS
    if recent:
        newest = await _newest(looking, stable, recent)
        now_ms = time.time_ns() // NS_PER_MS
        times |= {partition: recent_ms(newest_ms, now_ms) for partition, newest_ms in newest.items()}
    if times:
        found = await looking.offsets_for_times(times)
        offsets |= {p: stable[p] if at is None else at.offset for p, at in found.items()}
    return offsets


def recent_ms(newest_ms: int, now_ms: int) -> int:
    """Return where the recent records begin; the newest one's stamp, a stranger's too, may be any."""
    return max(0, min(newest_ms, now_ms) - RECENT_MS)


async def _newest(
    looking: AIOKafkaConsumer, stable: Offsets, partitions: Collection[TopicPartition]
) -> Mapping[TopicPartition, int]:
    """Return the time (ms) of the newest record of each; none where no record stands at the end."""
    found: dict[TopicPartition, int] = {}
    for partition in partitions:
        looking.seek(partition, stable[partition] - 1)
    looking.resume(*partitions)
    deadline_s = asyncio.get_running_loop().time() + NEWEST_S
    while len(found) < len(partitions) and asyncio.get_running_loop().time() < deadline_s:
        batches = await looking.getmany(*partitions, timeout_ms=POLL_MS)
        found |= {partition: raws[-1].timestamp for partition, raws in batches.items() if raws}
    return found
