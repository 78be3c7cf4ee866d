"""What packs records is inflated as far as it may be, and not a byte further."""

from __future__ import annotations

import gzip
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import cramjam
import pytest
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from hypothesis import given
from hypothesis import strategies as st

from libs.common import record_batches
from libs.common.record_batches import UnreadableBatchError, gunzip, most_inflated, unlz4, unsnap, unzstd
from libs.common.topics import L2_BOOK_DELTAS, MIB, ROUTER_COMMANDS
from tests.hostile_batches import PLAIN, batch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Pack = "Callable[[bytes], bytes]"
HEAD: Final = 61


def raw_snappy(plain: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(plain))


CODECS: Final = (
    (gzip.compress, gunzip),
    (lambda plain: gzip.compress(plain[:7]) + gzip.compress(plain[7:]), gunzip),
    (raw_snappy, unsnap),
    (snappy_encode, unsnap),
    (lz4_encode, unlz4),
    (zstd_encode, unzstd),
)
NAMES: Final = ("gzip", "members of gzip", "raw snappy", "xerial snappy", "lz4", "zstd")
each_codec = pytest.mark.parametrize(("pack", "inflate"), CODECS, ids=NAMES)


@each_codec
@given(plain=st.binary(max_size=300).map(lambda part: part * 300))
def test_what_is_within_the_bound_comes_back_whole(
    pack: Callable[[bytes], bytes], inflate: Callable[[bytes, int], bytes], plain: bytes
) -> None:
    assert inflate(pack(plain), max(1, len(plain))) == plain


@each_codec
def test_a_byte_more_than_the_bound_is_told_with_the_bound(
    pack: Callable[[bytes], bytes], inflate: Callable[[bytes, int], bytes]
) -> None:
    packed = pack(bytes(100_001))
    assert len(inflate(packed, 100_001)) == 100_001
    with pytest.raises(UnreadableBatchError, match="take more than 100000 bytes"):
        inflate(packed, 100_000)


@each_codec
def test_a_bomb_costs_no_more_memory_than_the_bound(
    pack: Callable[[bytes], bytes], inflate: Callable[[bytes, int], bytes]
) -> None:
    bomb = pack(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableBatchError):
            inflate(bomb, MIB)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * MIB, most


@each_codec
@given(junk=st.binary(max_size=80), cut=st.integers(0, 60))
def test_what_is_packed_by_nobody_is_unreadable_and_nothing_else(
    pack: Callable[[bytes], bytes], inflate: Callable[[bytes, int], bytes], junk: bytes, cut: int
) -> None:
    for packed in (junk, pack(b"records" * 10)[:cut], pack(b"records" * 10)[:cut] + junk):
        try:
            found = inflate(packed, 1000)
        except UnreadableBatchError:
            continue
        assert len(found) <= 1000


@pytest.mark.parametrize("length", [-1, -4, 0, 2**31 - 1])
def test_a_block_of_snappy_that_lies_about_its_length_ends(length: int) -> None:
    head = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
    with pytest.raises(UnreadableBatchError, match="a block of"):
        unsnap(head + length.to_bytes(4, "big", signed=True) + b"rest", 1000)


def records_of(*records: tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]) -> bytes:
    return batch_of(records, PLAIN)[HEAD:]


def test_records_that_cost_what_they_are_long_pass_however_long_they_are() -> None:
    headers = [("name", b"value")] * record_batches.MOST_HEADERS
    record_batches.check_records(records_of((b"k", bytes(5 * MIB), headers), (None, None, ())), 2)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([(b"k", b"v", [("", None)] * 100_000)], "record 1 has 100000 headers, more than 128"),
        ([(b"k", bytes(200_000), ()), (b"k", b"v", [("", None)] * 129)], "record 2 has 129 headers"),
        ([(b"k", b"x" * 30, ())] * 20_001, "it holds 20001 records, more than 20000"),
        ([(b"k", b"v", [("", None)] * 128)] * 4_000, "it has more than 500000 headers"),
    ],
)
def test_records_that_cost_far_more_are_told(
    records: Sequence[tuple[bytes, bytes, Sequence[tuple[str, None]]]], said: str
) -> None:
    with pytest.raises(UnreadableBatchError, match=said):
        record_batches.check_records(records_of(*records), len(records))


@given(junk=st.binary(min_size=1, max_size=40), alone=st.booleans())
def test_bytes_that_are_no_records_are_unreadable_and_nothing_else(junk: bytes, *, alone: bool) -> None:
    long = junk * (record_batches.PLAIN_BYTES // len(junk) + 1)
    behind = records_of((b"k", bytes(200_000), ())) + junk
    with suppress(UnreadableBatchError):
        record_batches.check_records(long if alone else behind, 3)


def test_a_batch_may_inflate_to_what_its_topic_takes_as_one_message() -> None:
    assert most_inflated(ROUTER_COMMANDS.name) == MIB
    assert most_inflated(L2_BOOK_DELTAS.name) == 8 * MIB
    assert most_inflated("of-nobody") == 8 * MIB
