"""
A native broker with an authorizer: who has no ACL may do nothing, and all that is asked for is written down.

Clients come by ``SASL_SSL``, each role of ``acls.toml`` as a user of its own; `ROOT` is a super user, as is
the broker itself.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import SecretStr

from broker import ports
from broker.native import NativeBroker
from broker.server_properties import OWN_NAME
from broker.settings import BrokerSettings
from libs.common.acls import ACLS, read_acls
from libs.common.settings import ServiceSettings
from tests.secure_kafka import LOGIN, make_certificates, of_tls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT: Final = "root"
ROLES: Final = tuple(dict.fromkeys(acl.role for acl in read_acls(ACLS.read_text(encoding="utf-8"))))
PARTITIONS: Final = 2
# StandardAuthorizerData.logAuditMessage of Kafka 4.3
_DECISION: Final = re.compile(
    r"Principal = User:(?:bookrunner-)?(?P<role>\S+) is (?P<verdict>Allowed|Denied) operation = "
    r"(?P<operation>\w+) from host = \S+ on resource = (?P<resource>\w+):(?:LITERAL|PREFIXED):(?P<name>\S+) "
    r"for request = (?P<request>\w+) .*?based on rule (?P<rule>.*)"
)
_RESOURCES: Final = {
    "Topic": "TOPIC",
    "Group": "GROUP",
    "Cluster": "CLUSTER",
    "TransactionalId": "TRANSACTIONAL_ID",
}
_MATCHED: Final = re.compile(
    r"resourceName=(?P<name>[^,]+), patternType=(?P<pattern>\w+),.*operation=(?P<operation>\w+)"
)


class Decision(NamedTuple):
    """What the authorizer said to somebody, and by which ACL."""

    role: str
    allowed: bool
    operation: str  # that was asked for
    resource: str  # TOPIC, GROUP, TRANSACTIONAL_ID, CLUSTER
    name: str
    request: str
    by: tuple[str, str, str] | None  # name, pattern and operation of the ACL that allowed it


@dataclass(frozen=True)
class AclKafka:
    """Where it listens, and what goes with it."""

    address: str
    folder: Path
    log: Path

    def environment(self, role: str) -> dict[str, str]:
        """Return the settings with which a role comes in."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.address,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": user_of(role),
            "KAFKA_SASL_PASSWORD": f"password-of-{role}",
            "KAFKA_SSL_CAFILE": str(self.folder / "ca.pem"),
            "TOPIC_PARTITIONS": str(PARTITIONS),
        }

    def settings(self, role: str) -> ServiceSettings:
        """Return the same, for clients inside the test."""
        named = {name.lower(): value for name, value in self.environment(role).items()}
        return ServiceSettings.model_validate(named)

    def decisions(self) -> set[Decision]:
        """Return what the authorizer has said until now."""
        found = set()
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if "Principal = User:" in line and (said := _DECISION.search(line)) is not None:
                    found.add(_decision(said))
        return found


def _decision(said: re.Match[str]) -> Decision:
    by = _MATCHED.search(said["rule"])
    return Decision(
        said["role"],
        said["verdict"] == "Allowed",
        said["operation"],
        _RESOURCES[said["resource"]],
        said["name"],
        said["request"],
        None if by is None else (by["name"], by["pattern"], by["operation"]),
    )


def user_of(role: str) -> str:
    """Return the user's name."""
    return role if role == ROOT else f"bookrunner-{role}"


@contextmanager
def acl_kafka(folder: Path) -> Iterator[AclKafka]:
    """Start one, without topics and without any ACL; costs 8 s."""
    make_certificates(folder)
    port = ports.draw("127.0.0.1", 1)[0]
    at = AclKafka(f"127.0.0.1:{port}", folder, folder / "authorizer.log")
    users = " ".join(f'user_{user_of(role)}="password-of-{role}"' for role in (*ROLES, ROOT))
    properties = {
        "listener.name.client.plain.sasl.jaas.config": f"{LOGIN}.plain.PlainLoginModule required {users};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{OWN_NAME};User:{ROOT}",
        "broker.session.timeout.ms": "30000",  # a busy machine is no dead broker
    }
    logging = "-Dorg.slf4j.simpleLogger"
    settings = BrokerSettings(
        host="127.0.0.1",
        port=port,
        controller_port=0,
        data_dir=folder / "kafka",
        java_options=(
            f"-XX:TieredStopAtLevel=1 {logging}.logFile={at.log} {logging}.log.kafka.authorizer.logger=debug"
        ),
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username=ROOT,
        sasl_password=SecretStr(f"password-of-{ROOT}"),
        extra_properties=of_tls(folder) | {name: SecretStr(value) for name, value in properties.items()},
    )
    with NativeBroker(settings):
        yield at
