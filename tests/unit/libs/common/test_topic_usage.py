"""What is told of the topics while a part of Kafka is away: a cluster of two brokers, without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.offset import OffsetRequest

from libs.common.budgets import Usage
from libs.common.settings import ServiceSettings
from libs.common.topic_usage import topic_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = ServiceSettings()
TOPICS = ("a", "b")
FIRST, END = 10, 110
STAMPS = (1_700_000_000_005, 1_700_000_000_002)  # ms, of the oldest record of each partition


@dataclass
class Cluster:
    """Two brokers and two topics of two partitions, and what is the matter with them."""

    leaders: dict[tuple[str, int], int]
    codes: dict[tuple[str, int], int] = field(default_factory=dict)  # errors of ListOffsets
    dead: set[int] = field(default_factory=set)  # brokers that the others do not know to be
    unreachable: int = 0  # so many clients find nobody
    settles: int = -1  # after so many pauses every partition has a leader
    clients: int = 0
    closed: int = 0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == self.settles:
            self.leaders = dict.fromkeys(self.leaders, 1)
        assert len(self.pauses) < 10, "it is asked again without an end"

    def client(self, **_: Any) -> Client:
        self.clients += 1
        return Client(self)


@dataclass
class Offsets:
    topics: Sequence[tuple[str, Sequence[tuple[int, int, int, int]]]]


@dataclass
class Folders:
    sizes: list[Any]

    def to_object(self) -> dict[str, Any]:
        return {"results": [{"topics": self.sizes}]}


@dataclass
class Client:
    cluster: Cluster

    async def bootstrap(self) -> None:
        if self.cluster.clients <= self.cluster.unreachable:
            raise KafkaConnectionError("nobody is there")

    async def fetch_all_metadata(self) -> ClusterMetadata:
        found = ClusterMetadata()
        topics = [
            (
                0,
                name,
                False,
                [(0, part, at, [1, 2], [1]) for (of, part), at in self.cluster.leaders.items() if of == name],
            )
            for name in TOPICS
        ]
        brokers = [(number, "localhost", 9092, None) for number in (1, 2)]
        found.update_metadata(MetadataResponse_v1(brokers, 1, topics))
        return found

    async def send(self, broker: int, request: Any) -> Offsets | Folders:
        if broker in self.cluster.dead:
            raise NodeNotReadyError(f"{broker}")
        if not isinstance(request, OffsetRequest):
            parts = [
                {"partition_index": part, "partition_size": 50, "is_future_key": False} for part in (0, 1)
            ]
            return Folders([{"topic": name, "name": name, "partitions": parts} for name in TOPICS])
        wanted = request._topics  # noqa: SLF001 -- aiokafka builds the bytes from it
        return Offsets(
            [
                (
                    name,
                    [
                        (
                            part,
                            self.cluster.codes.get((name, part), 0),
                            STAMPS[part] if of == 0 else -1,
                            END if of == -1 else FIRST,
                        )
                        for part, of in parts
                    ],
                )
                for name, parts in wanted
            ]
        )

    async def close(self) -> None:
        self.cluster.closed += 1


def a_cluster(
    monkeypatch: pytest.MonkeyPatch, leaders: Sequence[int] = (1, 2, 1, 1), **faults: Any
) -> Cluster:
    """Return a cluster where these brokers lead a-0, a-1, b-0 and b-1."""
    places = [(name, part) for name in TOPICS for part in (0, 1)]
    cluster = Cluster(dict(zip(places, leaders, strict=True)), **faults)
    monkeypatch.setattr("libs.common.topic_usage.AIOKafkaClient", cluster.client)
    monkeypatch.setattr("libs.common.topic_usage.asyncio.sleep", cluster.sleep)
    return cluster


WHOLE = Usage(2 * (END - FIRST), 100, 2 * END, min(STAMPS))


async def test_each_topic_has_the_offsets_and_bytes_of_its_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_cluster(monkeypatch)
    assert await topic_usage(SETTINGS, (*TOPICS, "absent")) == {"a": WHOLE, "b": WHOLE}


async def test_a_partition_without_a_leader_leaves_only_its_topic_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = a_cluster(monkeypatch, (1, -1, 1, 1))
    assert await topic_usage(SETTINGS, TOPICS) == {"a": None, "b": WHOLE}
    assert (cluster.clients, cluster.closed, cluster.pauses) == (5, 5, [0.2, 0.5, 1.0, 2.0])


async def test_a_topic_that_has_just_been_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = a_cluster(monkeypatch, (1, -1, 1, 1), settles=2)
    assert await topic_usage(SETTINGS, TOPICS) == {"a": WHOLE, "b": WHOLE}
    assert cluster.pauses == [0.2, 0.5]


@pytest.mark.parametrize("faults", [{"dead": {2}}, {"codes": {("a", 1): NotLeaderForPartitionError.errno}}])
async def test_a_leader_that_is_none_any_more_leaves_only_its_topics_unknown(
    monkeypatch: pytest.MonkeyPatch, faults: dict[str, Any]
) -> None:
    cluster = a_cluster(monkeypatch, **faults)
    assert await topic_usage(SETTINGS, TOPICS) == {"a": None, "b": WHOLE}
    assert cluster.closed == cluster.clients


async def test_while_nobody_answers_it_is_asked_again_after_pauses_of_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = a_cluster(monkeypatch, unreachable=5)
    assert await topic_usage(SETTINGS, TOPICS) == {"a": WHOLE, "b": WHOLE}
    assert cluster.pauses == [0.2, 0.5, 1.0, 2.0, 5.0]
    assert cluster.closed == cluster.clients == 6


async def test_what_asking_again_does_not_mend_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a_cluster(monkeypatch, codes={("a", 1): TopicAuthorizationFailedError.errno})
    with pytest.raises(TopicAuthorizationFailedError):
        await topic_usage(SETTINGS, TOPICS)
