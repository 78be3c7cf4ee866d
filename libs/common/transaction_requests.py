"""The requests of the second version of Kafka's transactions (KIP-890), which aiokafka does not know; pure.

A produce request of version 12 adds its partitions to the transaction by itself, an offset commit of version
5 its group, and the answer to an end of version 5 holds the id and epoch of the next transaction.

Each is what aiokafka's connections send: it names its key and version, encodes itself, and reads its answer.
Its fields follow Kafka's message definitions, all in the compact form of flexible versions.

References
----------
https://kafka.apache.org/43/design/protocol/ (Apache Kafka 4.3), where `Produce`, `EndTxn`, `TxnOffsetCommit`
and `ApiVersions` stand; KIP-482 for the compact form, KIP-584 for features, KIP-890 for what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from aiokafka.structs import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

FEATURE: Final = "transaction.version"
ALL_IN_SYNC: Final = -1  # acknowledgements: of all replicas that are in sync
COMMIT: Final = True
NO_TAGS: Final = b"\x00"
FINALIZED: Final = 2  # the tag of the features that a cluster has agreed on
SEVEN_BITS: Final = 0x7F  # of a byte of a varint; the eighth says that more follow

_REQUEST: Final = Struct(">hhi")  # key, version, correlation
_CORRELATION: Final = Struct(">i")
_PRODUCER: Final = Struct(">qh")  # id and epoch
_WHOSE_END: Final = Struct(">qh?")  # and whether to commit
_ENDED: Final = Struct(">ihqh")  # throttle, error, the next id and epoch
_ACKS_TIMEOUT: Final = Struct(">hi")
_NUMBER: Final = Struct(">i")
_VERSION: Final = Struct(">h")
_VERSIONS: Final = Struct(">hhh")
_PRODUCED: Final = Struct(">ihqqq")  # partition, error, offset, append time, log start
_COMMITTED: Final = Struct(">iqi")  # partition, offset, leader's epoch
_ERROR: Final = Struct(">ih")  # partition, error
_LEVELS: Final = Struct(">hh")


@dataclass(frozen=True, slots=True)
class _Header:
    """Of a request or an answer; aiokafka asks for its bytes, or for its correlation."""

    correlation_id: int
    encoded: bytes = b""

    def encode(self) -> bytes:
        return self.encoded


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One request in its bytes, and the reader of its answer."""

    key: int
    version: int
    body: bytes
    read: Callable[[BytesIO], T]
    tagged_answer: bool = True  # its header has tags, as all but that of `ApiVersions` have

    def prepare(self, _versions: object) -> Self:
        """Return what is sent: there is one version only."""
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Header:
        """Return what stands before the body."""
        name = client_id.encode()
        first = _REQUEST.pack(self.key, self.version, correlation_id)
        return _Header(correlation_id, first + _VERSION.pack(len(name)) + name + NO_TAGS)

    def encode(self) -> bytes:
        """Return the body."""
        return self.body

    def parse_response_header(self, answer: BytesIO) -> _Header:
        """Read what stands before an answer's body."""
        (correlation_id,) = _CORRELATION.unpack(answer.read(_CORRELATION.size))
        if self.tagged_answer:
            _tags(answer)
        return _Header(correlation_id)

    @property
    def RESPONSE_TYPE(self) -> _Reader[T]:  # noqa: N802 -- aiokafka's name
        """Return the reader of the answer's body."""
        return _Reader(self.read)


