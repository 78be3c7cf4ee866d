"""Makes the class cache: Kafka runs once, does what each start will ask of it, and Java takes notes."""

import asyncio
import logging
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from broker.class_cache import cache_file
from broker.errors import BrokerError
from broker.native import NativeBroker
from broker.settings import BrokerSettings

_TOPIC = "training.v1"
_DRAFT = ".kafka-"
_WORK_S = 30.0
_CREATION_S = 300.0  # Java writes the cache when Kafka has ended

# The run is too short for the optimising compiler; cached stubs and adapters are refused now and then.
_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UnlockDiagnosticVMOptions -XX:-AOTStubCaching -XX:-AOTAdapterCaching"


def ensure_class_cache(jars: Sequence[Path], jars_dir: Path, report: Callable[[str], None]) -> None:
    """Make the cache unless it is there; a failure is told and passed, for Kafka only starts later then."""
    path = cache_file(jars)
    for rest in path.parent.glob(f"{_DRAFT}*"):  # of one that was killed
        shutil.rmtree(rest, ignore_errors=True)
    if path.exists():
        return
    report("preparing Java for quick starts of Kafka, once")
    try:
        with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=path.parent) as folder:
            _make(Path(folder), jars_dir).replace(path)
    except (BrokerError, KafkaError, OSError, TimeoutError) as error:
        report(f"Kafka will take about two seconds longer to start, for it could not be prepared: {error}")
        return
    for other in set(path.parent.glob("kafka-*.aot")) - {path}:
        other.unlink(missing_ok=True)


def _make(folder: Path, jars_dir: Path) -> Path:
    draft = folder / "draft.aot"
    settings = BrokerSettings(
        host="127.0.0.1",
        port=0,
        controller_port=0,
        data_dir=folder / "kafka",
        jars_dir=jars_dir,
        security_protocol="PLAINTEXT",
        extra_properties={},  # whatever listeners the environment asks for
        java_options=f"-XX:AOTCacheOutput={shlex.quote(str(draft))} {_OPTIONS}",
        stop_timeout_s=_CREATION_S,
    )
    broker = NativeBroker(settings)
    broker.start()
    try:
        asyncio.run(asyncio.wait_for(_work(broker.bootstrap_servers), _WORK_S))
        broker.stop()
    except BaseException:  # Ctrl-C too: nothing is waited for any more
        broker.kill()
        raise
    return draft


async def _work(server: str) -> None:
    """Create a topic, write to it in a transaction, and read it as a member of a group."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # a new coordinator is waited for
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    await admin.start()
    await admin.create_topics([NewTopic(_TOPIC, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=server, transactional_id="training")
    async with producer, producer.transaction():
        await producer.send_and_wait(_TOPIC, b"value", key=b"key")
    consumer = AIOKafkaConsumer(
        _TOPIC,
        bootstrap_servers=server,
        group_id="training",
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    async with consumer:
        await consumer.getone()
        await consumer.commit()
