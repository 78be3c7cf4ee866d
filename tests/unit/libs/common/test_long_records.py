"""Records as long as Kafka takes them, and what the services write about them: never more than it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from libs.common.cloudevents import identity
from libs.common.codec import decode, encode
from libs.common.events import CommandRejected, Refusal
from libs.common.partition import Incoming
from libs.common.topics import TOPICS
from tests.services_alone import PLAIN, Service

if TYPE_CHECKING:
    from libs.common.cloudevents import Headers
    from libs.common.partition import Outgoing
    from libs.common.topics import Topic

LONG = 900_000
COMMANDS: dict[str, Topic] = {name: TOPICS[f"{name}.commands.v1"] for name in PLAIN}


def written(service: str, key: bytes, headers: Headers, **changes: Any) -> list[Outgoing]:
    command = replace(PLAIN[service][0], **changes)
    record = Incoming(COMMANDS[service], 0, 0, 0, key, encode(command), headers)
    alone = Service(service)
    return alone.partition.apply([[record]], alone.now).outgoing


def size(out: Outgoing) -> int:
    return len(out.key) + len(out.value or b"") + sum(len(name) + len(value) for name, value in out.headers)


@pytest.mark.parametrize("service", COMMANDS)
@pytest.mark.parametrize(
    ("key", "headers", "changes"),
    [
        (b"\xff" * LONG, (), {"command_id": "none"}),
        (b"k" * LONG, (), {"command_id": "none"}),
        (b"k", (), {"command_id": "x" * LONG}),
        (b"k", (), {"reply_key": "r" * LONG}),
        (b"k", (("ce_correlationid", b"\xff" * LONG),), {}),
        (b"\xff" * (LONG // 3), (("ce_correlationid", b"\xff" * (LONG // 3)),), {}),
    ],
)
def test_no_answer_is_longer_than_its_topic_takes(
    service: str, key: bytes, headers: Headers, changes: dict[str, Any]
) -> None:
    outgoing = written(service, key, headers, **changes)
    assert outgoing
    for out in outgoing:
        assert size(out) < out.topic.max_message_bytes / 2, out.topic.name


def test_what_is_wrong_with_a_long_id_is_told() -> None:
    (answer,) = (
        decode(out.topic, out.value)
        for out in written("router", b"k" * LONG, (), command_id="x" * LONG)
        if out.topic.name == "router.choices.v1" and out.value is not None
    )
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.INVALID
    assert answer.command_id == "x" * 255 + "…"
    assert answer.key == "k" * 255 + "…"


def test_a_correlation_id_too_long_to_be_carried_is_none() -> None:
    fallback = UUID(int=3)
    assert identity((("ce_correlationid", b"c" * 256),), fallback)[1] == "c" * 256
    assert identity((("ce_correlationid", b"c" * 257),), fallback)[1] == str(fallback)
