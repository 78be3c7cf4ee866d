"""One topic: its messages, key and writers, how long it is kept, and how much is written to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import Event

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1024 * 1024
FOREVER: Final = -1
REPEATED_MS: Final = 3_000  # between two tellings of what is told again and again, about
SEGMENT_BYTES: Final = 64 * MIB  # retention drops whole segments
PAST_MS: Final = 6 * HOUR_MS  # how far back the state of a moment can be asked for
COMPACTION_LAG_MS: Final = 2 * HOUR_MS  # by then a closed segment is compacted, from when it may be
DIRTY_RATIO: Final = 0.2  # of the log that is not compacted yet; from there on it is, at once


class Key(StrEnum):
    """What a topic's key names; what follows the last colon is what Kafka partitions by."""

    BOOK = "venue:symbol"
    CANDLE = "interval:ms:book"
    OPEN_CANDLE = "interval:book"
    SYMBOL = "symbol"
    SCOPE = "scope"
    POLICY = "policy id"
    SIGNAL = "policy:symbol"
    INPUT = "symbol:name"
    SOURCE = "source"
    PORTFOLIO = "book"
    EXECUTION = "execution id"
    CONTROL = "control's scope"
    EXECUTION_OR_CHILD = "[n:]execution id"  # with n: what a child of it does
    IDEMPOTENCY_KEY = "Idempotency-Key"
    SERVICE = "service:instance"
    ORIGINAL = "original key"


class Grows(StrEnum):
    """What the writing of a topic grows with."""

    BOOKS = "books"
    EXECUTIONS = "executions"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Load:
    """What is written to a topic, from which `libs.common.budgets` derives what it may take.

    Attributes
    ----------
    records
        With `Grows.BOOKS` a second and book, with `Grows.EXECUTIONS` an execution, with `Grows.TIME` a
        second; markers of transactions are among them.
    record_bytes
        In the log, compressed, with its share of the batch's head.
    keys
        Of a compacted topic: those that live, of each book with `Grows.BOOKS`, else of all.
    keys_kept
        Of a compacted topic: those that each execution leaves for as long as the topic keeps them.
    """

    grows: Grows
    records: float
    record_bytes: int
    keys: int = 0
    keys_kept: int = 0


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its messages, key and storage.

    Attributes
    ----------
    private
        Its owner's memory, which nobody else reads, and which holds records of the owner's own kinds.
    repeated
        Each key is told again within about `REPEATED_MS` as long as it lives (a top while its book is LIVE,
        an open candle while its minute has trades), so a reader may begin three times that before the newest.
    past_ms
        Of a compacted topic: how long each record stays in any case, so that what was the newest of its key
        can be found again for any moment since then.
    """

    name: str
    events: tuple[type[Event], ...]  # empty: raw bytes
    key: Key
    writers: tuple[str, ...]
    compacted: bool = False  # the newest message per key is the materialised state
    private: bool = False
    repeated: bool = False
    past_ms: int = 0
    segment_ms: int = HOUR_MS  # of a compacted topic: only closed segments are compacted
    retention_ms: int = FOREVER
    retention_bytes: int = FOREVER  # of the whole topic, shared among its partitions
    max_message_bytes: int = MIB
    load: Load | None = None  # of each topic in the registry

    @property
    def closed_ms(self) -> int:
        """Return how long a segment of a compacted topic is open."""
        return 10 * MINUTE_MS if self.repeated else self.segment_ms

    def config(self, partitions: int) -> Mapping[str, str]:
        """Return the Kafka topic settings for this many partitions."""
        settings = {"max.message.bytes": str(self.max_message_bytes), "compression.type": "producer"}
        if self.compacted:
            settings |= {
                "cleanup.policy": "compact" if self.retention_ms == FOREVER else "compact,delete",
                "retention.ms": str(self.retention_ms),
                "segment.ms": str(self.closed_ms),
                "min.compaction.lag.ms": str(self.past_ms),
                "max.compaction.lag.ms": str(self.past_ms + COMPACTION_LAG_MS),
                "segment.bytes": str(SEGMENT_BYTES),
                "min.cleanable.dirty.ratio": str(DIRTY_RATIO),
                "delete.retention.ms": str(DAY_MS),  # how long a late view can still see a tombstone
            }
        else:
            per_partition = self.retention_bytes // partitions if self.retention_bytes > 0 else FOREVER
            settings |= {
                "cleanup.policy": "delete",
                "retention.ms": str(self.retention_ms),
                "retention.bytes": str(per_partition),
                "segment.bytes": str(SEGMENT_BYTES),
            }
        return settings
