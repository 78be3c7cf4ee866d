"""A native broker that asks who is there has no door at which it does not ask: on a real one."""

from __future__ import annotations

import re
import socket
import struct
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from broker import readiness
from libs.common.kafka_security import refusal
from tests.kafka_cluster import native_broker
from tests.secure_kafka import SecureKafka, kafka_of_certificates, make_certificates, of_tls, secure_kafka

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.native import NativeBroker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds what listens in /proc")
LISTEN: Final = "0A"


@pytest.fixture(
    scope="module",
    params=[partial(secure_kafka, scram=False), kafka_of_certificates],
    ids=["password", "certificate"],
)
def secured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureKafka]:
    with request.param(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


def listened_on(pid: int) -> list[int]:
    """Return the TCP ports on which a process listens."""
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTEN and f"socket:[{columns[9]}]" in inodes:
                ports.add(int(columns[1].rpartition(":")[2], 16))
    return sorted(ports)


def describes_cluster(port: int) -> bool:
    """Whether DescribeCluster, which brokers and controllers know, is answered in the clear."""
    request = struct.pack(">hhihx", 60, 0, 1, -1) + bytes(2)  # version 0: no client id, no tags, no rights
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        try:
            begins = connection.recv(8)
        except ConnectionError:
            return False
    return len(begins) == 8 and begins[4:] == struct.pack(">i", 1)  # our correlation id


def test_who_says_not_who_it_is_is_answered_nothing_on_any_port(secured: SecureKafka) -> None:
    ports = listened_on(secured.broker.pid)
    assert len(ports) == 3  # clients', the broker's own, the controller's
    assert int(secured.sasl_ssl.rpartition(":")[2]) in ports
    assert not [port for port in ports if readiness.answers("127.0.0.1", port)]
    assert not [port for port in ports if describes_cluster(port)]


async def test_who_says_not_who_it_is_finds_no_topics(secured: SecureKafka) -> None:
    for port in listened_on(secured.broker.pid):
        client = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=3000)
        with pytest.raises(KafkaError):
            await client.start()
        await client.close()


async def test_the_password_of_clients_does_not_fit_the_brokers_own_doors(secured: SecureKafka) -> None:
    own = [port for port in listened_on(secured.broker.pid) if f":{port}" not in secured.sasl_ssl]
    assert len(own) == 2
    for port in own:
        settings = secured.settings(
            kafka_bootstrap_servers=f"127.0.0.1:{port}",
            kafka_security_protocol="SASL_PLAINTEXT",
            kafka_sasl_mechanism="PLAIN",
            kafka_ssl_cafile=None,
        )
        assert "does not accept 'bookrunner'" in str(await refusal(settings))


def test_the_brokers_own_password_is_a_new_one_at_each_start(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with native_broker(tmp_path, properties=of_tls(tmp_path), security_protocol="SSL") as broker:
        first = broker.settings.data_dir.joinpath("server.properties").read_text()
        broker.stop()
        broker.start()
        second = broker.settings.data_dir.joinpath("server.properties").read_text()
    assert len({own_password(first), own_password(second)}) == 2


def own_password(properties: str) -> str:
    found = re.search(r"listener\.name\.internal\.plain.*password\S*\"([\w-]{43})\"", properties)
    assert found is not None
    return found[1]


def test_the_default_lets_in_everybody_on_loopback_only(own_broker: NativeBroker) -> None:
    ports = listened_on(own_broker.pid)
    assert len(ports) == 2
    assert all(describes_cluster(port) for port in ports)  # so what the others do not answer is refused
    addresses = {
        line.split()[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{own_broker.pid}/net/{table}").read_text().splitlines()[1:]
        if int(line.split()[1].rpartition(":")[2], 16) in ports and line.split()[3] == LISTEN
    }
    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}
