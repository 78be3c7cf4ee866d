"""``/asyncapi.json``: every topic and message, from the registry and the events themselves; pure.

References
----------
AsyncAPI 3.0.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0 (read 2026-11), and its Kafka
bindings 0.5.0.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from libs.common import events
from libs.common.schemas import schemas_of
from libs.common.topics import DEAD_LETTERS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.topics import Topic

MESSAGEPACK: Final = "application/vnd.msgpack"
BINDING: Final = "0.5.0"
SCHEMA: Final = "#/components/schemas/{name}"
# AsyncAPI 3.0, Security Scheme Object.
SECURITY_TYPES: Final = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
RAW_MESSAGE: Final = "Undecodable"
PRIVATE_MESSAGE: Final = "PrivateState"
CLOUD_EVENT: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "CloudEvents 1.0.2 attributes in binary mode, of commands and what they cause",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0", "description": "of CloudEvents"},
        "ce_id": {"type": "string", "format": "uuid", "description": "of this message"},
        "ce_type": {"type": "string", "description": "the message's name"},
        "ce_source": {"type": "string", "description": "who wrote it, like /services/router"},
        "ce_time": {"type": "string", "format": "date-time", "description": "when, UTC"},
        "ce_correlationid": {"type": "string", "description": "of the whole conversation"},
        "ce_causationid": {"type": "string", "format": "uuid", "description": "of its cause"},
    },
}
DESCRIPTION: Final = (events.__doc__ or "").partition("One section per service")[0].strip()


def document(
    version: str, servers: str, partitions: int, *, encrypted: bool = False, mechanism: str | None = None
) -> dict[str, Any]:
    """Return the AsyncAPI document of the whole system.

    Parameters
    ----------
    servers
        ``host:port`` of Kafka, several separated by commas.
    partitions
        Of each topic at its creation.
    encrypted
        Whether Kafka is spoken to through TLS.
    mechanism
        Of SASL, None where Kafka asks for no password.
    """
    protocol = "kafka-secure" if encrypted else "kafka"
    security = {} if mechanism is None else {"security": [{"type": SECURITY_TYPES[mechanism]}]}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Bookrunner", "version": version, "description": DESCRIPTION},
        "defaultContentType": MESSAGEPACK,
        "servers": {
            f"kafka-{n}": {"host": host, "protocol": protocol, **security}
            for n, host in enumerate(servers.split(","), start=1)
        },
        "channels": {name: _channel(topic, partitions) for name, topic in TOPICS.items()},
        "operations": dict(_operations(TOPICS.values())),
        "components": {"messages": _messages(TOPICS.values()), "schemas": schemas()},
    }


@cache
def schemas() -> Mapping[str, Any]:
    """Return the JSON Schema of each message and of what it contains, each field described."""
    kinds = [kind for topic in TOPICS.values() for kind in topic.events]
    found = schemas_of(kinds, SCHEMA, "ns")
    for schema in found.values():
        for about in schema.get("properties", {}).values():
            if about.pop("contentEncoding", None) == "base64":  # as JSON would need it; MessagePack does not
                del about["type"]
                about["format"] = "binary"
            if "discriminator" in about:  # an object in OpenAPI, its name here
                about["discriminator"] = about["discriminator"]["propertyName"]
    return found


def _channel(topic: Topic, partitions: int) -> dict[str, Any]:
    names = [kind.__name__ for kind in topic.events]
    names += [RAW_MESSAGE] if topic is DEAD_LETTERS else [PRIVATE_MESSAGE] if topic.private else []
    config = topic.config(partitions)
    kept = {
        "cleanup.policy": config["cleanup.policy"].split(","),
        "retention.ms": int(config["retention.ms"]),
        "max.message.bytes": topic.max_message_bytes,
    }
    if "retention.bytes" in config:
        kept["retention.bytes"] = int(config["retention.bytes"])
    return {
        "address": topic.name,
        "description": f"Key: {topic.key.value}. Written by {', '.join(topic.writers)}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {"partitions": partitions, "topicConfiguration": kept, "bindingVersion": BINDING}
        },
    }


def _operations(topics: Iterable[Topic]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield what one may do: everybody may listen to all topics, and commands are sent to their owner."""
    for topic in topics:
        channel = {"$ref": f"#/channels/{topic.name}"}
        commands = any(issubclass(kind, events.Command) for kind in topic.events)
        asked = "Ask its service; the answer repeats the `command_id`." if commands else "Listen to it."
        action = "receive" if commands else "send"  # as seen by Bookrunner
        yield f"{action} {topic.name}", {"action": action, "channel": channel, "summary": asked}


def _messages(topics: Iterable[Topic]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for topic in topics:
        key = {"type": "string", "description": topic.key.value}
        for kind in topic.events:
            found[kind.__name__] = {
                "name": kind.__name__,
                "summary": inspect.getdoc(kind),
                "contentType": MESSAGEPACK,
                "headers": CLOUD_EVENT,
                "payload": {"$ref": SCHEMA.format(name=kind.__name__)},
                "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
            }
    found[RAW_MESSAGE] = {
        "name": RAW_MESSAGE,
        "summary": "Bytes that are no message of their topic; headers say where they came from and why.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {
                "reason": {"type": "string", "description": "why it is no message of its topic"},
                "source": {"type": "string", "description": "the topic or socket that it came from"},
            },
            "required": ["reason", "source"],
        },
        "payload": {"type": "string", "format": "binary"},
    }
    found[PRIVATE_MESSAGE] = {
        "name": PRIVATE_MESSAGE,
        "summary": "What else a service keeps, such as its place in its inputs; its form may change.",
        "contentType": MESSAGEPACK,
        "payload": {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
    }
    return found
