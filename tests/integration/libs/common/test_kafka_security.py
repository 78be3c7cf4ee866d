"""Everything that speaks to Kafka, on a real broker that wants TLS and a password."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import Subscribed
from libs.common.kafka import Publisher, create_topics, partition_counts
from libs.common.kafka_security import KafkaAccessError, refusal
from libs.common.topics import L2_SUBSCRIPTIONS, TOPICS
from tests.integration.libs.cli.command import run
from tests.integration.libs.common.counting import COMMANDS, COUNTS, Add, Counted, wiring
from tests.integration.libs.common.exactly_once import log_of
from tests.integration.libs.common.workers import eventually, workers
from tests.integration.services.gateway.process import GatewayProcess
from tests.secure_kafka import PASSWORD, SecureKafka, kafka_of_certificates, secure_kafka
from tests.venues_running import Market, Process, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRONG = "not-the-password"
SOON_S = 10.0  # a refusal; kafka_wait_s is 60


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as kafka:
        yield kafka


@pytest.fixture
def environment(secure: SecureKafka, monkeypatch: pytest.MonkeyPatch) -> SecureKafka:
    """Let this test, and the processes that it starts, in."""
    for name, value in secure.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TOPIC_PARTITIONS", "4")
    return secure


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_what_is_published_is_read_by_every_mechanism(secure: SecureKafka, mechanism: str) -> None:
    settings = secure.settings(kafka_sasl_mechanism=mechanism)
    await create_topics(settings)
    event = Subscribed(venue=mechanism, symbol="s", requested_ts=1)
    async with Publisher(settings) as publisher:
        await publisher.send_and_wait(L2_SUBSCRIPTIONS, b"k", event, time.time_ns())
    assert event in [record.event for record in await log_of(settings, L2_SUBSCRIPTIONS)]


@pytest.fixture(scope="module")
def of_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    folder = tmp_path_factory.mktemp("certificates")
    with kafka_of_certificates(folder) as kafka:
        yield kafka


async def test_a_certificate_of_ones_own_lets_in_where_it_is_asked_for(of_certificates: SecureKafka) -> None:
    secure = of_certificates
    no_password: dict[str, Any] = dict.fromkeys(
        ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
    )
    there = no_password | {"kafka_security_protocol": "SSL"}
    with pytest.raises(KafkaAccessError, match="set KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE"):
        await create_topics(secure.settings(**there))
    certificate = {
        "kafka_ssl_certfile": str(secure.folder / "client.pem"),
        "kafka_ssl_keyfile": str(secure.folder / "client.key"),
    }
    settings = secure.settings(**there, **certificate)
    await create_topics(settings)
    async with Publisher(settings) as publisher:
        await publisher.send_and_wait(
            L2_SUBSCRIPTIONS, b"k", Subscribed(venue="v", symbol="s", requested_ts=1), time.time_ns()
        )


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"kafka_sasl_password": WRONG}, "does not accept 'bookrunner' by SCRAM-SHA-512: set KAFKA_SASL"),
        (
            {"kafka_sasl_password": WRONG, "kafka_sasl_mechanism": "PLAIN"},
            "does not accept 'bookrunner' by PLAIN: set KAFKA_SASL",
        ),
        ({"kafka_ssl_cafile": "other-ca.pem"}, "a certificate that is not trusted .*: set KAFKA_SSL_CAFILE"),
    ],
)
async def test_who_is_turned_away_is_told_why_at_once_and_waits_for_nothing(
    secure: SecureKafka, changes: dict[str, str], right: str
) -> None:
    if "kafka_ssl_cafile" in changes:
        changes = {"kafka_ssl_cafile": str(secure.folder / changes["kafka_ssl_cafile"])}
    settings = secure.settings(**changes)
    async with asyncio.timeout(SOON_S):
        with pytest.raises(KafkaAccessError, match=right) as refused:
            await create_topics(settings)
        with pytest.raises(KafkaAccessError, match=right):
            await partition_counts(settings, TOPICS.values())
    assert WRONG not in str(refused.value)


async def test_a_password_for_a_listener_that_asks_for_none_is_told(kafka: str, secure: SecureKafka) -> None:
    settings = secure.settings(
        kafka_bootstrap_servers=kafka,
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_ssl_cafile=None,
    )
    with pytest.raises(KafkaAccessError, match="asks for no password there: set KAFKA_SECURITY_PROTOCOL"):
        await create_topics(settings)


async def test_nobody_is_turned_away_who_is_let_in_or_finds_nobody(secure: SecureKafka) -> None:
    assert await refusal(secure.settings()) is None
    assert await refusal(secure.settings(kafka_bootstrap_servers="127.0.0.1:1")) is None


async def test_a_worker_reads_restores_and_commits_in_transactions(
    environment: SecureKafka, tmp_path: Path
) -> None:
    settings = environment.settings()
    await create_topics(settings, wiring(tmp_path.name).topics)

    async def totals(count: int) -> bool:
        found = [r.event for r in await log_of(settings, COUNTS) if isinstance(r.event, Counted)]
        return [event.total for event in found] == list(range(1, count + 1))

    with workers(environment.sasl_ssl, tmp_path, 1) as (worker,):
        async with Publisher(settings, compress=False) as publisher:
            for _ in range(5):
                await publisher.send_and_wait(COMMANDS, b"k", Add(key="k", amount=1), time.time_ns())
            await eventually(lambda: totals(5))
            worker.kill()
            worker.start()  # and finds its state
            await publisher.send_and_wait(COMMANDS, b"k", Add(key="k", amount=1), time.time_ns())
            await eventually(lambda: totals(6), 60.0)


async def test_a_worker_with_a_wrong_password_ends_and_says_why(
    environment: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", WRONG)
    with workers(environment.sasl_ssl, tmp_path, 1) as (worker,):
        assert await asyncio.to_thread(worker.process.wait, 60) != 0
    said = worker.log.read_text()
    assert "does not accept 'bookrunner' by SCRAM-SHA-512: set KAFKA_SASL_USERNAME" in said
    assert WRONG not in said


async def test_faust_answers_over_tls_with_a_password(environment: SecureKafka, tmp_path: Path) -> None:
    market = Market(environment.sasl_ssl)
    process = Process(environment.sasl_ssl, tmp_path)
    try:
        async with market.open():
            asked = await market.ask(0)
            await until("the answer", lambda: asked in market.answers, process)
    finally:
        process.stop()
    assert PASSWORD not in process.log.read_text()


async def test_faust_ends_on_a_wrong_password_and_says_why(
    environment: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", WRONG)
    process = Process(environment.sasl_ssl, tmp_path)
    assert await asyncio.to_thread(process.process.wait, 60) != 0
    said = process.log.read_text()
    assert "does not accept 'bookrunner' by SCRAM-SHA-512: set KAFKA_SASL_USERNAME" in said
    assert WRONG not in said


async def test_the_gateway_is_ready_and_keeps_the_password_to_itself(
    environment: SecureKafka, tmp_path: Path
) -> None:
    async with GatewayProcess(environment.sasl_ssl, tmp_path / "gateway.log") as gateway:
        _, problem = await gateway.get("/readyz")
        assert "router" in problem["detail"]  # which is not there; Kafka and the views are
        assert "Kafka" not in problem["detail"]
        _, asyncapi = await gateway.get("/asyncapi.json")
        assert asyncapi["servers"]["kafka-1"] == {
            "host": environment.sasl_ssl,
            "protocol": "kafka-secure",
            "security": [{"type": "scramSha512"}],
        }
        for path in ("/metrics", "/asyncapi.json", "/openapi.json"):
            async with gateway.http.get(path) as answer:
                assert PASSWORD not in await answer.text()
    assert PASSWORD not in gateway.log.read_text()


async def test_the_command_reads_and_a_wrong_password_is_one_clear_line(environment: SecureKafka) -> None:
    settings = environment.settings()
    await create_topics(settings)
    async with Publisher(settings) as publisher:
        event = Subscribed(venue="tailed", symbol="s", requested_ts=1)
        await publisher.send_and_wait(L2_SUBSCRIPTIONS, b"tailed:s", event, time.time_ns())
    listed = await run("topics")
    assert listed.code == 0, listed.err
    assert "missing" not in listed.out
    tailed = await run("tail", L2_SUBSCRIPTIONS.name, "--from", "beginning", "--no-follow")
    assert (tailed.code, "tailed" in tailed.out) == (0, True), tailed
    looked = await run("doctor")
    assert f"answers on {environment.sasl_ssl}" in looked.out

    refused = await run("topics", KAFKA_SASL_PASSWORD=WRONG)
    assert refused.code == 1
    assert refused.out == ""
    assert refused.err.count("\n") == 1
    assert "does not accept 'bookrunner' by SCRAM-SHA-512: set KAFKA_SASL_USERNAME" in refused.err
    rubbish = environment.folder / "rubbish.pem"
    rubbish.write_text("rubbish")
    unreadable = await run("topics", KAFKA_SSL_CAFILE=str(rubbish))
    assert (unreadable.code, unreadable.err.count("\n")) == (1, 1)
    assert "must hold certificates in PEM" in unreadable.err
    looked = await run("doctor", KAFKA_SSL_CAFILE=str(rubbish))
    assert "must hold certificates in PEM" in looked.out
    contradictory = await run("topics", KAFKA_SECURITY_PROTOCOL="PLAINTEXT")
    assert contradictory.code == 1
    assert "take SASL_SSL" in contradictory.err
    assert PASSWORD not in contradictory.err
