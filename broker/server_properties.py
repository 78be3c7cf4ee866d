"""
The ``server.properties`` of a single combined KRaft node.

References
----------
https://kafka.apache.org/43/configuration/broker-configs/ (Apache Kafka 4.3)
"""

from collections.abc import Mapping
from pathlib import Path

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

_FIXED: dict[str, object] = {
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,  # bytes of heap; 1.2 million keys a pass
}


# Of a single node, wherever it listens and keeps its data.
SINGLE_NODE: dict[str, object] = _FIXED | _SINGLE_REPLICA | _SMALL_INTERNAL_TOPICS | _QUICK_RECOVERY


def server_properties(
    *, host: str, port: int, controller_port: int, log_dir: Path, extra: Mapping[str, str]
) -> str:
    """
    Render the whole file; what `extra` says wins.

    Raises
    ------
    ValueError
        If the two ports are equal.
    """
    if port == controller_port:
        raise ValueError(f"clients and controller cannot share port {port}")
    address = f"[{host}]" if ":" in host else host
    properties = {
        **SINGLE_NODE,
        "listeners": f"PLAINTEXT://{address}:{port},CONTROLLER://{address}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{address}:{port}",
        "controller.quorum.voters": f"{NODE_ID}@{address}:{controller_port}",
        "log.dirs": _escaped(str(log_dir)),
        **{name: _escaped(value) for name, value in extra.items()},
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    # java.util.Properties.load reads ISO 8859-1 and takes a backslash as the start of an escape
    return "".join(
        char if " " < char <= "~" and char != "\\" else "\\\\" if char == "\\" else _unicode_escape(char)
        for char in value
    )


def _unicode_escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
