"""The readers of Kafka that requests open: of streams, of past books and of audits; a shell.

Each takes little at once, so that what one request reads neither fills the memory nor holds another one up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.kafka import Pace, Reader, read
from libs.common.topics import EXECUTION_AUDIT
from services.gateway.reading.book_log import KafkaBookLog
from services.gateway.settings import MIB
from services.gateway.stream.replays import PIECE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from libs.common.kafka import Record, Undecodable
    from libs.common.topics import Topic
    from services.gateway.settings import GatewaySettings
    from services.gateway.stream.sse import Start

LIVE: Final = Pace(4 * MIB, 256)
AUDIT: Final = Pace(MIB, 1_000)  # of which few are decoded


class Readers:
    """Opens them, as the settings say."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._replay = Pace(settings.replay_buffer_bytes, PIECE)

    def answers(self, topics: Sequence[Topic], start: Start) -> Reader:
        """Return a reader of what the services answer."""
        return Reader(self._settings, topics, start=start)

    def live(self, topics: Sequence[Topic], start: Start) -> Reader:
        """Return a reader of what comes."""
        return Reader(self._settings, topics, start=start, pace=LIVE)

    def replay(self, topics: Sequence[Topic], start: Start) -> Reader:
        """Return a reader of what has come."""
        return Reader(self._settings, topics, start=start, pace=self._replay)

    def book(self, key: bytes) -> KafkaBookLog:
        """Return the log of a book."""
        return KafkaBookLog(self._settings, key)

    def audit(self, partition: int, key: bytes, start: Start) -> AsyncGenerator[list[Record], None]:
        """Read the records of a key in a partition of the audit log, up to the end it has now."""
        return read(
            self._settings,
            [EXECUTION_AUDIT],
            on_undecodable=_leave,
            start=start,
            partitions={partition},
            stop_at_end=True,
            wanted=lambda _topic, found: found == key,
            pace=AUDIT,
        )


async def _leave(_undecodable: Undecodable) -> None:
    """Leave a hole, which the chain shows."""
