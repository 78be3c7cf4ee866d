"""`bookrunner tail`: a topic's messages, decoded, one a line."""

from __future__ import annotations

import base64
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from libs.cli.lines import line_of, line_of_dead_letter, line_of_raw, place
from libs.cli.reader import TopicReader
from libs.common.codec import UndecodableMessageError, decode
from libs.common.printable import printable_json
from libs.common.time_units import NS_PER_MS
from libs.common.topics import Key

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from libs.cli.screen import Screen, Text
    from libs.cli.starts import Start
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic


async def tail(  # noqa: PLR0913 -- one argument per option of the command
    settings: ServiceSettings,
    topic: Topic,
    key: bytes | None,
    start: Start,
    console: Screen,
    *,
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Print a topic's messages from `start` on: `limit` of them, those there are, or for ever."""
    async with TopicReader.open(settings) as reader:
        partitions = await reader.partitions(topic, key)
        ends = await reader.begin(dict.fromkeys(partitions, start))
        printed = 0
        while follow or await reader.behind(ends):
            for record in await reader.batch():
                beyond = record.offset >= ends[record.topic, record.partition]
                if (key is not None and not is_of(topic, record.key, key)) or (beyond and not follow):
                    continue
                _print(console, json_line(topic, record) if as_json else text_line(topic, record))
                printed += 1
                if printed == limit:
                    return
            sys.stdout.flush()


def is_of(topic: Topic, key: bytes | None, wanted: bytes) -> bool:
    """Return whether a record's key is the one wanted, or that of a child of the execution wanted."""
    if topic.key == Key.EXECUTION_OR_CHILD and key is not None:
        return key.rpartition(b":")[2] == wanted
    return key == wanted


def text_line(topic: Topic, record: ConsumerRecord) -> Text:
    """Return the line of a record, for people."""
    where = place(record.partition, record.offset)
    key = (record.key or b"").decode("utf-8", "backslashreplace")
    value = record.value
    if not topic.events:
        return line_of_dead_letter(record.timestamp, where, key, value or b"", record.headers)
    try:
        return line_of(record.timestamp, where, key, None if value is None else decode(topic, value))
    except UndecodableMessageError as error:
        return line_of_raw(record.timestamp, where, key, value, str(error))


def json_line(topic: Topic, record: ConsumerRecord) -> str:
    """Return a record as JSON, for programs: with ``event``, or with ``error`` and ``value`` in base64."""
    line: dict[str, object] = {
        "topic": topic.name,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": (record.key or b"").decode("utf-8", "backslashreplace"),
    }
    if record.headers:
        line["headers"] = {name: value.decode("utf-8", "backslashreplace") for name, value in record.headers}
    try:
        event = decode(topic, record.value) if topic.events and record.value is not None else None
    except UndecodableMessageError as error:
        line |= {"error": str(error), "value": base64.b64encode(record.value).decode()}
    else:
        raw = record.value if not topic.events else None
        line |= {"value": base64.b64encode(raw).decode()} if raw is not None else {"event": event}
    return printable_json(msgspec.json.encode(line).decode())


def now_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // NS_PER_MS


def _print(console: Screen, line: Text | str) -> None:
    if isinstance(line, str) or not console.is_terminal:
        sys.stdout.write(f"{line}\n")  # whole, whatever the width
    else:
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
