"""The state of a moment as callers read it: records as the stream has them, and what is missing; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, field

from services.gateway.reading.logged import record_id
from services.gateway.stream.sse import json_ready

if TYPE_CHECKING:
    from libs.common.topics import Topic
    from services.gateway.reading.newest import Told


class MomentRecord(Struct, frozen=True, kw_only=True, gc=False):
    """The newest record of a key at the moment."""

    topic: Annotated[str, Meta(description="whose state it is")]
    id: Annotated[
        str,
        Meta(
            description="topic:partition:offset of the record; of an execution, of the newest it is made of; "
            "of a top of the past, of the newest delta inside"
        ),
    ]
    key: Annotated[str, Meta(description="the record's")]
    data: Annotated[dict[str, Any], Meta(description="the message, as /api/stream tells it")]


class Missing(Struct, frozen=True, kw_only=True, gc=False):
    """Something that was there, of which the state is not known."""

    topic: Annotated[str, Meta(description="whose state it would be")]
    key: Annotated[str, Meta(description="its key")]
    why: Annotated[str, Meta(description="why it is not known, in words")]


class MomentAnswer(Struct, frozen=True, kw_only=True):
    """The state of a moment: the newest record, not after it, of each key of every topic that is state."""

    ts: Annotated[int, Meta(description="the moment, ms since 1970 UTC")]
    live: Annotated[bool, Meta(description="it is now, and goes on at /api/stream")]
    from_: Annotated[int, Meta(description="the first moment that can be asked for, ms since 1970 UTC")] = (
        field(name="from")
    )
    records: Annotated[list[MomentRecord], Meta(description="by topic, and there by key")]
    missing: Annotated[list[Missing], Meta(description="what was there and is not known")]


def record_of(topic: Topic, of: Topic, key: bytes, told: Told) -> MomentRecord:
    """Return what is told of a key of a topic, with the id of a record of `of`."""
    assert told.event is not None  # noqa: S101 -- what is deleted is not told
    return MomentRecord(
        topic=topic.name,
        id=record_id(of, told.partition, told.offset),
        key=key.decode(errors="replace"),
        data=json_ready(told.event),
    )


def missing_of(topic: Topic, key: bytes, why: str) -> Missing:
    """Return what is not known of a topic."""
    return Missing(topic=topic.name, key=key.decode(errors="replace"), why=why)


def is_of(key: bytes, symbol: str | None) -> bool:
    """Return whether the key of a book is of this symbol; every one is of None."""
    return symbol is None or key.rpartition(b":")[2] == symbol.encode()
