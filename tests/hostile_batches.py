"""Batches of records as only an enemy writes them, byte for byte; Kafka takes them, and no reader may end."""

from __future__ import annotations

import gzip
import struct
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cramjam
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.codec import lz4_encode
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.topics import Topic

MIB: Final = 1024 * 1024
PLAIN, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NAMED: Final = b"name-to-spoil"  # of a header
NOT_TEXT: Final = b"\xff\xfe name no text"[: len(NAMED)]
DEEP: Final = 400_000
_HEAD: Final = 61  # bytes of a batch before its records
_CRC: Final = 17
_COVERED: Final = 21  # from here on

Record = tuple[bytes | None, bytes | None, "Sequence[tuple[str, bytes | None]]"]


class Batch(NamedTuple):
    """A batch as it goes to Kafka."""

    name: str
    raw: bytes
    records: int
    refused: bool = False  # by Kafka itself


def xerial(plain: bytes, block: int = 32 * 1024) -> bytes:
    """Return what the snappy of most Kafka clients makes of it."""
    packed = [
        bytes(cramjam.snappy.compress_raw(plain[at : at + block])) for at in range(0, len(plain), block)
    ]
    framed = b"".join(struct.pack(">i", len(each)) + each for each in packed)
    return b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01" + framed


_PACK: Final = {
    GZIP: gzip.compress,
    SNAPPY: xerial,
    LZ4: lz4_encode,
    ZSTD: lambda plain: bytes(cramjam.zstd.compress(plain)),
}


def batch_of(
    records: Sequence[Record], codec: int = PLAIN, timestamp: int | None = None, attributes: int = 0
) -> bytes:
    """Return a batch of these records, of now; a header called `NAMED` gets a name that is no text."""
    if timestamp is None:
        timestamp = time.time_ns() // 1_000_000
    builder = DefaultRecordBatchBuilder(2, PLAIN, 0, -1, -1, -1, 1 << 30)
    for number, (key, value, headers) in enumerate(records):
        builder.append(number, timestamp, key, value, list(headers))
    plain = bytes(builder.build()).replace(NAMED, NOT_TEXT)
    body = plain[_HEAD:] if codec == PLAIN else _PACK[codec](plain[_HEAD:])
    raw = bytearray(plain[:_HEAD] + body)
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    struct.pack_into(">h", raw, _COVERED, codec | attributes)
    struct.pack_into(">I", raw, _CRC, calc_crc32c(bytes(raw[_COVERED:])))
    return bytes(raw)


def bomb(codec: int, size: int = 150 * MIB) -> Batch:
    """Return a batch of one record that inflates to `size`."""
    name = ("plain", "gzip", "snappy", "lz4", "zstd")[codec]
    return Batch(f"a bomb of {name}", batch_of([(b"binance:BTC-USDT", bytes(size), ())], codec), 1)


def _one(name: str, key: bytes | None, value: bytes | None, headers: Any = (), **named: Any) -> Batch:
    refused = named.pop("refused", False)
    return Batch(name, batch_of([(key, value, headers)], **named), 1, refused)


@cache
def bombs() -> tuple[Batch, ...]:
    """Return a bomb per codec, each within what Kafka takes."""
    return bomb(ZSTD), bomb(GZIP), bomb(LZ4), bomb(SNAPPY, 15 * MIB)


@cache
def batches() -> tuple[Batch, ...]:
    """Return batches for any topic that is not compacted, or is; Kafka refuses some itself."""
    garbage = bytes(range(256)) * 4080  # close to a topic's limit
    odd = msgspec.msgpack.encode(
        {"type": "NobodyKnowsThis", "venue": "binance", "symbol": "BTC-USDT", "ts": 2**63 + 5}
    )
    return (
        _one("a key that is no text", b"\xff\xfe", b"garbage"),
        _one("a tombstone of a key that is no text", b"\xff\xfe:\xc3\x28", None),
        _one("an empty key", b"", b"garbage"),
        _one("a tombstone of an empty key", b"", None),
        _one("a key of zeros", b"\x00" * 300, b"garbage"),
        _one("an empty value", b"binance:BTC-USDT", b""),
        _one("a megabyte of garbage", b"binance:BTC-USDT", garbage),
        _one("a megabyte of a key", b"k" * (MIB - 2000), b"garbage"),
        _one("deep nesting", b"binance:BTC-USDT", b"\x91" * DEEP),
        _one("deep JSON", b"binance:BTC-USDT", b"[" * DEEP),
        _one("an array that says it is huge", b"binance:BTC-USDT", b"\xdd\xff\xff\xff\xff"),
        _one("a type that nobody knows", b"binance:BTC-USDT", odd),
        _one("a type that is a number", b"binance:BTC-USDT", msgspec.msgpack.encode({"type": 2**63})),
        _one("headers without values", b"k", b"garbage", [("ce_id", None), ("ce_correlationid", None)]),
        _one("headers twice", b"k", b"garbage", [("ce_id", b"\xff"), ("ce_id", b"x"), ("", b"")]),
        _one("a header whose name is no text", b"k", b"garbage", [(NAMED.decode(), b"x")]),
        _one("a header of a megabyte", b"k", b"garbage", [("ce_correlationid", bytes(MIB - 2000))]),
        _one("a name of a megabyte", b"k", b"garbage", [("h" * (MIB - 2000), b"")]),
        _one("half a million headers", b"k", b"garbage", [("", None)] * (MIB // 2 - 1000)),
        _one("half a million packed headers", b"k", b"garbage", [("", None)] * (MIB // 2), codec=ZSTD),
        _one("no time", b"k", b"garbage", timestamp=-1),
        _one("a time before all", b"k", b"garbage", timestamp=-(2**62), refused=True),
        _one("a control batch", b"\x00\x00\x00\x01", b"garbage", attributes=0x20, refused=True),
        Batch("a hundred thousand records", batch_of([(b"k", b"", ())] * 100_000, ZSTD), 100_000),
    )


@cache
def keyless() -> tuple[Batch, ...]:
    """Return what Kafka takes where a topic is not compacted only."""
    return (
        _one("no key", None, b"garbage"),
        _one("neither key nor value", None, None),
    )


class _Sent:
    """A finished batch, as aiokafka's accumulator wants one."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def _build(self) -> bytearray:
        return bytearray(self._batch.raw)

    def record_count(self) -> int:
        return self._batch.records

    def size(self) -> int:
        return len(self._batch.raw)

    def close(self) -> None:
        """Leave it as it is: finished."""

    def closed(self) -> bool:
        return True


async def send(kafka: str, topic: Topic, partition: int, batches: Sequence[Batch]) -> Mapping[str, int]:
    """Send the batches; return the offset of each by its name, -1 of one that Kafka refuses."""
    found = {}
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=16 * MIB) as enemy:
        for batch in batches:
            try:
                sent = await enemy.send_batch(_Sent(batch), topic.name, partition=partition)
                found[batch.name] = (await sent).offset
            except KafkaError:
                found[batch.name] = -1
    return found
