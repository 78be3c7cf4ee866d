"""What a batch of records may inflate to and hold, and how it is inflated no further; pure.

Kafka bounds a batch as it is stored. So 5 kB of zstd may hold 150 MiB, and a megabyte of records half a
million empty headers, each of which costs 70 bytes once it is read. Whatever is over a bound raises before
the memory is taken.

References
----------
The format of a batch: https://kafka.apache.org/documentation/#recordbatch, 2025-09.
"""

from __future__ import annotations

import gzip
import io
import mmap
import threading
import zlib
from typing import TYPE_CHECKING, Final, TypeAlias

import cramjam

from libs.common.topics import MIB, TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable

    Bytes: TypeAlias = bytes | bytearray | memoryview

MOST_INFLATED: Final = max(topic.max_message_bytes for topic in TOPICS.values())
PLAIN_BYTES: Final = (
    128 * 1024
)  # a batch up to here cannot hold what costs much; so large are our own at most
MOST_RECORDS: Final = 20_000  # of a larger one; twice what librdkafka puts in, and a look takes 40 ms
MOST_HEADERS: Final = 128  # of a record in a larger one
MOST_HEADERS_IN_ALL: Final = 500_000  # each costs some 70 bytes once it is read

MOST_SHIFT: Final = 63  # of the last byte of a number

_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD: Final = 16  # bytes, versions included
_LENGTH: Final = 4
_FULL: Final = "failed to write whole buffer"  # what cramjam says where the output has no room


class UnreadableBatchError(ValueError):
    """A batch that is over a bound, or whose bytes are no records."""


def most_inflated(topic: str) -> int:
    """Return how many bytes the records of a batch on `topic` may take; its producers send no larger ones."""
    known = TOPICS.get(topic)
    return MOST_INFLATED if known is None else max(known.max_message_bytes, MIB)


def gunzip(packed: Bytes, most: int) -> bytes:
    """Return what gzip packed, in whatever members.

    Raises
    ------
    UnreadableBatchError
        If that is over `most` bytes, or `packed` is no gzip.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as source:
            found = source.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableBatchError(f"no gzip: {error}") from error
    if len(found) > most:
        raise _too_much(most)
    return found


def unsnap(packed: Bytes, most: int) -> bytes:
    """Return what snappy packed, raw or in the blocks of xerial.

    Raises
    ------
    UnreadableBatchError
        If that is over `most` bytes, or `packed` is no snappy.
    """
    whole = memoryview(packed)
    if bytes(whole[: len(_XERIAL)]) != _XERIAL or len(whole) < _XERIAL_HEAD:
        return _unsnapped(whole, most)
    found = bytearray()
    at = _XERIAL_HEAD
    while at < len(whole):
        length = int.from_bytes(whole[at : at + _LENGTH], "big", signed=True)
        at += _LENGTH
        if not 0 < length <= len(whole) - at:
            raise UnreadableBatchError(f"no snappy: a block of {length} bytes, of {len(whole) - at}")
        found += _unsnapped(whole[at : at + length], most - len(found), most)
        at += length
    return bytes(found)


def unzstd(packed: Bytes, most: int) -> bytes:
    """Return what zstd packed.

    Raises
    ------
    UnreadableBatchError
        If that is over `most` bytes, or `packed` is no zstd.
    """
    return _into_room("zstd", cramjam.zstd.decompress_into, packed, most)


def unlz4(packed: Bytes, most: int) -> bytes:
    """Return what a frame of lz4 packed.

    Raises
    ------
    UnreadableBatchError
        If that is over `most` bytes, or `packed` is no such frame.
    """
    return _into_room("lz4", cramjam.lz4.decompress_into, packed, most)


def check_records(records: Bytes, count: int) -> None:
    """Look through the inflated records of a batch for what costs far more to read than it is long.

    Parameters
    ----------
    count
        How many there are, as the batch says.

    Raises
    ------
    UnreadableBatchError
        If there are too many, or they or one of them have too many headers; also if they are no records.
    """
    if len(records) <= PLAIN_BYTES:
        return
    if count > MOST_RECORDS:
        raise UnreadableBatchError(f"it holds {count} records, more than {MOST_RECORDS}")
    found = bytes(records)
    at = in_all = 0
    try:
        for number in range(1, count + 1):
            length, at = _varint(found, at)
            end = at + length
            if not at < end <= len(found):
                raise UnreadableBatchError(f"record {number} says that it has {length} bytes")
            _, at = _varint(found, at + 1)  # behind the attributes: its time
            _, at = _varint(found, at)  # its offset
            size, at = _varint(found, at)  # its key
            size, at = _varint(found, at + max(0, size))  # its value
            headers, at = _varint(found, at + max(0, size))
            if headers > MOST_HEADERS:
                raise UnreadableBatchError(f"record {number} has {headers} headers, more than {MOST_HEADERS}")
            in_all += headers
            if in_all > MOST_HEADERS_IN_ALL:
                raise UnreadableBatchError(f"it has more than {MOST_HEADERS_IN_ALL} headers")
            at = end
    except IndexError as error:
        raise UnreadableBatchError("it ends within a record") from error


def _varint(found: bytes, at: int) -> tuple[int, int]:
    """Return the zigzag number that stands there, and where the next one does."""
    byte = found[at]
    at += 1
    number, shift = byte & 0x7F, 7
    while byte > 0x7F:  # noqa: PLR2004 -- its first bit says that more follows
        if shift > MOST_SHIFT:
            raise UnreadableBatchError("a number does not end")
        byte = found[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    return (number >> 1) ^ -(number & 1), at


def _unsnapped(packed: memoryview, room: int, most: int | None = None) -> bytes:
    try:
        if cramjam.snappy.decompress_raw_len(packed) > room:
            raise _too_much(room if most is None else most)
        return bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise UnreadableBatchError(f"no snappy: {error}") from error


def _into_room(name: str, inflate: Callable[[Bytes, Bytes], int], packed: Bytes, most: int) -> bytes:
    room = _Room.of_thread(most)
    try:
        length = inflate(packed, room[:most])
    except cramjam.DecompressionError as error:
        if str(error) == _FULL:
            raise _too_much(most) from error
        raise UnreadableBatchError(f"no {name}: {error}") from error
    return bytes(room[:length])


class _Room(threading.local):
    """Where batches are inflated: pages that cost nothing until a batch needs them."""

    view: memoryview | None = None

    @staticmethod
    def of_thread(most: int) -> memoryview:
        if _room.view is None or len(_room.view) < most:
            _room.view = memoryview(mmap.mmap(-1, max(most, MOST_INFLATED)))
        return _room.view


_room: Final = _Room()


def _too_much(most: int) -> UnreadableBatchError:
    return UnreadableBatchError(f"its records take more than {most} bytes")
