"""How topics come to be: wait for Kafka, create what the registry names, refuse what does not fit it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from broker import readiness
from libs.common.kafka_security import client_arguments, refusal
from libs.common.settings import TLS, PermanentError
from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

PROGRESS_S: Final = 30.0  # between two lines that say what is awaited
RETRY_S: Final = 0.1
REQUEST_TIMEOUT_MS: Final = 5_000
REFUSAL_S: Final = 1.0  # in which a connection is refused, if it is
NAMED: Final = 3  # of a list of topics

_log = logging.getLogger(__name__)


class KafkaAwayError(Exception):
    """Kafka did not answer in time."""


class UnreachableError(KafkaConnectionError):  # type: ignore[misc]  # aiokafka carries no types
    """All bootstrap servers refuse connections: no broker runs there."""

    def __str__(self) -> str:
        """Return it in words."""
        return "nobody takes a connection"


class BrokersMissingError(KafkaError):  # type: ignore[misc]  # aiokafka carries no types
    """Fewer brokers are up than a topic wants replicas, as while a cluster starts."""

    retriable = True


class TopicMismatchError(PermanentError):
    """A topic exists with another number of partitions than the settings say."""


class TopicCreationError(Exception):
    """Kafka refused to create a topic."""


class TopicRightsError(PermanentError):
    """Topics are missing, or hidden, and this user may not create them."""


class MissingTopicError(Exception):
    """A topic that somebody wants to read does not exist."""


async def create_topics(settings: ServiceSettings, topics: Iterable[Topic] = tuple(TOPICS.values())) -> None:
    """Wait for Kafka, create the topics it lacks, and wait until all brokers know a leader of each partition.

    Raises
    ------
    KafkaAwayError
        If Kafka does not answer within ``kafka_wait_s``.
    KafkaAccessError
        If it is there and turns us away, at once.
    TopicMismatchError
        If a topic exists with another number of partitions than ``topic_partitions``.
    TopicRightsError
        If there are topics that this user neither sees nor may create.
    TopicCreationError
        If Kafka refuses to create one.
    """
    wanted = {topic.name: topic for topic in topics}
    waiting = _Waiting(settings)
    while not await _answers(settings):
        if settings.kafka_security_protocol in TLS and (refused := await refusal(settings)) is not None:
            raise refused  # a handshake that fails, as for want of a certificate, is no answer either
        await waiting.pause("no answer")
    while True:
        try:
            if await _created(settings, wanted) and await _known_to_all(settings, wanted):
                return
            missing = "a leader of every partition, as each broker tells it"
        except KafkaError as error:
            if not (error.retriable or isinstance(error, KafkaConnectionError)):
                raise
            missing = str(error)
        except TimeoutError:
            missing = "no answer to a request"
        await waiting.pause(missing)


async def partition_counts(settings: ServiceSettings, topics: Iterable[Topic]) -> Mapping[str, int]:
    """Return the number of partitions per topic name.

    Raises
    ------
    KafkaError
        If Kafka does not answer; its kind `KafkaAccessError`, if it turns us away, and `UnreachableError`, if
        nobody is there.
    MissingTopicError
        If one of the topics does not exist.
    """
    async with _admin(settings) as admin:
        counts = {name: len(partitions) for name, partitions in (await _partitions(admin)).items()}
    names = [topic.name for topic in topics]
    if missing := [name for name in names if name not in counts]:
        raise MissingTopicError(f"Kafka at {settings.kafka_bootstrap_servers} has no {', '.join(missing)}")
    return {name: counts[name] for name in names}


async def await_answer(settings: ServiceSettings) -> None:
    """Return once Kafka has answered a new connection; it is asked for nothing else.

    Raises
    ------
    KafkaError
        As `partition_counts`.
    """
    async with _admin(settings):
        return


async def _created(settings: ServiceSettings, wanted: Mapping[str, Topic]) -> bool:
    """Create what is missing; return whether all partitions have a leader by now."""
    count = settings.topic_partitions
    async with _admin(settings) as admin:
        found = await _partitions(admin)
        _check(count, {name: found[name] for name in wanted if name in found})
        new = [topic for name, topic in wanted.items() if name not in found]
        if new:
            refused = await _create(admin, new, count, settings.topic_replication)
            if refused:
                raise TopicRightsError(_without_right(settings, sorted(refused)))
            found = await _partitions(admin)
    return _led(found, wanted, count)


async def _known_to_all(settings: ServiceSettings, wanted: Iterable[str]) -> bool:
    """Return whether each broker that can be reached knows of them: clients ask any, and some give up."""
    client = AIOKafkaClient(**client_arguments(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
        for broker in client.cluster.brokers():
            try:
                answer = await client.send(broker.nodeId, MetadataRequest())
            except (NodeNotReadyError, KafkaConnectionError):  # it has died, and answers nobody
                continue
            if not _led(_by_name(answer.to_object()["topics"]), wanted, settings.topic_partitions):
                return False
    finally:
        await client.close()
    return True


async def _answers(settings: ServiceSettings) -> bool:
    """Tell whether a broker answers a plain socket: clients write errors while none does.

    It sends no secret and checks no certificate, so that the client itself can say what is wrong.
    """
    client_arguments(settings)  # raises what is wrong with certificates
    how = readiness.access(
        settings.kafka_security_protocol, settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile
    )
    for host, port, _ in collect_hosts(settings.kafka_bootstrap_servers, randomize=False):
        if await asyncio.to_thread(readiness.answers, host, port, how=how):
            return True
    return False


def _led(found: Mapping[str, list[Any]], wanted: Iterable[str], count: int) -> bool:
    return all(
        len(found.get(name, [])) == count and all(partition["leader"] >= 0 for partition in found[name])
        for name in wanted
    )


def _check(count: int, found: Mapping[str, list[Any]]) -> None:
    wrong = [
        f"{name} has {len(partitions)}" for name, partitions in found.items() if len(partitions) != count
    ]
    if wrong:
        more = f" and {len(wrong) - NAMED} topics more differ" if len(wrong) > NAMED else ""
        raise TopicMismatchError(
            f"TOPIC_PARTITIONS is {count}, but {', '.join(wrong[:NAMED])}{more}: "
            "set it to what they have, or start with fresh Kafka data (a key would "
            "move to another partition, away from its history)"
        )


async def _create(
    admin: AIOKafkaAdminClient, new: list[Topic], partitions: int, replication: int
) -> list[str]:
    """Create topics; return the names of those that this user may not create."""
    answer = await admin.create_topics(
        [
            NewTopic(topic.name, partitions, replication, topic_configs=dict(topic.config(partitions)))
            for topic in new
        ]
    )
    created, refused = 0, []
    for name, code, *rest in answer.topic_errors:
        if code == TopicAlreadyExistsError.errno:
            continue  # another service was faster
        if code == TopicAuthorizationFailedError.errno:
            refused.append(name)
            continue
        if code:
            refusal = for_code(code)
            if refusal is InvalidReplicationFactorError:
                raise BrokersMissingError(
                    f"TOPIC_REPLICATION is {replication}, more than there are brokers up"
                )
            if refusal.retriable:
                raise refusal(name)
            raise TopicCreationError(f"{name}: {refusal.__name__} {rest[0] if rest else ''}".strip())
        _log.info("topic_created", extra={"topic": name, "partitions": partitions, "routine": True})
        created += 1
    if created:
        facts = {"topics": created, "partitions": partitions, "routine": True}
        _log.info("topics_created", extra=facts)
    return refused


def _without_right(settings: ServiceSettings, names: list[str]) -> str:
    more = f" and {len(names) - NAMED} topics more" if len(names) > NAMED else ""
    who = "this user" if settings.kafka_sasl_username is None else repr(settings.kafka_sasl_username)
    return (
        f"Kafka at {settings.kafka_bootstrap_servers} lets {who} neither see nor create "
        f"{', '.join(names[:NAMED])}{more}: create what is missing as a user who may "
        "(`bookrunner topics --create`), and give this one its rights (`bookrunner acls`)"
    )


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, list[Any]]:
    # Asks for all: a request by name would create topics on a broker that does so by itself.
    return _by_name(await admin.describe_topics())


def _by_name(topics: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {topic["topic"]: topic["partitions"] for topic in topics}


@asynccontextmanager
async def _admin(settings: ServiceSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_arguments(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            await admin.start()
        except KafkaConnectionError as error:
            if (refused := await refusal(settings)) is not None:
                raise refused from error
            if await _nobody_listens(settings):
                raise UnreachableError from error
            raise
        yield admin
    finally:
        await admin.close()


async def _nobody_listens(settings: ServiceSettings) -> bool:
    """Return whether every bootstrap server refuses a connection; one that is slow or unknown does not."""
    for host, port, _ in collect_hosts(settings.kafka_bootstrap_servers, randomize=False):
        try:
            async with asyncio.timeout(REFUSAL_S):
                _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            continue
        except OSError:
            return False
        writer.close()
        return False
    return True


class _Waiting:
    """The patience with Kafka: short pauses, a line every 5 s, a clear end."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._said = self._began

    async def pause(self, missing: str) -> None:
        now = time.monotonic()
        where, patience = self._settings.kafka_bootstrap_servers, self._settings.kafka_wait_s
        if now - self._began >= patience:
            raise KafkaAwayError(
                f"Kafka at {where} was not ready in {patience:g} s ({missing}); start it with "
                "`python -m broker`, or set KAFKA_BOOTSTRAP_SERVERS (and KAFKA_SECURITY_PROTOCOL, which is "
                f"{self._settings.kafka_security_protocol})"
            )
        if now - self._said >= PROGRESS_S:
            self._said = now
            _log.info("kafka_awaited", extra={"address": where, "seconds": round(now - self._began, 1)})
        await asyncio.sleep(RETRY_S)
