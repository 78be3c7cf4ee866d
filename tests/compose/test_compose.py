"""`docker compose up` as a user meets it: every route, Kafka from the host, more workers, kills."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from tests.compose.routes import LASTING, use_every_route
from tests.compose.stack import ONE_BROKER, Stack, running
from tests.e2e.system import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

OURS = ("simulator", "l2", "venues", "router", "portfolio", "execution", "context", "policies", "gateway")
STATEFUL = ("l2", "venues", "router", "portfolio", "execution", "gateway", "simulator")
BACK_S = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(image: str) -> AsyncIterator[Stack]:
    async for up in running(ONE_BROKER, image):
        yield up


async def test_up_wait_returns_only_when_the_ten_commands_hold(stack: Stack) -> None:
    assert stack.unproven == []


async def test_every_route_of_the_document_answers(stack: Stack) -> None:
    document = await stack.answered("GET", "/openapi.json")
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert await use_every_route(stack) == routes


async def test_a_subscriber_on_the_host_gets_books(stack: Stack) -> None:
    async with AIOKafkaConsumer("l2.book-deltas.v1", bootstrap_servers=stack.kafka) as deltas:
        record = await asyncio.wait_for(anext(aiter(deltas)), 30)
    assert msgpack.unpackb(record.value)["bids"] is not None


async def test_every_container_becomes_healthy_without_a_restart(stack: Stack) -> None:
    async def states() -> dict[str, str]:
        found = [await stack.inspect(each) for each in await stack.containers()]
        return {each["Name"]: each["State"]["Health"]["Status"] for each in found}

    async def healthy() -> bool:
        return set((await states()).values()) == {"healthy"}

    await until("every container healthy", healthy, BACK_S)
    assert len(await states()) == len(OURS) + 1


async def test_our_containers_have_no_root_no_rights_and_nothing_to_write_on(stack: Stack) -> None:
    for service in OURS:
        (container,) = await stack.containers(service)
        found = await stack.inspect(container)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert 0 < host["Memory"] < 1 << 30, service
        assert await stack.docker("exec", container, "id", "-u") == "65532\n", service
        tried = await stack.docker("exec", container, "sh", "-c", "echo x > /opt/x || echo refused")
        assert tried == "refused\n", service


async def test_only_the_gateway_and_kafka_are_published_and_only_on_loopback(stack: Stack) -> None:
    published = {}
    for container in await stack.containers():
        found = await stack.inspect(container)
        for ports in filter(None, found["NetworkSettings"]["Ports"].values()):
            service = found["Config"]["Labels"]["com.docker.compose.service"]
            published[service] = [(port["HostIp"], int(port["HostPort"])) for port in ports]
    assert published == {
        "gateway": [("127.0.0.1", stack.gateway_port)],
        "kafka": [("127.0.0.1", stack.kafka_port)],
    }


async def test_more_of_a_service_share_its_work(stack: Stack) -> None:
    await stack.up(l2=3, router=2, execution=2)
    for group, members in (("l2", 3), ("router", 2), ("execution", 2)):

        async def spread(group: str = group, members: int = members) -> bool:
            return await workers(stack, group) == members

        await until(f"{members} members of {group} with partitions", spread, BACK_S)
    await stack.all_live()
    for method, path, body in LASTING:
        await stack.answered(method, path, body)
    await stack.up(l2=1, router=1, execution=1)
    await stack.all_live()


async def test_what_is_killed_comes_back_by_itself_with_what_it_knew(stack: Stack) -> None:
    execution = await stack.answered("POST", "/api/exec/plan-and-execute", {"symbol": "ETHUSDT"})
    path = f"/api/exec/{execution['executionId']}"
    before = await stack.answered("GET", "/api/router/snapshot")
    for service in STATEFUL:
        (container,) = await stack.containers(service)
        await crash(stack, container)
    await stack.all_live()
    for method, route, body in LASTING:
        await stack.answered(method, route, body)
    assert (await stack.answered("GET", path))["executionId"] == execution["executionId"]
    after = await stack.answered("GET", "/api/router/snapshot")
    assert rewards(after) >= rewards(before) > 0


async def test_kafka_restarts_and_nothing_is_lost(stack: Stack) -> None:
    records = await stack.answered("GET", "/api/exec/records?limit=500")
    (kafka,) = await stack.containers("kafka")
    await crash(stack, kafka)
    await stack.all_live()
    for method, route, body in LASTING:
        await stack.answered(method, route, body)
    known = {each["executionId"] for each in await stack.answered("GET", "/api/exec/records?limit=500")}
    assert {each["executionId"] for each in records} <= known


async def crash(stack: Stack, container: str) -> None:
    """End its process as the kernel would, and wait until the engine has started it again.

    `docker kill` is no crash: the engine takes it for a wish, and starts nothing again.
    """
    state = (await stack.inspect(container))["State"]
    try:
        os.kill(state["Pid"], signal.SIGKILL)
    except (PermissionError, ProcessLookupError):  # an engine of another user, or in a virtual machine
        await stack.docker("kill", container)
        await stack.docker("start", container)

    async def again() -> bool:
        now = (await stack.inspect(container))["State"]
        return bool(now["Running"] and now["StartedAt"] != state["StartedAt"])

    await until("the container runs again", again, BACK_S)


async def workers(stack: Stack, group: str) -> int:
    """Return how many members of a consumer group have partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
    finally:
        await admin.close()
    (described,) = answer.groups
    members: list[Any] = described[5]
    given = [ConsumerProtocolMemberAssignment.decode(member[-1]) for member in members if member[-1]]
    return sum(bool(each.assignment) for each in given)


def rewards(snapshot: Any) -> int:
    """Return how many rewards the router has counted."""
    return sum(policy["updates"] for policy in snapshot["policies"])
