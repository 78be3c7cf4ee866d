"""The newest records of a stretch of a topic, found from the ends of its partitions backwards; pure.

Time is that of the records' own timestamps, in whole milliseconds. A partition is read in windows, the newest
one first, and each window from its first record on: of two records the one read later in a window is newer,
and all of a window are older than those of the windows before it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from services.gateway.http.problems import NO_RECORD, ProblemDocument, ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    # What stands once in an answer: by step its key in it, else its offset.
    Name: TypeAlias = tuple[bytes, int]


class Raw(Protocol):
    """A record as it stands in the log, not decoded."""

    partition: int
    offset: int
    timestamp: int  # ms
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Stretch(NamedTuple):
    """Which records of a topic are asked for."""

    begin_ms: int  # both included
    end_ms: int
    limit: int  # the newest so many
    key: bytes | None = None  # None: of all keys
    every_ms: int | None = None  # the last of each key in each step of so long; None: every record


class KeptOffsets(msgspec.Struct, frozen=True, kw_only=True):
    """The offsets between which a partition is kept, both included; compaction leaves holes in it."""

    from_: Annotated[int, Meta(description="the first one")] = msgspec.field(name="from")
    to: Annotated[int, Meta(description="the last one now")]


class NoRecordDocument(ProblemDocument, frozen=True, kw_only=True):
    """The problem of a record that is not there."""

    kept: Annotated[
        KeptOffsets | None, Meta(description="what is kept of the partition; null: nothing, or there is none")
    ] = None


class NoRecordError(ProblemError):
    """Nothing stands at this place."""

    def __init__(self, detail: str, kept: KeptOffsets | None = None) -> None:
        super().__init__(NO_RECORD, detail)
        self.document = NoRecordDocument(**msgspec.structs.asdict(self.document), kept=kept)


_Id = Annotated[str, Meta(description="where it stands, as `topic:partition:offset`")]
_KeyText = Annotated[str, Meta(description="its key as text; empty: it has none")]
_Timestamp = Annotated[int, Meta(description="Kafka's timestamp of it, ms since 1970 UTC")]
_Data = Annotated[
    dict[str, Any],
    Meta(
        description="its message as /api/stream tells it; of a deleted key `type` is `Tombstone`, of bytes "
        "that are no message `Undecodable`, with the `reason`"
    ),
]


class PastRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a topic."""

    topic: Annotated[str, Meta(description="name of the topic")]
    id: _Id
    key: _KeyText
    timestamp: _Timestamp
    data: _Data


class WholeRecord(PastRecord, frozen=True, kw_only=True):
    """A record of a topic with all that Kafka keeps of it."""

    partition: Annotated[int, Meta(description="number of the partition, from 0")]
    offset: Annotated[int, Meta(description="place in the partition")]
    headers: Annotated[
        dict[str, str],
        Meta(description="by name, as text: CloudEvents' of commands and decisions, none of market data"),
    ]


@dataclass(eq=False)
class Newest:
    """Keeps the newest records of a stretch that are read, at most `limit` of each partition."""

    stretch: Stretch
    size: int = 0  # bytes of what is kept
    _kept: defaultdict[int, dict[Name, Raw]] = field(default_factory=lambda: defaultdict(dict))
    _window: defaultdict[int, dict[Name, Raw]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, raw: Raw) -> None:
        """Take the next record of a partition's window."""
        stretch, key = self.stretch, raw.key or b""
        if not stretch.begin_ms <= raw.timestamp <= stretch.end_ms or stretch.key not in (None, key):
            return
        name = (b"", raw.offset) if stretch.every_ms is None else (key, raw.timestamp // stretch.every_ms)
        if name in self._kept[raw.partition]:
            return
        window = self._window[raw.partition]
        self.size += _size_of(raw) - _size_of(window.pop(name, None))
        window[name] = raw  # behind all that are older
        if len(window) > stretch.limit:
            self.size -= _size_of(window.pop(next(iter(window))))

    def end_window(self) -> None:
        """Keep what the windows held, as far as it is among the newest."""
        for partition, window in self._window.items():
            kept = self._kept[partition]
            for name, raw in reversed(window.items()):
                if len(kept) < self.stretch.limit:
                    kept[name] = raw
                else:
                    self.size -= _size_of(raw)
        self._window.clear()

    def is_full(self, partition: int) -> bool:
        """Tell whether no older record of the partition can be among the newest."""
        return len(self._kept[partition]) >= self.stretch.limit

    def records(self) -> list[Raw]:
        """Return the newest ones, the oldest of them first."""
        found = sorted(self._all(), key=lambda raw: (raw.timestamp, raw.partition, raw.offset))
        return found[-self.stretch.limit :]

    def _all(self) -> Iterator[Raw]:
        return (raw for kept in self._kept.values() for raw in kept.values())


def _size_of(raw: Raw | None) -> int:
    return 0 if raw is None else len(raw.key or b"") + len(raw.value or b"")


def no_partition(topic: str, partition: int, partitions: int) -> NoRecordError:
    """Return the problem of a partition that the topic does not have."""
    return NoRecordError(f"{topic} has no partition {partition}; it has 0 to {partitions - 1}.")


def no_record(topic: str, partition: int, offset: int, begin: int, end: int) -> NoRecordError:
    """Return the problem of an offset at which nothing stands, of a partition kept from `begin` to `end`.

    `end` is that of the next record.
    """
    place = f"{topic} partition {partition}"
    if begin >= end:
        return NoRecordError(f"Nothing is kept of {place}.")
    kept = f"{place} is kept from offset {begin} to {end - 1}"
    if begin <= offset < end:
        why = "it was compacted away, belongs to a transaction, or cannot be read"
        return NoRecordError(
            f"No record stands at offset {offset}: {why}; {kept}.", KeptOffsets(from_=begin, to=end - 1)
        )
    when = "no longer" if offset < begin else "not yet"
    return NoRecordError(f"Offset {offset} is {when} there: {kept}.", KeptOffsets(from_=begin, to=end - 1))
