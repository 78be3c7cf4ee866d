from __future__ import annotations

import asyncio
from contextlib import closing
from socket import socket

import pytest
from aiokafka.errors import KafkaConnectionError

from libs.common.kafka import UnreachableError, await_answer
from services.gateway.asking import kafka_link
from services.gateway.asking.kafka_link import KafkaLink
from services.gateway.settings import GatewaySettings


class EndedError(Exception):
    """The answers are used up."""


@pytest.fixture
def nobody() -> GatewaySettings:
    """Return the settings of a Kafka at a port where nobody listens."""
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return GatewaySettings(kafka_bootstrap_servers=f"127.0.0.1:{port}")


async def test_where_nobody_listens_kafka_is_out_of_reach(nobody: GatewaySettings) -> None:
    with pytest.raises(UnreachableError, match="nobody takes a connection"):
        await await_answer(nobody)


async def test_where_somebody_listens_and_hangs_up_it_is_not(nobody: GatewaySettings) -> None:
    port = int(nobody.kafka_bootstrap_servers.rpartition(":")[2])
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        with pytest.raises(KafkaConnectionError) as caught:
            await await_answer(nobody)
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError(),
        KafkaConnectionError("one broker of three hung up"),
        TimeoutError(),
    ],
    ids=type,
)
async def test_a_kafka_that_is_out_of_reach_is_away_at_once_and_one_that_is_slow_after_its_patience(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    answers: list[Exception | None] = [None, error, TimeoutError(), None, EndedError()]
    told: list[bool] = []

    async def ask(_settings: object) -> None:
        told.append(link.away is not None)
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    monkeypatch.setattr(kafka_link, "await_answer", ask)
    monkeypatch.setattr(kafka_link, "PROBE_S", 0)
    link = KafkaLink(GatewaySettings())
    with pytest.raises(EndedError):
        await link.probe()
    assert told == [True, False, *[isinstance(error, UnreachableError)] * 2, False]


async def test_a_kafka_that_answers_nothing_more_is_said_to_be_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = asyncio.Event()

    async def ask(_settings: object) -> None:
        answered.set()

    silence_s = 0.05
    monkeypatch.setattr(kafka_link, "await_answer", ask)
    monkeypatch.setattr(kafka_link, "PROBE_S", 60)
    link = KafkaLink(GatewaySettings(kafka_silence_s=silence_s))
    probing = asyncio.create_task(link.probe())
    await answered.wait()
    await asyncio.sleep(2 * silence_s)
    assert link.away is not None
    assert "does not answer: nothing for " in link.away
    probing.cancel()
