"""
The Kafka that tests run on: always a real one, never a fake.

`cluster` takes, in this order: the broker named by ``KAFKA_BOOTSTRAP_SERVERS``; a container of
``apache/kafka:4.3.0`` where a Docker engine answers and has or gets the image; the native broker on free
ports and a temporary folder.

Topics have fixed names, so tests are kept apart by emptying the broker, not by prefixes: `wipe` deletes all
topics in about 0.1 s, where a broker of one's own takes 3-4 s. Groups keep their offsets, so a test that
commits names a group of its own. A test that kills its broker takes one of its own: `native_broker`.
"""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from broker import readiness
from broker.native import NativeBroker
from broker.server_properties import NODE_ID, SINGLE_NODE
from broker.settings import BrokerSettings

IMAGE: Final = "apache/kafka:4.3.0"
CONTAINER_START_S: Final = 60.0

# Less than half the CPU of a start goes to the optimising compiler; a test's broker never earns it back.
_QUICK_JAVA: Final = "-XX:TieredStopAtLevel=1"

# What is dated before a topic's retention (6 h at least), Kafka deletes when it looks next, every 5 min.
# A test that dates a record so would fail now and then; refused, it fails at once.
_NO_OLD_RECORDS: Final = {"log.message.timestamp.before.max.ms": 6 * 3_600_000}

_OWNER_LABEL: Final = "bookrunner.tests.pid"


@contextmanager
def cluster() -> Iterator[str]:
    """Yield the bootstrap servers of an empty Kafka."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        _refuse_to_wipe(given)
        yield given
    elif docker_answers() and _has_image():
        with _container() as bootstrap_servers:
            yield bootstrap_servers
    else:
        with (
            tempfile.TemporaryDirectory(prefix="bookrunner-kafka-") as folder,
            native_broker(Path(folder)) as broker,
        ):
            yield broker.bootstrap_servers


def native_broker(
    folder: Path,
    port: int = 0,
    controller_port: int = 0,
    properties: Mapping[str, SecretStr] | None = None,
    **security: Any,
) -> NativeBroker:
    """Build a broker that is not started; it can be killed and restarted on the same address and data.

    Unless `security` says so it lets in everybody, whatever the environment says.
    """
    settings = BrokerSettings(
        host="127.0.0.1",
        port=port,
        controller_port=controller_port,
        data_dir=folder / "kafka",
        java_options=_QUICK_JAVA,
        **({"security_protocol": "PLAINTEXT"} | security),
        extra_properties={
            **{name: SecretStr(str(value)) for name, value in _NO_OLD_RECORDS.items()},
            **(properties or {}),
        },
    )
    return NativeBroker(settings)


def docker_answers() -> bool:
    """Tell at once whether a Docker engine answers on the local socket (or is named by DOCKER_HOST)."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    try:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(2.0)
            engine.connect(host.removeprefix("unix://"))
            engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"200 OK" in engine.recv(64)
    except OSError:
        return False


def wipe(bootstrap_servers: str) -> None:
    """Delete every topic that is not Kafka's own."""
    with ThreadPoolExecutor(1) as outside_of_the_test_loop:
        outside_of_the_test_loop.submit(asyncio.run, _wipe(bootstrap_servers)).result()


async def _wipe(bootstrap_servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        while topics := _ours(await admin.list_topics()):
            await admin.delete_topics(topics)
    finally:
        await admin.close()


def _ours(topics: list[str]) -> list[str]:
    return [topic for topic in topics if not topic.startswith("__")]


def _refuse_to_wipe(bootstrap_servers: str) -> None:
    async def topics() -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        try:
            return _ours(await admin.list_topics())
        finally:
            await admin.close()

    with ThreadPoolExecutor(1) as outside_of_the_test_loop:
        found = outside_of_the_test_loop.submit(asyncio.run, topics()).result()
    if found:
        raise RuntimeError(
            f"KAFKA_BOOTSTRAP_SERVERS={bootstrap_servers} holds topics ({', '.join(sorted(found)[:3])} …), "
            "and tests delete all they find: name an empty broker, or unset it and the tests start one"
        )


def _has_image() -> bool:
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.5 s, only with an engine

    engine = docker.from_env()
    try:
        if not engine.images.list(IMAGE):
            engine.images.pull(IMAGE)
    except docker.errors.DockerException as error:
        sys.stderr.write(f"{IMAGE} cannot be pulled, so the native broker is used: {error}\n")
        return False
    else:
        return True
    finally:
        engine.close()


def _remove_orphans() -> None:
    """Remove the containers of test runs that were killed before they could."""
    import docker  # noqa: PLC0415 - 0.5 s, only with an engine

    engine = docker.from_env()
    try:
        for container in engine.containers.list(filters={"label": _OWNER_LABEL}):
            owner = Path("/proc", container.labels[_OWNER_LABEL])
            if owner.parent.is_dir() and not owner.exists():
                container.remove(force=True)
    finally:
        engine.close()


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - 0.5 s, only with an engine
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - as above

    testcontainers_config.ryuk_disabled = True  # one more image to pull; `_remove_orphans` does its work
    _remove_orphans()
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        port = int(drawn.getsockname()[1])
    # The advertised port must be known before the start, so it is drawn here and equal on both sides.
    properties = {
        **SINGLE_NODE,
        **_NO_OLD_RECORDS,
        "listeners": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"{NODE_ID}@localhost:9093",
    }
    container = DockerContainer(IMAGE).with_env("KAFKA_HEAP_OPTS", f"-Xmx512m -XX:+UseSerialGC {_QUICK_JAVA}")
    for name, value in properties.items():
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", str(value))
    # with_bind_ports would open the port on every interface.
    container.ports[str(port)] = ("127.0.0.1", port)  # type: ignore[assignment]  # docker-py takes both
    container.with_kwargs(labels={_OWNER_LABEL: str(os.getpid())})
    with container:
        deadline = time.monotonic() + CONTAINER_START_S
        if not readiness.wait_until_answering("127.0.0.1", port, lambda: time.monotonic() > deadline):
            output = b"".join(container.get_logs()).decode(errors="replace")
            raise RuntimeError(f"{IMAGE} did not answer within {CONTAINER_START_S:.0f} s:\n{output[-2000:]}")
        yield f"127.0.0.1:{port}"
