"""The readers of Kafka that requests open: of streams, answers, audits and performance; a shell.

Each takes little at once, so that what one request reads neither fills the memory nor holds another one up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from aiokafka.errors import KafkaError

from libs.common.kafka import MissingTopicError, Pace, Reader, read
from libs.common.topics import EXECUTION_AUDIT, EXECUTION_RECORDS, PORTFOLIO_EQUITY, ROUTER_CHOICES
from services.gateway.http.problems import ProblemError, not_ready

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from libs.common.kafka import Record, Undecodable
    from libs.common.topics import Topic
    from services.gateway.settings import GatewaySettings
    from services.gateway.stream.sse import Start

AWAY: Final = (KafkaError, MissingTopicError, OSError)  # of Kafka; a TimeoutError is an OSError
PIECE: Final = 32  # records, of a replay or a performance, between two chances for everything else
LIVE: Final = Pace(4 * 1024 * 1024, 256)
AUDIT: Final = Pace(1024 * 1024, 1_000)  # of which few are decoded
PERFORMANCE: Final = Pace(4 * 1024 * 1024, PIECE)


class Source(Protocol):
    """What has found its place in the log and reads on from there."""

    async def poll(self) -> Sequence[Record | Undecodable]:
        """Return what has come; empty if nothing does for a while."""

    def held_up(self, topic: Topic) -> Mapping[int, str]:
        """Return what to say of each partition that stands."""


OpenSource: TypeAlias = "Callable[[Sequence[Topic], Start], AbstractAsyncContextManager[Source]]"


def unread(topics: Sequence[Topic]) -> ProblemError:
    """Return the problem of topics that cannot be read."""
    return not_ready(f"Kafka does not let {', '.join(topic.name for topic in topics)} be read now.")


def opener(settings: GatewaySettings, pace: Pace | None = None) -> OpenSource:
    """Return what opens readers that take as much at once as the pace says."""
    return lambda topics, start: Reader(settings, topics, start=start, pace=pace)


def read_audit(
    settings: GatewaySettings, partition: int, key: bytes, start: Start
) -> AsyncGenerator[list[Record], None]:
    """Read the records of a key in a partition of the audit log, up to the end it has now."""
    return read(
        settings,
        [EXECUTION_AUDIT],
        on_undecodable=_leave,
        start=start,
        partitions={partition},
        stop_at_end=True,
        wanted=lambda _topic, found: found == key,
        pace=AUDIT,
    )


def read_performance(settings: GatewaySettings, begin_ts: int) -> AsyncGenerator[list[Record], None]:
    """Read equity, whole records of executions, and choices from a moment on, up to the end of their logs."""
    return read(
        settings,
        [PORTFOLIO_EQUITY, EXECUTION_RECORDS, ROUTER_CHOICES],
        on_undecodable=_leave,
        start=begin_ts,
        stop_at_end=True,
        wanted=lambda topic, key: topic != EXECUTION_RECORDS.name or b":" not in key,  # no child's progress
        pace=PERFORMANCE,
    )


async def _leave(_undecodable: Undecodable) -> None:
    """Leave a hole: a chain shows it, and a mark or a record comes again."""
