"""What the streams read from, and what becomes of its records; for shells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from aiokafka.errors import KafkaError

from libs.common.events import Event
from libs.common.kafka import MissingTopicError, Record, Undecodable
from services.gateway.http.problems import ProblemError, not_ready
from services.gateway.stream.sse import frame, json_ready, tombstone, undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from libs.common.topics import Topic
    from services.gateway.stream.sse import Frame, Start

AWAY: Final = (KafkaError, MissingTopicError, OSError)  # of Kafka; a TimeoutError is an OSError


class Source(Protocol):
    """What has found its place in the log and reads on from there."""

    async def poll(self) -> Sequence[Record | Undecodable]:
        """Return what has come; empty if nothing does for a while."""

    def held_up(self, topic: Topic) -> Mapping[int, str]:
        """Return what to say of each partition that stands."""


OpenSource: TypeAlias = "Callable[[Sequence[Topic], Start], AbstractAsyncContextManager[Source]]"


def frames_of(records: Iterable[Record | Undecodable]) -> Iterator[Frame]:
    """Yield each record as a server-sent event."""
    for record in records:
        match record:
            case Undecodable(key=key, reason=reason):
                body = undecodable(key, reason)
            case Record(key=key, event=None):
                body = tombstone(key)
            case Record(event=Event() as event):
                body = json_ready(event)
        yield frame(record.topic.name, record.partition, record.offset, record.key, body)


def unread(topics: Sequence[Topic]) -> ProblemError:
    """Return the problem of topics that cannot be read."""
    return not_ready(f"Kafka does not let {', '.join(topic.name for topic in topics)} be read now.")
