"""`bookrunner book`: a live ladder rebuilt from the book's own topic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.live import Live

from libs.cli.errors import CommandError
from libs.cli.ladder import ladder, rows_that_fit
from libs.cli.reader import TopicReader
from libs.cli.screen import Text
from libs.cli.starts import At, Offset
from libs.cli.watch import BookWatch
from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import BookDelta, BookHealth, BookSnapshot
from libs.common.time_units import NS_PER_MS
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import ConsumerRecord, TopicPartition

    from libs.cli.names import BookId
    from libs.cli.screen import Screen
    from libs.common.settings import ServiceSettings

LOOK_BACK_MS: Final = 20_000  # l2 repeats a keyframe every 10 s
LOOK_BACK_RECORDS: Final = 50_000  # of a partition, for a book that was silent longer
KEYFRAME_WAIT_S: Final = 12.0
FRAME_S: Final = 0.1  # at most ten pictures a second


async def show_book(
    settings: ServiceSettings, book_id: BookId, depth: int, console: Screen, *, once: bool
) -> None:
    """Show one book's ladder, for ever or once.

    Raises
    ------
    CommandError
        If Kafka does not answer, or has no such book; the message lists those there are.
    """
    async with TopicReader.open(settings) as reader:
        watch = await _caught_up(reader, book_id)
        if not watch.has_book and (watch.health is None or watch.dropped):
            raise CommandError(await _no_such_book(settings, book_id))
        if once:
            await _wait_for_keyframe(reader, watch)
            for line in _picture(watch, console, depth):
                console.print(line, end="\n", no_wrap=True, crop=False)
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            drawn = 0.0
            while True:
                for record in await reader.batch():
                    fold(watch, record)
                if time.monotonic() - drawn >= FRAME_S:
                    height = console.size.height
                    lines = _picture(watch, console, rows_that_fit(depth, height))
                    live.update(Text.of_lines(lines[:height]), refresh=True)
                    drawn = time.monotonic()


def fold(watch: BookWatch, record: ConsumerRecord) -> None:
    """Hand a record to the watch if it is about its book."""
    if record.key != watch.book_id.key:
        return
    health = record.topic == L2_BOOK_HEALTH.name
    if record.value is None:
        if health:
            watch.on_health(None)
        return
    try:
        event = decode(L2_BOOK_HEALTH if health else L2_BOOK_DELTAS, record.value)
    except UndecodableMessageError as error:
        watch.on_undecodable(str(error))
        return
    match event:
        case BookHealth():
            watch.on_health(event)
        case BookSnapshot() | BookDelta():
            watch.on_message(event)
        case _:
            raise AssertionError(f"{record.topic} does not carry {type(event).__name__}")


async def _caught_up(reader: TopicReader, book_id: BookId) -> BookWatch:
    """Return the book as it is now, from its last keyframe on: found by time, or if silent by count."""
    deltas = (await reader.partitions(L2_BOOK_DELTAS, book_id.key))[0]
    healths = (await reader.partitions(L2_BOOK_HEALTH, book_id.key))[0]
    watch = BookWatch(book_id)
    since = At(time.time_ns() // NS_PER_MS - LOOK_BACK_MS)
    ends = await reader.begin({deltas: since, healths: since})
    await _read_up_to(reader, watch, ends)
    if not watch.has_book or watch.health is None:
        watch = BookWatch(book_id)
        ends = await reader.begin({tp: Offset(max(0, end - LOOK_BACK_RECORDS)) for tp, end in ends.items()})
        await _read_up_to(reader, watch, ends)
    return watch


async def _read_up_to(reader: TopicReader, watch: BookWatch, ends: Mapping[TopicPartition, int]) -> None:
    while await reader.behind(ends):
        for record in await reader.batch():
            fold(watch, record)


async def _wait_for_keyframe(reader: TopicReader, watch: BookWatch) -> None:
    deadline = time.monotonic() + KEYFRAME_WAIT_S
    while not watch.has_book:
        if time.monotonic() > deadline:
            state, reason = watch.state(time.time_ns())
            raise CommandError(
                f"{watch.book_id.key.decode()} has no keyframe: it is {state} ({reason}); is `l2` running?"
            )
        for record in await reader.batch():
            fold(watch, record)


async def _no_such_book(settings: ServiceSettings, book_id: BookId) -> str:
    keys: dict[bytes, bool] = {}
    async with TopicReader.open(settings) as reader:
        since = At(time.time_ns() // NS_PER_MS - LOOK_BACK_MS)
        ends = await reader.begin(dict.fromkeys(await reader.partitions(L2_BOOK_HEALTH), since))
        while await reader.behind(ends):
            keys |= {record.key: record.value is not None for record in await reader.batch()}
    there = sorted(key.decode("utf-8", "backslashreplace") for key, kept in keys.items() if kept)
    book = book_id.key.decode()
    if not there:
        return f"no book {book} on Kafka, nor any other: is `l2` running? start it with `make run`"
    return f"no book {book} on Kafka; there are: {', '.join(there)}"


def _picture(watch: BookWatch, console: Screen, rows: int) -> Sequence[Text]:
    return ladder(watch, time.time_ns(), console.size.width, rows)
