"""What keeps a reader of aiokafka alive whatever stands in a log; a shell.

aiokafka inflates a batch whole, however large that gets, and what it cannot parse it raises, at each try
anew, from where no reader gets past it: a header whose name is no UTF-8 is enough, which Kafka takes from
anybody. With `mend_records`

* a batch is inflated no further than its topic's limit (`record_batches`);
* a batch that is over a bound, or from some record on cannot be parsed, is one record, at the batch's last
  offset, whose value is `Unreadable`: to `decode` that is an undecodable message, so every reader tells it as
  one, and goes on behind it;
* the time of every record lies between 1970 and the year 9999, and every header has a value;
* one fetch asks for, and one call returns, at most so much of a partition; the rest waits.
"""

from __future__ import annotations

import threading
from importlib import import_module
from struct import unpack_from
from typing import TYPE_CHECKING, Any, Final

from aiokafka.consumer import consumer, fetcher
from aiokafka.record.memory_records import MemoryRecords

from libs.common import record_batches
from libs.common.cloudevents import headers_of
from libs.common.codec import Unreadable
from libs.common.kafka_fetch import SessionFetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiokafka import TopicPartition
    from aiokafka.structs import ConsumerRecord

FETCH_LIMITS: Final = {"max_partition_fetch_bytes": 4 * 1024 * 1024, "fetch_max_bytes": 16 * 1024 * 1024}
"""How much of a log, as it is stored, one fetch of any consumer asks for at most."""
CALL_RECORDS: Final = 10_000  # of a partition, in one call
CALL_BYTES: Final = 1024 * 1024  # from there on it returns what it has
EVIDENCE_BYTES: Final = 4096  # of a batch that is not read
LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999

_HEAD: Final = 61  # bytes of a batch before its records
_LENGTH: Final = 12  # bytes before what its length counts
_MAGIC: Final = 16  # where the version of its format stands
_VERSION: Final = 2
_PLAIN: Final = 0  # no codec

_DECODERS: Final = {
    "gzip_decode": record_batches.gunzip,
    "snappy_decode": record_batches.unsnap,
    "lz4_decode": record_batches.unlz4,
    "zstd_decode": record_batches.unzstd,
}
_FORMATS: Final = ("default_records", "legacy_records")


def mend_records() -> None:
    """Let every consumer of this process survive every batch."""
    for name in (f"aiokafka.record.{folder}{each}" for folder in ("", "_crecords.") for each in _FORMATS):
        try:
            module = import_module(name)
        except ImportError:  # aiokafka without its extensions
            continue
        for decoder, inflate in _DECODERS.items():
            if hasattr(module, decoder):
                setattr(module, decoder, _bounded(inflate))
    fetcher.MemoryRecords = _Batches
    fetcher.PartitionRecords = _PartitionRecords
    fetcher.FetchResult = _FetchResult
    consumer.Fetcher = _Fetcher


class _Limit(threading.local):
    """How far the batch that is read now may be inflated; Faust reads in a thread of its own."""

    most: int = record_batches.MOST_INFLATED
    count: int = 0  # of its records, as it says


_limit: Final = _Limit()


def _bounded(inflate: Callable[[bytes | memoryview, int], bytes]) -> Callable[[bytes | memoryview], bytes]:
    def inflated(packed: bytes | memoryview) -> bytes:
        found = inflate(packed, _limit.most)
        record_batches.check_records(found, _limit.count)
        return found

    return inflated


class _Batches:
    """The batches of one partition in a fetch."""

    most = record_batches.MOST_INFLATED

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._batches = MemoryRecords(fetched)
        self._at = 0

    def size_in_bytes(self) -> int:
        return len(self._fetched)

    def has_next(self) -> bool:
        found: bool = self._batches.has_next()
        return found

    def next_batch(self) -> Any:  # noqa: ANN401 -- aiokafka's, or what is in its place
        batch = self._batches.next_batch()
        (length,) = unpack_from(">i", self._fetched, self._at + _LENGTH - 4)
        raw = memoryview(self._fetched)[self._at : self._at + _LENGTH + length]
        self._at += len(raw)
        return batch if batch.is_control_batch else _Batch(batch, raw, self.most)


class _Batch:
    """A batch whose iteration ends with an `_Unread` in place of what cannot be read."""

    def __init__(self, batch: Any, raw: memoryview, most: int) -> None:  # noqa: ANN401 -- aiokafka's, of any format
        self._batch = batch
        self._raw = raw
        self._most = most

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the fetcher asks of it
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        first = getattr(self._batch, "base_offset", None)
        try:
            _limit.most, _limit.count = self._most, 0
            if self._raw[_MAGIC] >= _VERSION:
                (_limit.count,) = unpack_from(">i", self._raw, _HEAD - 4)
                if self._batch.compression_type == _PLAIN:
                    record_batches.check_records(self._raw[_HEAD:], _limit.count)
            for record in self._batch:
                yield record
                first = record.offset + 1
        except Exception as error:  # noqa: BLE001 -- whatever it is, it would come again at each try
            yield _Unread(self._batch, first, self._raw, error)


class _Unread:
    """What stands for the records that are not read, in aiokafka's words."""

    key = None
    headers = ()
    checksum = None
    timestamp_type = 0

    def __init__(self, batch: Any, first: int | None, raw: memoryview, error: Exception) -> None:  # noqa: ANN401 -- see _Batch
        last = batch.next_offset - 1
        self.offset = last
        self.timestamp = getattr(batch, "max_timestamp", None)
        where = f"offset {last}" if first in (None, last) else f"offsets {first} to {last}"
        self.value = Unreadable(
            raw[:EVIDENCE_BYTES], f"the batch of {len(raw)} bytes cannot be read, {where}: {error}"
        )


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, tp: TopicPartition, records: _Batches, *others: Any) -> None:  # noqa: ANN401 -- aiokafka's
        records.most = record_batches.most_inflated(tp.topic)
        super().__init__(tp, records, *others)

    def _consumer_record(self, tp: TopicPartition, record: Any) -> ConsumerRecord[Any, Any]:  # noqa: ANN401 -- as above
        found: ConsumerRecord[Any, Any] = super()._consumer_record(tp, record)
        if found.timestamp is None or not 0 <= found.timestamp <= LAST_MS:
            found.timestamp = min(max(0, found.timestamp or 0), LAST_MS)
        if found.headers:
            found.headers = headers_of(found.headers)
        return found


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka is untyped
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord[Any, Any]]:
        """Return what is there, up to a bound of records and of bytes."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        most = CALL_RECORDS if max_records is None else min(max_records, CALL_RECORDS)
        found: list[ConsumerRecord[Any, Any]] = []
        size = 0
        records: Iterator[ConsumerRecord[Any, Any]] = self._partition_records
        for record in records:
            found.append(record)
            size += record.serialized_key_size + record.serialized_value_size
            if isinstance(record.value, Unreadable):
                size += CALL_BYTES  # to find that out may have cost as much
            if len(found) >= most or size >= CALL_BYTES:
                self._update_position()
                break
        else:
            self._update_position()
            self._partition_records = None
        return found


class _Fetcher(SessionFetcher):
    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 -- aiokafka's
        super().__init__(
            *given, **named | {name: min(named[name], most) for name, most in FETCH_LIMITS.items()}
        )
