"""The Fetch of Kafka's protocol, version 11, in a session: what is said of it and what is answered; pure.

In a session (KIP-227) a request names the partitions that are to be fetched from another offset than before,
and those that are not wanted any more; the answer, those that have news.

References
----------
KIP-227, "Introduce incremental FetchRequests to increase partition scalability"; the protocol's guide, Fetch.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias

from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.types import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BytesIO

    from aiokafka import TopicPartition

VERSION: Final = 11
NOBODY: Final = -1  # who asks is no replica, knows no leader's epoch, and has no log that starts anywhere
LAST_EPOCH: Final = 2**31 - 1

_HEAD: Final = Struct(">iiiibii")  # replica, wait, least and most bytes, isolation, session, its epoch
_PLACE: Final = Struct(">iiqqi")  # partition, leader's epoch, offset, start of the log, most bytes
_ANSWER: Final = Struct(">ihii")  # throttled for, error, session, topics
_FOUND: Final = Struct(">ihqqqi")  # partition, error, end, stable end, start of the log, aborted transactions
_ABORTED: Final = Struct(">qq")  # producer, first offset
_TAIL: Final = Struct(">ii")  # preferred replica, bytes of records
_COUNT: Final = Struct(">i")
_LENGTH: Final = Struct(">h")
_NO_RACK: Final = _LENGTH.pack(0)  # the leader is read from, wherever it stands

Places: TypeAlias = "dict[TopicPartition, tuple[int, int]]"
"""From which offset a partition is fetched, and how many bytes at most."""


class Terms(NamedTuple):
    """How long a fetch waits, and for how much."""

    wait_ms: int
    least_bytes: int
    most_bytes: int
    isolation: int


class Session:
    """What a broker knows of the partitions that are fetched from it; changes in place."""

    def __init__(self) -> None:
        self.number = 0  # none yet
        self.epoch = 0  # of the next request; with 0 it begins anew, and all are named
        self._known: Places = {}

    def renew(self) -> None:
        """Begin anew with the next request, which ends this one."""
        self.epoch, self._known = 0, {}

    def go_on(self, number: int, wanted: Places) -> None:
        """Take note of an answer to a request for what is wanted, and of its session; 0: there is none."""
        self.number = number
        if not number:
            self.renew()
            return
        self._known = wanted
        self.epoch = 1 if self.epoch == LAST_EPOCH else self.epoch + 1

    def encoded(self, wanted: Places, terms: Terms) -> bytes:
        """Return the request, without its head, that leaves the broker with what is wanted."""
        known = self._known
        places = {
            each: _PLACE.pack(each.partition, NOBODY, place[0], NOBODY, place[1])
            for each, place in wanted.items()
            if known.get(each) != place
        }
        forgotten = {each: _COUNT.pack(each.partition) for each in known.keys() - wanted.keys()}
        head = _HEAD.pack(NOBODY, *terms, self.number, self.epoch)
        return b"".join((head, *_named(places), *_named(forgotten), _NO_RACK))


@dataclass(frozen=True, slots=True)
class Answer:
    """What Kafka says to a fetch, as aiokafka's fetcher reads it."""

    API_VERSION: ClassVar = VERSION

    error_code: int
    session: int
    topics: list[tuple[str, list[tuple[Any, ...]]]]  # what each partition has, in the order of the protocol


class Reply:
    """Reads what a connection got, and keeps it."""

    answer: Answer | None = None

    def decode(self, data: BytesIO) -> Answer:
        """Read the answer behind the response's head.

        Raises
        ------
        struct.error
            If it ends too early.
        ValueError
            The same.
        """
        self.answer = _answer(memoryview(data.getbuffer())[data.tell() :])
        return self.answer


class Wire(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    """A request as a connection sends it."""

    API_KEY = FetchRequest.API_KEY
    API_VERSION = VERSION
    RESPONSE_TYPE: Any = Reply
    SCHEMA = Schema()

    def __init__(self, encoded: bytes, reply: Reply) -> None:
        self._encoded = encoded
        self.RESPONSE_TYPE = reply

    def encode(self) -> bytes:
        """Return it without its head."""
        return self._encoded


def _named(partitions: Mapping[TopicPartition, bytes]) -> Iterator[bytes]:
    by_topic: defaultdict[str, list[bytes]] = defaultdict(list)
    for partition, packed in partitions.items():
        by_topic[partition.topic].append(packed)
    yield _COUNT.pack(len(by_topic))
    for topic, each in by_topic.items():
        yield _text(topic)
        yield _COUNT.pack(len(each))
        yield from each


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _answer(raw: memoryview) -> Answer:
    _, error_code, session, topics = _ANSWER.unpack_from(raw)
    at, found = _ANSWER.size, []
    for _ in range(topics):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        name = str(raw[at : at + length], "utf-8")
        at += length
        (count,) = _COUNT.unpack_from(raw, at)
        at += _COUNT.size
        partitions = []
        for _ in range(count):
            partition, at = _partition(raw, at)
            partitions.append(partition)
        found.append((name, partitions))
    return Answer(error_code, session, found)


def _partition(raw: memoryview, at: int) -> tuple[tuple[Any, ...], int]:
    number, error_code, end, stable, start, count = _FOUND.unpack_from(raw, at)
    at += _FOUND.size
    aborted = [_ABORTED.unpack_from(raw, at + each * _ABORTED.size) for each in range(count)]
    at += len(aborted) * _ABORTED.size
    replica, length = _TAIL.unpack_from(raw, at)
    at += _TAIL.size
    records = bytes(raw[at : at + max(0, length)])
    if len(records) < length:
        raise ValueError(f"a fetch of {len(raw)} bytes ends within the records of partition {number}")
    return (number, error_code, end, stable, start, aborted, replica, records), at + len(records)
