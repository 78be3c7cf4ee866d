"""
Kafka's storage, formatted as ``kafka-storage format`` does it, without the second Java which that takes.

``bootstrap.checkpoint`` holds the versions of Kafka's features that a new cluster begins with. They are those
of the locked Kafka, so ``python -m broker.lock`` keeps the file that Kafka's own tool wrote.

References
----------
org.apache.kafka.metadata.storage.Formatter (Apache Kafka 4.3): first the checkpoint, then meta.properties,
which makes the folder count as formatted; org.apache.kafka.common.Uuid: 16 bytes in URL-safe base64.
"""

import os
import secrets
from pathlib import Path

from broker.server_properties import NODE_ID

BOOTSTRAP = Path(__file__).with_name("bootstrap.checkpoint")


def format_once(log_dir: Path) -> None:
    """
    Make the folder the empty storage of a new cluster, unless it is formatted.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    properties = log_dir / "meta.properties"
    if properties.exists():
        return
    log_dir.mkdir(parents=True, exist_ok=True)
    _write(log_dir / BOOTSTRAP.name, BOOTSTRAP.read_bytes())
    identity = {"version": 1, "cluster.id": _drawn_id(), "node.id": NODE_ID, "directory.id": _drawn_id()}
    _write(properties, "".join(f"{name}={value}\n" for name, value in identity.items()).encode("ascii"))


def _drawn_id() -> str:
    drawn = secrets.token_urlsafe(16)
    return _drawn_id() if drawn.startswith("-") else drawn  # Kafka's tools would take it for an option


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
