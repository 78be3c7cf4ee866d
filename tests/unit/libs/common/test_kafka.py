from __future__ import annotations

from hashlib import sha256

import pytest
from aiokafka.partitioner import murmur2
from aiokafka.structs import ConsumerRecord

from libs.common import kafka
from libs.common.codec import encode
from libs.common.dead_letters import ENVELOPE_BYTES, dead_letter
from libs.common.events import Subscribed
from libs.common.kafka import Record, Undecodable, by_symbol, partition_of
from libs.common.kafka_reader import decoded
from libs.common.topics import DEAD_LETTERS, L2_SUBSCRIPTIONS

LIMIT = DEAD_LETTERS.max_message_bytes - ENVELOPE_BYTES


def a_raw(value: bytes | None, key: bytes | None = b"binance:BTC-USDT") -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic="t",
        partition=1,
        offset=17,
        timestamp=5,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(("a", b"b"),),
    )


@pytest.mark.parametrize(("key", "hashed"), [(b"21", -973932308), (b"foobar", -790332482), (b"", 275646681)])
def test_a_key_goes_where_java_clients_send_it(key: bytes, hashed: int) -> None:
    # The vectors of Kafka's own UtilsTest.testMurmur2.
    assert partition_of(key, 1024) == (hashed & 0x7FFF_FFFF) % 1024


def test_nothing_is_remembered_of_long_keys_which_callers_make_up() -> None:
    before = kafka._hashed.cache_info().currsize  # noqa: SLF001 -- shown nowhere
    for number in range(100):
        key = b"%d" % number + b"x" * 8_000
        assert partition_of(key, 64) == (murmur2(key) & 0x7FFF_FFFF) % 64
    assert kafka._hashed.cache_info().currsize == before  # noqa: SLF001 -- shown nowhere


def test_all_venues_of_a_symbol_meet_in_one_partition() -> None:
    keys = [b"BTC-USDT", b"binance:BTC-USDT", b"kraken:BTC-USDT", b"a:b:BTC-USDT"]
    assert len({partition_of(key, 64) for key in keys}) == 1


def test_symbols_spread_over_partitions() -> None:
    assert {partition_of(b"S%d-USDT" % n, 8) for n in range(200)} == set(range(8))


def test_the_partitioner_chooses_among_the_partitions_there_are() -> None:
    assert by_symbol(b"x:BTC-USDT", [4, 5, 6], [4]) == [4, 5, 6][partition_of(b"BTC-USDT", 3)]


def test_a_record_carries_its_message_and_its_place() -> None:
    event = Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=1)
    record = decoded(L2_SUBSCRIPTIONS, a_raw(encode(event)))
    assert isinstance(record, Record)
    assert (record.event, record.partition, record.offset, record.timestamp_ms) == (event, 1, 17, 5)
    assert record.headers == (("a", b"b"),)


def test_a_tombstone_has_no_message_and_a_missing_key_is_empty() -> None:
    record = decoded(L2_SUBSCRIPTIONS, a_raw(None, key=None))
    assert isinstance(record, Record)
    assert (record.event, record.value, record.key) == (None, None, b"")


def test_a_topic_of_raw_bytes_is_not_decoded() -> None:
    record = decoded(DEAD_LETTERS, a_raw(b"\xc1"))
    assert isinstance(record, Record)
    assert (record.event, record.value) == (None, b"\xc1")


@pytest.mark.parametrize("value", [b"", b"\xc1", b"text"])
def test_bytes_that_are_no_message_are_an_item_of_their_own(value: bytes) -> None:
    item = decoded(L2_SUBSCRIPTIONS, a_raw(value))
    assert isinstance(item, Undecodable)
    assert item.value == value
    assert item.source == "l2.subscriptions.v1/1/17"
    assert item.reason.startswith("l2.subscriptions.v1: ")


def test_a_dead_letter_says_why_and_whence() -> None:
    key, value, headers = dead_letter(b"k", b"junk", "no map", "t/0/1", [("ce_id", b"i"), ("x", b"y")])
    assert (key, value) == (b"k", b"junk")
    assert dict(headers) == {"reason": b"no map", "source": b"t/0/1", "ce_id": b"i"}


@pytest.mark.parametrize(("length", "cut"), [(LIMIT, False), (LIMIT + 1, True)])
def test_an_over_long_dead_letter_is_cut_and_says_so(length: int, *, cut: bool) -> None:
    _, value, headers = dead_letter(b"k", b"x" * length, "r", "s")
    assert len(value) == LIMIT
    assert dict(headers).get("original-value-bytes") == (str(length).encode() if cut else None)
    whole = sha256(b"x" * length).hexdigest().encode()
    assert dict(headers).get("original-value-sha256") == (whole if cut else None)


def test_no_header_or_key_makes_a_dead_letter_undeliverable() -> None:
    big = "x" * 10_000_000
    key, value, headers = dead_letter(big.encode(), big.encode(), big, big, [("ce_type", big.encode())])
    envelope = len(key) + sum(len(name) + len(text) for name, text in headers)
    assert envelope + len(value) < DEAD_LETTERS.max_message_bytes
    assert dict(headers)["original-key-bytes"] == b"10000000"
