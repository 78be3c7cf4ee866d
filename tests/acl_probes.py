"""What a user of Kafka may do, found by asking the broker for all of it with requests of the bare protocol.

Nothing is changed by them: no record is in what is produced, no topic is created that does not exist, and a
group that lets somebody in asks for a member's id first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import (
    AlterConfigsRequest,
    CreateAclsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DescribeConfigsRequest,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from libs.common.kafka_security import client_arguments
from libs.common.topic_usage import DescribeLogDirs

if TYPE_CHECKING:
    from collections.abc import Collection

    from libs.common.settings import ServiceSettings

# https://kafka.apache.org/43/design/protocol/#error-codes
TOPIC_DENIED: Final = 29
GROUP_DENIED: Final = 30
CLUSTER_DENIED: Final = 31
TRANSACTIONAL_ID_DENIED: Final = 53
_TOPIC: Final = 2  # a resource of configurations and of ACLs
NEW: Final = "a-topic-that-nobody-has"

Right = tuple[str, str]  # operation, name


class Probe:
    """One user's connection."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._client = AIOKafkaClient(**client_arguments(settings), request_timeout_ms=10_000)

    async def found(
        self, topics: Collection[str], groups: Collection[str], transactional_ids: Collection[str]
    ) -> set[Right]:
        """Return all that this user may do with them, and with the cluster."""
        await self._client.bootstrap()
        self._broker = self._client.get_random_node()
        try:
            rights = {
                *await self._seen(),
                *await self._written(topics),
                *await self._read(topics),
                *await self._configured(topics),
                *await self._created([*topics, NEW]),
                *await self._deleted(topics),
                *await self._altered(topics),
                *await self._of_cluster(),
            }
            for group in groups:
                join = JoinGroupRequest(group, 6_000, 6_000, "", None, "consumer", [("range", b"")])
                if (await self._client.send(self._broker, join)).error_code != GROUP_DENIED:
                    rights.add(("group", group))
            for name in transactional_ids:
                begin = InitProducerIdRequest(name, 1_000)
                if (await self._client.send(self._broker, begin)).error_code != TRANSACTIONAL_ID_DENIED:
                    rights.add(("transaction", name))
            return rights
        finally:
            await self._client.close()

    async def _seen(self) -> set[Right]:
        answer = (await self._client.send(self._broker, MetadataRequest())).to_object()
        return {("describe", topic["topic"]) for topic in answer["topics"]}

    async def _written(self, topics: Collection[str]) -> set[Right]:
        produce = ProduceRequest(None, 1, 5_000, [(name, [(0, b"")]) for name in topics])
        answer = await self._client.send(self._broker, produce)
        return {
            ("write", name)
            for name, partitions in answer.topics
            for _, code, *_ in partitions
            if code != TOPIC_DENIED
        }

    async def _read(self, topics: Collection[str]) -> set[Right]:
        fetch = FetchRequest(0, 0, 1_000, 0, [(name, [(0, 0, 1_000)]) for name in topics])
        answer = await self._client.send(self._broker, fetch)
        return {
            ("read", name)
            for name, partitions in answer.topics
            for _, code, *_ in partitions
            if code != TOPIC_DENIED
        }

    async def _configured(self, topics: Collection[str]) -> set[Right]:
        answer = await self._client.send(
            self._broker, DescribeConfigsRequest([(_TOPIC, name, None) for name in topics])
        )
        return {("configs", name) for code, _, _, name, _ in answer.resources if code != TOPIC_DENIED}

    async def _created(self, topics: Collection[str]) -> set[Right]:
        create = CreateTopicsRequest([(name, 1, 1, [], []) for name in topics], 5_000, validate_only=True)
        answer = await self._client.send(self._broker, create)
        return {("create", name) for name, code, *_ in answer.topic_errors if code != TOPIC_DENIED}

    async def _deleted(self, topics: Collection[str]) -> set[Right]:
        answer = await self._client.send(self._broker, DeleteTopicsRequest(list(topics), 5_000))
        return {("delete", name) for name, code in answer.topic_error_codes if code != TOPIC_DENIED}

    async def _altered(self, topics: Collection[str]) -> set[Right]:
        resources = [(_TOPIC, name, [("retention.ms", "1000")]) for name in topics]
        answer = await self._client.send(self._broker, AlterConfigsRequest(resources))
        return {("alter configs", name) for code, _, _, name in answer.resources if code != TOPIC_DENIED}

    async def _of_cluster(self) -> set[Right]:
        rights: set[Right] = set()
        if (await self._client.send(self._broker, DescribeLogDirs())).results:
            rights.add(("cluster", "describe"))
        acl = CreateAclsRequest(_TOPIC, NEW, 3, "User:nobody", "*", 3, 3)
        ((code, _),) = (await self._client.send(self._broker, acl)).creation_responses
        if code != CLUSTER_DENIED:
            rights.add(("cluster", "acls"))
        return rights
