"""Three brokers, one of which is killed at a time: every route goes on answering."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from libs.common.topics import TOPICS
from tests.compose.routes import LASTING
from tests.compose.stack import THREE_BROKERS, Stack, running
from tests.e2e.system import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

BROKERS = ("kafka", "kafka-2", "kafka-3")
BACK_S = 150.0  # seconds of an idle machine, minutes of one that does more beside it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(image: str) -> AsyncIterator[Stack]:
    async for up in running(THREE_BROKERS, image):
        yield up


async def test_no_service_ends_while_the_brokers_get_to_know_each_other(stack: Stack) -> None:
    for container in await stack.containers():
        known = await stack.inspect(container)
        assert known["RestartCount"] == 0, f"{known['Name']} ended while it started"


async def test_every_route_answers_while_one_broker_is_dead(stack: Stack) -> None:
    for broker in BROKERS[:2]:  # the one that every address begins with, and one of those that none does
        await until("every replica in sync", lambda: in_sync(stack), BACK_S)
        (container,) = await stack.containers(broker)
        async with asyncio.TaskGroup() as tasks:
            views = tasks.create_task(reads_never_fail(stack))
            await stack.docker("kill", container)
            for method, path, body in LASTING:
                await stack.answered(method, path, body, BACK_S)
            await stack.all_live(BACK_S)
            views.cancel()
        await stack.docker("start", container)


async def reads_never_fail(stack: Stack) -> None:
    """Ask for what the gateway answers from its memory; only a book may be away, while it is stale."""
    while True:
        for method, path, _ in LASTING:
            if method == "GET":
                status, answer = await stack.ask(method, path)
                assert status == 200 or (status == 503 and "/l2/" in path), (path, status, answer)
        await asyncio.sleep(0.2)


async def in_sync(stack: Stack) -> bool:
    """Return whether each partition of ours has three replicas in sync, as any broker tells it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    try:
        await admin.start()
        topics = await admin.describe_topics(list(TOPICS))
    except KafkaError:  # whom it asked is the one that starts again
        return False
    finally:
        await admin.close()
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return bool(partitions) and all(len(partition["isr"]) == len(BROKERS) for partition in partitions)
