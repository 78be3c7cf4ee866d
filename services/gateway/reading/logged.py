"""Records of the logs as the pure parts know them, and where in a log they are looked for; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.topics import Topic


class Logged(NamedTuple):
    """A message, and where it stands."""

    id: str  # topic:partition:offset
    topic: str
    key: str
    event: Event | None


class Window(NamedTuple):
    """A stretch of a partition in which a record is looked for."""

    topic: Topic
    partition: int
    begin_ms: int  # of the records' timestamps, both included
    end_ms: int
    key: bytes | None  # of the records that are wanted; None: any


def record_id(topic: Topic, partition: int, offset: int) -> str:
    """Return what names a record."""
    return f"{topic.name}:{partition}:{offset}"
