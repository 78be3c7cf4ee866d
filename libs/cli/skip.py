"""An operator's word that a service is to go on without a message that it cannot handle."""

from __future__ import annotations

import re
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from libs.cli.errors import CommandError, UsageError
from libs.common.codec import encode
from libs.common.kafka import read
from libs.common.kafka_security import client_arguments
from libs.common.message_sizes import TooLargeError, check_size
from libs.common.partition import POSITION_KEY, Position
from libs.common.skips import SKIP_KEY, Skip, merged
from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.kafka import Undecodable
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

STATES: Final = {topic.writers[0]: topic for topic in TOPICS.values() if topic.private}
_PLACE: Final = re.compile(r"(?P<topic>[a-z0-9.-]+)/(?P<partition>\d{1,6})/(?P<at>[0-9a-f]+)", re.ASCII)


class Place(NamedTuple):
    """Where the message stands that a handler raised on; on the state's own topic it is a tick."""

    topic: str
    partition: int
    at: str  # offset, or the tick's key in hex


def place_of(text: str) -> Place:
    """Return the place that a service named, like ``execution.fills.v1/3/120``.

    Raises
    ------
    UsageError
        If it is none.
    """
    found = _PLACE.fullmatch(text)
    if found is None or found["topic"] not in TOPICS:
        raise UsageError(
            f"{text!r} is no place of a message, like venues.scores.v1/3/120: `bookrunner doctor` names it"
        )
    return Place(found["topic"], int(found["partition"]), found["at"])


async def skip(
    settings: ServiceSettings, service: str, place: Place, reason: str, *, all_before: bool
) -> str:
    """Write to the service's state log that it is to leave the message out; return what that means.

    Raises
    ------
    UsageError
        If there is no such service.
    CommandError
        If the message was handled, is not there, or others stand before it and `all_before` is not said; also
        if the reason is longer than Kafka takes.
    """
    state = STATES.get(service)
    if state is None:
        raise UsageError(f"{service!r} cannot skip a message; these can: {', '.join(STATES)}")
    position, before = await _known(settings, state, place.partition)
    ts = time.time_ns()
    if place.topic == state.name:
        word = Skip(offsets={}, ticks=(_tick(place),), reason=reason, ts=ts)
        meaning = f"a tick of {service}'s partition {place.partition}"
    else:
        offset = _offset(place)
        if position and place.topic not in position:
            raise UsageError(f"{service} does not read {place.topic}; it reads: {', '.join(position)}")
        count = await _count(settings, place, position.get(place.topic, 0), offset)
        if count > 1 and not all_before:
            raise CommandError(
                f"{count - 1} more of {place.topic}-{place.partition} stand before {offset} and would be left"
                " out too: name the first, or say --all-before"
            )
        word = Skip(offsets={place.topic: offset + 1}, reason=reason, ts=ts)
        meaning = f"{count} of {place.topic}-{place.partition}, up to offset {offset}"
    word = merged(before, word)
    try:
        check_size(state, SKIP_KEY, encode(word))
    except TooLargeError as error:
        raise CommandError(f"{error}: say it shorter, or wait until what is said before is done") from error
    async with AIOKafkaProducer(**client_arguments(settings), enable_idempotence=True) as producer:
        await producer.send_and_wait(state.name, encode(word), SKIP_KEY, partition=place.partition)
    return f"{service} leaves out {meaning}: at once if it stands there, else at its next start"


def _offset(place: Place) -> int:
    if not place.at.isdecimal():
        raise UsageError(f"{place.at} is no offset of {place.topic}")
    return int(place.at)


def _tick(place: Place) -> bytes:
    try:
        return bytes.fromhex(place.at)
    except ValueError as error:
        raise UsageError(f"{place.at} is no tick's key in hex") from error


async def _known(
    settings: ServiceSettings, state: Topic, partition: int
) -> tuple[Mapping[str, int], Skip | None]:
    """Return the next offset by input that the state's log knows, and what is still to be left out."""
    log = replace(state, events=())  # raw: neither is a message of the topic
    position: Mapping[str, int] = {}
    skip: Skip | None = None
    reading = read(settings, [log], on_undecodable=_leave, partitions={partition}, stop_at_end=True)
    async with aclosing(reading) as batches:
        async for records in batches:
            for record in records:
                if record.key == POSITION_KEY and record.value is not None:
                    position = msgspec.msgpack.decode(record.value, type=Position).offsets
                elif record.key == SKIP_KEY:
                    skip = None if record.value is None else msgspec.msgpack.decode(record.value, type=Skip)
    return position, skip


async def _count(settings: ServiceSettings, place: Place, first: int, last: int) -> int:
    """Return how many messages stand from `first` to `last`; markers of transactions are none.

    Raises
    ------
    CommandError
        If the last one was handled, or does not stand there.
    """
    where = f"{place.topic}-{place.partition}"
    if last < first:
        raise CommandError(f"{where} is handled up to {first - 1}: {last} is not waited for")
    topic = replace(TOPICS[place.topic], events=())
    start = {TopicPartition(place.topic, place.partition): first}
    offsets = []
    reading = read(
        settings, [topic], on_undecodable=_leave, start=start, partitions={place.partition}, stop_at_end=True
    )
    async with aclosing(reading) as batches:
        async for records in batches:
            offsets += [record.offset for record in records if record.offset <= last]
            if records[-1].offset >= last:
                break
    if not offsets or offsets[-1] != last:
        raise CommandError(f"no message stands at {where}, offset {last}")
    return len(offsets)


async def _leave(_undecodable: Undecodable) -> None:
    """Raw bytes are never undecodable."""
