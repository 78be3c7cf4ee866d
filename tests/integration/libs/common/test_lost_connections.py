"""Clients of Kafka on uvloop, whose connections Kafka ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from libs.common.kafka_security import client_arguments
from libs.common.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[None, None, None]], None]

TURNS = 6  # of the loop


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_a_write_on_a_connection_that_is_gone_is_told_as_such_and_the_next_one_is_made(
    kafka: str, run: Run
) -> None:
    async def lose_and_go_on() -> None:
        waiting: list[asyncio.Future[object]] = []
        client = AIOKafkaClient(**client_arguments(ServiceSettings(kafka_bootstrap_servers=kafka)))
        await client.bootstrap()
        try:
            (node,) = client.cluster.brokers()
            assert await client.ready(node.nodeId)
            (lost,) = client._conns.values()  # noqa: SLF001 -- it shows them nowhere else
            lost._writer.transport.abort()  # noqa: SLF001 -- as above
            for _ in range(TURNS):  # in the middle of which the client notices
                with contextlib.suppress(KafkaConnectionError):
                    waiting.append(asyncio.ensure_future(lost.send(MetadataRequest([]))))
                await asyncio.sleep(0)
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(error) for error in ended} <= {KafkaConnectionError}
            with pytest.raises(KafkaConnectionError):
                lost.send(MetadataRequest([]))
            assert await client.force_metadata_update(), "it is still told where all is"
        finally:
            await client.close()

    run(lose_and_go_on())
