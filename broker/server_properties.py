"""
The ``server.properties`` of a single combined KRaft node.

References
----------
https://kafka.apache.org/43/configuration/broker-configs/ (Apache Kafka 4.3)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from broker.listeners import LOOPBACK, SASL
from libs.common.loopback import is_loopback

NODE_ID = 1

# One node cannot replicate: Kafka's own topics would never be created at their default factor of 3.
_SINGLE_REPLICA = {
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
}

# The default of 50 partitions spreads load over a cluster; on one node it costs files and start-up time.
_SMALL_INTERNAL_TOPICS = {
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
}

_QUICK_RECOVERY = {
    "broker.session.timeout.ms": 2000,  # a killed broker is back in 5 s instead of 13 s
    "broker.heartbeat.interval.ms": 500,
    "group.initial.rebalance.delay.ms": 0,
    # a dead owner of an open transaction blocks readers less long
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
}

# A transaction that begins while the markers of the one before are written is looked at again after 1 ms.
_QUICK_TRANSACTIONS = {"add.partitions.to.txn.retry.backoff.ms": 1}

_FIXED: dict[str, object] = {
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,  # bytes of heap; 300,000 keys a pass
}


# Of a single node, wherever it listens and keeps its data.
SINGLE_NODE: dict[str, object] = (
    _FIXED | _SINGLE_REPLICA | _SMALL_INTERNAL_TOPICS | _QUICK_RECOVERY | _QUICK_TRANSACTIONS
)


OWN_NAME = "native-broker"  # as which the broker speaks to itself
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class Secured(NamedTuple):
    """How clients say who they are, and where and by which password the broker speaks to itself."""

    protocol: str  # of SASL or TLS
    own_port: int
    own_password: str
    username: str = ""
    password: str = ""


def own_host(host: str) -> str:
    """Return where the broker listens for itself: never beyond loopback."""
    return host if is_loopback(host) else LOOPBACK


def properties_of(
    *, host: str, port: int, controller_port: int, extra: Mapping[str, str], secured: Secured | None = None
) -> dict[str, str]:
    """
    Return the properties but for where the data lies; what `extra` says wins.

    Raises
    ------
    ValueError
        If the two ports are equal.
    """
    if port == controller_port:
        raise ValueError(f"clients and controller cannot share port {port}")
    address, own = _address(host), _address(own_host(host))
    return {
        **{name: str(value) for name, value in SINGLE_NODE.items()},
        "listeners": f"PLAINTEXT://{address}:{port},CONTROLLER://{own}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{address}:{port}",
        "controller.quorum.voters": f"{NODE_ID}@{own}:{controller_port}",
        **({} if secured is None else _secured(secured, f"{address}:{port}", own, controller_port)),
        **extra,
    }


def server_properties(properties: Mapping[str, str], log_dir: Path) -> str:
    """Render the whole file."""
    all_of_them = {**properties, "log.dirs": str(log_dir)}
    return "".join(f"{name}={_escaped(value)}\n" for name, value in all_of_them.items())


def _secured(secured: Secured, clients: str, own: str, controller_port: int) -> dict[str, str]:
    """Return listeners that all ask who is there: clients on one, the broker itself on the others."""
    itself = f"INTERNAL://{own}:{secured.own_port}"
    password = _quoted(secured.own_password)
    entry = f'{_PLAIN} username="{OWN_NAME}" password={password} user_{OWN_NAME}={password};'
    properties = {
        "listeners": f"CLIENT://{clients},{itself},CONTROLLER://{own}:{controller_port}",
        "advertised.listeners": f"CLIENT://{clients},{itself}",
        "listener.security.protocol.map": (
            f"CLIENT:{secured.protocol},INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
        ),
        "inter.broker.listener.name": "INTERNAL",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "super.users": f"User:{OWN_NAME}",  # where KAFKA_EXTRA_PROPERTIES sets an authorizer
    }
    for name in ("internal", "controller"):
        properties[f"listener.name.{name}.sasl.enabled.mechanisms"] = "PLAIN"
        properties[f"listener.name.{name}.plain.sasl.jaas.config"] = entry
    if secured.protocol in SASL:
        properties["listener.name.client.sasl.enabled.mechanisms"] = "PLAIN"
        properties["listener.name.client.plain.sasl.jaas.config"] = (
            f"{_PLAIN} user_{secured.username}={_quoted(secured.password)};"
        )
    else:
        properties["listener.name.client.ssl.client.auth"] = "required"
    return properties


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _quoted(password: str) -> str:
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escaped(value: str) -> str:
    # java.util.Properties.load reads ISO 8859-1 and takes a backslash as the start of an escape
    return "".join(
        char if " " < char <= "~" and char != "\\" else "\\\\" if char == "\\" else _unicode_escape(char)
        for char in value
    )


def _unicode_escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
