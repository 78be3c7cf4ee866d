"""aiokafka's own reading of a fetch, as `mend_records` leaves it: it gets past everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from aiokafka.consumer import consumer, fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition

from libs.common import kafka_records
from libs.common.codec import UndecodableMessageError, Unreadable, decode
from libs.common.kafka_reader import Undecodable, decoded
from libs.common.topics import DEAD_LETTERS, MIB, ROUTER_COMMANDS
from tests import hostile_batches
from tests.hostile_batches import GZIP, LZ4, NAMED, PLAIN, SNAPPY, ZSTD, batch_of, bomb
from tests.hostile_batches import MIB as SIZE

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

GOOD: Final = batch_of([(b"k", b"good", ())])
CHECKED: Final = (True, fetcher.READ_COMMITTED)  # its checksum; and what is committed is wanted alone
PARTITION: Final = TopicPartition(ROUTER_COMMANDS.name, 0)


@pytest.fixture(autouse=True)
def _mended() -> None:
    kafka_records.mend_records()


def at(offset: int, batch: bytes) -> bytes:
    return offset.to_bytes(8, "big") + batch[8:]


def fetched(*batches: bytes, first: int = 0) -> fetcher.PartitionRecords:
    records = fetcher.MemoryRecords(b"".join(batches))
    return fetcher.PartitionRecords(PARTITION, records, [], first, None, None, *CHECKED)


def read(*batches: bytes, first: int = 0) -> list[ConsumerRecord[Any, Any]]:
    return list(fetched(*batches, first=first))


@pytest.mark.parametrize("codec", [PLAIN, GZIP, SNAPPY, LZ4, ZSTD])
def test_an_honest_batch_of_each_codec_is_read_as_before(codec: int) -> None:
    records = [(b"k%d" % n, b"v" * 1000, [("ce_id", b"x")]) for n in range(500)]
    found = read(batch_of(records, codec))
    assert [(each.key, each.value, list(each.headers)) for each in found] == records
    assert [each.offset for each in found] == list(range(500))


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_is_one_record_that_says_so_and_what_stands_behind_it_is_read(codec: int) -> None:
    poison, good = read(at(7, bomb(codec, 20 * SIZE).raw), at(8, GOOD), first=7)
    assert (poison.offset, good.offset, good.value) == (7, 8, b"good")
    assert isinstance(poison.value, Unreadable)
    assert "offset 7: its records take more than 1048576 bytes" in poison.value.reason
    assert len(poison.value) <= kafka_records.EVIDENCE_BYTES


def test_a_header_that_cannot_be_read_poisons_its_record_and_what_follows_in_the_batch() -> None:
    records = [(b"a", b"first", ()), (b"b", b"second", [(NAMED.decode(), b"")]), (b"c", b"third", ())]
    first, poison, good = read(at(10, batch_of(records)), at(13, GOOD), first=10)
    assert (first.value, first.offset) == (b"first", 10)
    assert (poison.offset, good.offset) == (12, 13)
    assert "offsets 11 to 12" in poison.value.reason


def test_who_begins_behind_the_poison_of_a_batch_is_not_told_again() -> None:
    batches = at(0, batch_of([(b"k", b"", ())] * 100_000, ZSTD)), at(100_000, GOOD)
    assert [each.offset for each in read(*batches, first=50_000)] == [99_999, 100_000]
    assert [each.offset for each in read(batches[1], first=100_000)] == [100_000]


@pytest.mark.parametrize("batch", hostile_batches.batches(), ids=lambda batch: batch.name)
def test_every_hostile_batch_ends_in_records_and_the_next_one_is_read(batch: hostile_batches.Batch) -> None:
    if batch.refused:
        batch = hostile_batches.batches()[0]  # Kafka has none of these
    *found, good = read(batch.raw, at(batch.records, GOOD))
    assert (good.offset, good.value) == (batch.records, b"good")
    assert 1 <= len(found) <= batch.records
    for each in found:
        assert 0 <= each.timestamp <= kafka_records.LAST_MS
        assert all(isinstance(value, bytes) for _, value in each.headers)
        item = decoded(ROUTER_COMMANDS, each)
        assert each.value is None or isinstance(item, Undecodable)


def test_poison_is_no_message_of_any_topic_and_on_one_of_raw_bytes_no_record() -> None:
    poison = read(bomb(ZSTD, 20 * SIZE).raw)[0]
    with pytest.raises(UndecodableMessageError, match=r"commands\.v1: the batch of .* cannot be read"):
        decode(ROUTER_COMMANDS, poison.value)
    assert isinstance(decoded(DEAD_LETTERS, poison), Undecodable)


def test_a_batch_that_was_damaged_on_its_way_is_no_poison_but_fetched_again() -> None:
    damaged = bytearray(GOOD)
    damaged[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="Invalid CRC"):
        read(bytes(damaged))


class _Assigned:
    """A partition that is fetched on, as a `FetchResult` asks of it."""

    active = True
    paused = False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _partition: object) -> _Assigned:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def test_one_call_returns_a_bounded_part_and_the_next_ones_the_rest() -> None:
    size = 300_000
    batches = [at(n, batch_of([(b"k", bytes([n]) * size, ())])) for n in range(10)]
    held = _Assigned(0)
    result = fetcher.FetchResult(PARTITION, assignment=held, partition_records=fetched(*batches), backoff=0)
    calls = []
    while result.has_more():
        calls.append([each.value[0] for each in result.getall()])
    assert [n for call in calls for n in call] == list(range(10))
    assert max(map(len, calls)) == -(-MIB // size)
    assert held.position == 10


def test_the_records_of_one_call_are_bounded_too_and_a_lower_bound_counts() -> None:
    batches = [at(n * 6000, batch_of([(b"k", b"", ())] * 6000)) for n in range(3)]
    held = _Assigned(0)
    result = fetcher.FetchResult(PARTITION, assignment=held, partition_records=fetched(*batches), backoff=0)
    assert len(result.getall(7)) == 7
    assert held.position == 7
    assert len(result.getall()) == kafka_records.CALL_RECORDS


def test_one_call_looks_at_one_batch_that_is_not_read() -> None:
    batches = [at(n, bomb(ZSTD, 2 * SIZE).raw) for n in range(3)]
    held = _Assigned(0)
    result = fetcher.FetchResult(PARTITION, assignment=held, partition_records=fetched(*batches), backoff=0)
    assert [each.offset for each in result.getall()] == [0]
    assert [each.offset for each in result.getall()] == [1]


def test_no_client_of_this_process_fetches_more_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(fetcher.Fetcher, "__init__", lambda _self, **named: asked.update(named))
    consumer.Fetcher(fetch_max_bytes=50 * MIB, max_partition_fetch_bytes=1000, fetch_min_bytes=1)
    assert asked == {"fetch_max_bytes": 16 * MIB, "max_partition_fetch_bytes": 1000, "fetch_min_bytes": 1}