@dataclass(frozen=True, slots=True)
class _Reader(Generic[T]):
    decode: Callable[[BytesIO], T]


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer to an end: an error code, and as whom the next transaction is written."""

    error_code: int
    producer_id: int
    producer_epoch: int


def features() -> Request[Mapping[str, int]]:
    """Ask which level of each feature the whole cluster has agreed on; ``ApiVersions`` 3.

    A broker that does not know version 3 answers in version 0, which names none.
    """
    name = _text("bookrunner")
    return Request(18, 3, name + name + NO_TAGS, _read_features, tagged_answer=False)


def produce(
    transactional_id: str, batches: Mapping[TopicPartition, bytes | bytearray], timeout_ms: int
) -> Request[Mapping[TopicPartition, int]]:
    """Write a batch per partition, each of which joins the transaction; ``Produce`` 12.

    The answer is an error code per partition.
    """
    topics: dict[str, list[bytes]] = {}
    for partition, batch in batches.items():
        place = _NUMBER.pack(partition.partition)
        topics.setdefault(partition.topic, []).append(place + _count(len(batch)) + batch + NO_TAGS)
    body = _text(transactional_id) + _ACKS_TIMEOUT.pack(ALL_IN_SYNC, timeout_ms) + _grouped(topics) + NO_TAGS
    return Request(0, 12, body, _read_produced)


def commit_offsets(
    transactional_id: str, group: str, producer: tuple[int, int], offsets: Mapping[TopicPartition, int]
) -> Request[Mapping[TopicPartition, int]]:
    """Commit a group's offsets, whose log joins the transaction; ``TxnOffsetCommit`` 5.

    The answer is an error code per partition.
    """
    topics: dict[str, list[bytes]] = {}
    for partition, offset in offsets.items():
        told = _COMMITTED.pack(partition.partition, offset, -1) + _text("") + NO_TAGS
        topics.setdefault(partition.topic, []).append(told)
    no_member = _NUMBER.pack(-1) + _text("") + _text(None)
    body = _text(transactional_id) + _text(group) + _PRODUCER.pack(*producer) + no_member + _grouped(topics)
    return Request(28, 5, body + NO_TAGS, _read_committed)


def commit(transactional_id: str, producer: tuple[int, int]) -> Request[Ended]:
    """End the transaction by a commit; ``EndTxn`` 5."""
    return Request(26, 5, _text(transactional_id) + _WHOSE_END.pack(*producer, COMMIT) + NO_TAGS, _read_ended)


def _count(number: int) -> bytes:
    """Return the length of what follows in the compact form: one more than it is, as a varint."""
    return _varint(number + 1)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > SEVEN_BITS:
        encoded.append(number & SEVEN_BITS | ~SEVEN_BITS & 0xFF)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _text(text: str | None) -> bytes:
    if text is None:
        return _varint(0)
    encoded = text.encode()
    return _count(len(encoded)) + encoded


def _grouped(topics: Mapping[str, list[bytes]]) -> bytes:
    named = [
        _text(name) + _count(len(entries)) + b"".join(entries) + NO_TAGS for name, entries in topics.items()
    ]
    return _count(len(named)) + b"".join(named)


def _read_varint(answer: BytesIO) -> int:
    number = shift = 0
    while True:
        (byte,) = answer.read(1)
        number |= (byte & SEVEN_BITS) << shift
        if byte <= SEVEN_BITS:
            return number
        shift += 7


def _read_count(answer: BytesIO) -> int:
    return _read_varint(answer) - 1


def _read_text(answer: BytesIO) -> str:
    return answer.read(max(0, _read_count(answer))).decode()


def _tags(answer: BytesIO) -> dict[int, bytes]:
    return {_read_varint(answer): answer.read(_read_varint(answer)) for _ in range(_read_varint(answer))}


def _read_features(answer: BytesIO) -> Mapping[str, int]:
    (error_code,) = _VERSION.unpack(answer.read(_VERSION.size))
    if error_code:
        return {}
    for _ in range(_read_count(answer)):
        _VERSIONS.unpack(answer.read(_VERSIONS.size))
        _tags(answer)
    answer.read(_NUMBER.size)  # throttle
    finalized = BytesIO(_tags(answer).get(FINALIZED, _count(0)))
    found = {}
    for _ in range(_read_count(finalized)):
        name = _read_text(finalized)
        found[name], _lowest = _LEVELS.unpack(finalized.read(_LEVELS.size))
        _tags(finalized)
    return found


def _read_produced(answer: BytesIO) -> Mapping[TopicPartition, int]:
    found = {}
    for _ in range(_read_count(answer)):
        topic = _read_text(answer)
        for _ in range(_read_count(answer)):
            number, error_code, *_ = _PRODUCED.unpack(answer.read(_PRODUCED.size))
            found[TopicPartition(topic, number)] = error_code
            for _ in range(_read_count(answer)):  # records that are refused
                answer.read(_NUMBER.size)
                _read_text(answer)
                _tags(answer)
            _read_text(answer)  # why
            _tags(answer)
        _tags(answer)
    return found


def _read_committed(answer: BytesIO) -> Mapping[TopicPartition, int]:
    answer.read(_NUMBER.size)  # throttle
    found = {}
    for _ in range(_read_count(answer)):
        topic = _read_text(answer)
        for _ in range(_read_count(answer)):
            number, error_code = _ERROR.unpack(answer.read(_ERROR.size))
            found[TopicPartition(topic, number)] = error_code
            _tags(answer)
        _tags(answer)
    return found


def _read_ended(answer: BytesIO) -> Ended:
    _throttle, error_code, producer_id, producer_epoch = _ENDED.unpack(answer.read(_ENDED.size))
    return Ended(error_code, producer_id, producer_epoch)
