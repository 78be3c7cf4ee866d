"""What the topics take on Kafka's disks, as the brokers tell it: bytes, offsets, and how old they are."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from libs.common.budgets import Usage
from libs.common.kafka_security import client_arguments

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from aiokafka.cluster import ClusterMetadata

    from libs.common.settings import ServiceSettings

REQUEST_TIMEOUT_MS: Final = 5_000
PATIENCE_S: Final = 30.0
RETRIES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)  # pauses; then always the last
SETTLING: Final = 4  # so often a topic may be found without a leader, as it is when it has just been made
# Of ListOffsets: who asks, of which records, two moments that are none, and one before all records.
_ANYBODY: Final = -1
_UNCOMMITTED_TOO: Final = 0
_END: Final = -1
_FIRST: Final = -2
_EVER: Final = 0  # the first record with a stamp after this, ms: the oldest one


class _Answer(Response):  # type: ignore[misc]  # aiokafka carries no types
    API_KEY: ClassVar[int] = 35
    API_VERSION: ClassVar[int] = 1
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _Question(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY: ClassVar[int] = 35
    API_VERSION: ClassVar[int] = 1
    RESPONSE_TYPE: ClassVar[type[Response]] = _Answer
    SCHEMA: ClassVar[Schema] = Schema(
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32))))
    )


class DescribeLogDirs(Request[_Question]):  # type: ignore[misc]  # as above
    """DescribeLogDirs, which aiokafka lacks: how large each log of a broker is.

    References
    ----------
    https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs, version 1
    """

    API_KEY = 35

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """Ask for all logs."""
        return request_struct_class(None)


async def topic_usage(settings: ServiceSettings, names: Collection[str]) -> Mapping[str, Usage | None]:
    """Return what those of the topics take that exist; None of one that has a partition without a leader.

    Raises
    ------
    KafkaError, OSError, TimeoutError
        If Kafka turns us away, or does not answer for half a minute.
    """
    async with asyncio.timeout(PATIENCE_S):
        for tried, pause_s in enumerate(chain(RETRIES_S, repeat(RETRIES_S[-1]))):
            try:
                found = await _asked(settings, names)
                if tried >= SETTLING or None not in found.values():
                    return found
            except KafkaError as error:
                if not error.retriable:
                    raise
            await asyncio.sleep(pause_s)
    raise AssertionError("it is asked for ever, or until it is too late")


async def _asked(settings: ServiceSettings, names: Collection[str]) -> Mapping[str, Usage | None]:
    client = AIOKafkaClient(**client_arguments(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
        cluster = await client.fetch_all_metadata()
        sizes = _sizes(
            [folder for each in cluster.brokers() for folder in await _folders(client, each.nodeId)]
        )
        led, unknown = _by_leader(cluster, names)
        sums = _Sums()
        for broker, partitions in led.items():
            try:
                unknown |= await _count(client, broker, partitions, sums)
            except KafkaError as error:
                if not error.retriable:
                    raise
                unknown |= partitions.keys()  # it has died, and the others do not know it yet
    finally:
        await client.close()
    return dict.fromkeys(unknown) | {
        name: Usage(
            end - sums.firsts[name], sizes.get(name, 0) if sizes else None, end, sums.oldest.get(name)
        )
        for name, end in sums.ends.items()
        if name not in unknown
    }


def _by_leader(
    cluster: ClusterMetadata, names: Collection[str]
) -> tuple[Mapping[int, Mapping[str, Collection[int]]], set[str]]:
    """Return the partitions to ask each broker for, and the topics of which nobody can be asked."""
    led: dict[int, dict[str, list[int]]] = {}
    unknown: set[str] = set()
    for name in names:
        for number in cluster.partitions_for_topic(name) or ():
            leader = cluster.leader_for_partition(TopicPartition(name, number))
            if leader is None or leader < 0:
                unknown.add(name)
            else:
                led.setdefault(leader, {}).setdefault(name, []).append(number)
    return led, unknown


@dataclass
class _Sums:
    """Over the partitions of each topic."""

    ends: Counter[str] = field(default_factory=Counter)
    firsts: Counter[str] = field(default_factory=Counter)
    oldest: dict[str, int] = field(default_factory=dict)  # ms


async def _count(
    client: AIOKafkaClient, broker: int, partitions: Mapping[str, Collection[int]], sums: _Sums
) -> set[str]:
    """Add what is of the partitions, and return the topics that the broker does not lead after all."""
    unknown: set[str] = set()
    for of in (_END, _FIRST, _EVER):
        found, unknown_too = await _places(client, broker, partitions, of)
        unknown |= unknown_too
        for name, stamp_ms, offset in found:
            if of == _END:
                sums.ends[name] += offset
            elif of == _FIRST:
                sums.firsts[name] += offset
            elif offset >= 0:  # else the partition is empty
                sums.oldest[name] = min(stamp_ms, sums.oldest.get(name, stamp_ms))
    return unknown


async def _places(
    client: AIOKafkaClient, broker: int, partitions: Mapping[str, Collection[int]], of: int
) -> tuple[Sequence[tuple[str, int, int]], set[str]]:
    """Return topic, stamp and offset of each partition's end, first record, or first one after a moment."""
    wanted = [(name, [(number, of) for number in numbers]) for name, numbers in partitions.items()]
    answer = await client.send(broker, OffsetRequest(_ANYBODY, _UNCOMMITTED_TOO, wanted))
    places: list[tuple[str, int, int]] = []
    unknown: set[str] = set()
    for name, found in answer.topics:
        for number, code, stamp_ms, offset in found:
            if not code:
                places.append((name, stamp_ms, offset))
                continue
            error = for_code(code)(f"{name} {number}")
            if not error.retriable:
                raise error
            unknown.add(name)
    return places, unknown


async def _folders(client: AIOKafkaClient, broker: int) -> list[Any]:
    try:
        answer = await client.send(broker, DescribeLogDirs())
    except (NodeNotReadyError, KafkaConnectionError):  # it has died; others have replicas of its logs
        return []
    except (
        IncompatibleBrokerVersion,
        NotImplementedError,
    ):  # it does not know the question, or other versions
        return []
    found: list[Any] = answer.to_object()["results"]
    return found


def _sizes(folders: Iterable[Any]) -> Mapping[str, int]:
    """Return bytes by topic, a partition's by its largest replica; nothing where we may not ask."""
    largest: dict[tuple[str, int], int] = {}
    for folder in folders:
        for topic in folder["topics"]:
            for partition in topic["partitions"]:
                if not partition["is_future_key"]:  # a copy that is being moved here
                    at = (topic["name"], partition["partition_index"])
                    largest[at] = max(largest.get(at, 0), partition["partition_size"])
    sizes: Counter[str] = Counter()
    for (name, _), size in largest.items():
        sizes[name] += size
    return sizes
