"""The native broker on its own data: killed, started again, and refused where it cannot run."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from broker import readiness
from broker.errors import DataFolderInUseError, PortTakenError
from broker.native import NativeBroker
from broker.settings import BrokerSettings
from tests.kafka_cluster import native_broker, wipe

TOPIC = "kept.v1"
PATIENCE_S = 60.0


async def create(bootstrap_servers: str, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
    await admin.close()


async def topics_of(bootstrap_servers: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    topics = await admin.list_topics()
    await admin.close()
    return {topic for topic in topics if not topic.startswith("__")}


async def produce(bootstrap_servers: str, *values: bytes, transactional_id: str | None = None) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, acks="all", transactional_id=transactional_id
    )
    await producer.start()
    if transactional_id:
        await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(TOPIC, value)
    if transactional_id:
        await producer.commit_transaction()
    await producer.stop()


async def values_in(bootstrap_servers: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            consumer.assign([TopicPartition(TOPIC, 0)])
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_acknowledged_records_survive_a_kill_and_every_later_start(own_broker: NativeBroker) -> None:
    await create(own_broker.bootstrap_servers, TOPIC)
    await produce(own_broker.bootstrap_servers, b"before")
    await produce(own_broker.bootstrap_servers, b"in a transaction", transactional_id="t-0")
    # Read committed, so the marker is written: where a kill and a stop soon after it come before that, Kafka
    # 4.3 skips it ("Couldn't find leader endpoint ... can be skipped"), and readers wait for ever.
    assert await values_in(own_broker.bootstrap_servers, 2) == [b"before", b"in a transaction"]
    own_broker.kill()
    own_broker.start()
    await produce(own_broker.bootstrap_servers, b"after the kill")
    own_broker.stop()
    own_broker.start()
    kept = await values_in(own_broker.bootstrap_servers, 3)
    assert kept == [b"before", b"in a transaction", b"after the kill"]


async def test_a_second_broker_on_the_data_is_refused_and_the_first_stays(own_broker: NativeBroker) -> None:
    second = NativeBroker(own_broker.settings.model_copy(update={"port": 0}))
    with pytest.raises(DataFolderInUseError, match="KAFKA_DATA_DIR"):
        second.start()
    await create(own_broker.bootstrap_servers, TOPIC)
    assert await topics_of(own_broker.bootstrap_servers) == {TOPIC}


def test_a_taken_port_is_refused_before_java_starts_and_leaves_the_folder_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        broker = native_broker(tmp_path, port=other.getsockname()[1])
        with pytest.raises(PortTakenError, match=f"port {other.getsockname()[1]} .*KAFKA_PORT"):
            broker.start()
    assert not (tmp_path / "kafka" / "server.log").exists()
    with broker:
        assert readiness.answers("127.0.0.1", other_port := int(broker.bootstrap_servers.split(":")[1]))
    assert not readiness.answers("127.0.0.1", other_port)


async def test_a_wiped_broker_holds_no_topic_and_takes_the_same_names_again(kafka: str) -> None:
    for _ in range(2):
        wipe(kafka)
        assert await topics_of(kafka) == set()
        await create(kafka, TOPIC)
        await produce(kafka, b"only this")
        assert await values_in(kafka, 1) == [b"only this"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads have priorities on Linux only")
def test_the_optimising_compiler_waits_for_everybody_else(tmp_path: Path) -> None:
    with NativeBroker(BrokerSettings(port=0, controller_port=0, data_dir=tmp_path / "kafka")) as broker:
        threads = Path(f"/proc/{broker.pid}/task").iterdir()
        named = {int(each.name): (each / "comm").read_text().strip() for each in threads}
        compilers = [thread for thread, name in named.items() if name.startswith("C2 Comp")]
        assert compilers
        assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in compilers} == {19}
        assert os.getpriority(os.PRIO_PROCESS, broker.pid) < 19
