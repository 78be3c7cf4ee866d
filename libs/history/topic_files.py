"""The records of topics as files, whole: every byte of them comes back."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, Union

import msgspec
import pyarrow as pa

from libs.common.codec import UndecodableMessageError, decode, encode
from libs.common.time_units import DAY_NS
from libs.history.errors import HistoryError
from libs.history.layout import TOPIC_SCHEMA, topic_days, topic_path
from libs.history.parts import PartFile, parquet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import pyarrow.parquet as pq

    from libs.common.events import Event
    from libs.common.topics import Topic

GROUP_RECORDS: Final = 20_000
GROUP_BYTES: Final = 32 * 1024 * 1024  # of keys, messages and values
_OPTIONS: Final[dict[str, Any]] = {
    "use_dictionary": ["partition", "key", "type", "headers.list.element.name"],
    "column_encoding": {"ts": "DELTA_BINARY_PACKED", "offset": "DELTA_BINARY_PACKED"},
}
_json = msgspec.json.Encoder()


class TopicRecord(NamedTuple):
    """A record of a topic."""

    ts: int  # ns UTC: Kafka's timestamp
    partition: int
    offset: int
    key: bytes
    value: bytes | None  # None: a tombstone
    headers: tuple[tuple[str, bytes], ...]


class TopicWriter:
    """Writes the records of any number of topics as days; a context manager.

    Records of a topic come by partition in their order. Leaving it without an error gives the last days their
    names; leaving it with one drops them.
    """

    def __init__(self, root: Path, *, overwrite: bool = False) -> None:
        self.rows = 0
        self._root, self._overwrite = root, overwrite
        self._topics: dict[str, _Days] = {}

    def write(self, topic: Topic, record: TopicRecord) -> None:
        """Take a record; raises HistoryError if its day cannot be written."""
        days = self._topics.get(topic.name)
        if days is None:
            days = self._topics[topic.name] = _Days(self._root, topic, overwrite=self._overwrite)
        days.write(record)
        self.rows += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for days in self._topics.values():
                    days.close()
        finally:
            for days in self._topics.values():
                days.discard()


class _Days:
    """The days of one topic, each open until the end: partitions do not pass midnight together."""

    def __init__(self, root: Path, topic: Topic, *, overwrite: bool) -> None:
        self._root, self._topic, self._overwrite = root, topic, overwrite
        self._files: dict[int, PartFile] = {}
        self._rows: dict[int, list[tuple[Any, ...]]] = {}
        self._bytes = 0

    def write(self, record: TopicRecord) -> None:
        day = record.ts // DAY_NS
        kind, message, value = _said(self._topic, record.value)
        headers = [{"name": name, "value": held} for name, held in record.headers]
        row = (record.ts, record.partition, record.offset, record.key, kind, message, value, headers)
        rows = self._rows.setdefault(day, [])
        rows.append(row)
        self._bytes += len(record.key) + len(message or "") + len(value or b"")
        if len(rows) >= GROUP_RECORDS:
            self._flush(day)
        elif self._bytes >= GROUP_BYTES:
            for each in list(self._rows):
                self._flush(each)

    def close(self) -> None:
        for day in list(self._rows):
            self._flush(day)
        for day in list(self._files):
            self._files[day].close()
            del self._files[day]

    def discard(self) -> None:
        for file in self._files.values():
            file.discard()
        self._files = {}

    def _flush(self, day: int) -> None:
        rows = self._rows.pop(day)
        file = self._files.get(day)
        if file is None:
            path = topic_path(self._root, self._topic.name, day * DAY_NS)
            file = PartFile(path, TOPIC_SCHEMA, overwrite=self._overwrite, options=_OPTIONS)
            self._files[day] = file
        columns = zip(zip(*rows, strict=True), TOPIC_SCHEMA, strict=True)
        file.write(pa.table([pa.array(column, field.type) for column, field in columns], schema=TOPIC_SCHEMA))
        self._bytes -= sum(len(row[3]) + len(row[5] or "") + len(row[6] or b"") for row in rows)


def read_topic(root: Path, topic: Topic, begin: int, end: int) -> Iterator[TopicRecord]:
    """Yield the records of a time range (ns UTC), as the files have them: by partition in their order.

    Raises
    ------
    HistoryError
        If a file cannot be read, or holds what is no message of the topic.
    """
    for day, path in topic_days(root, topic.name).items():
        if day < begin // DAY_NS or day * DAY_NS >= end:
            continue
        with _opened(path) as file:
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    if begin <= row["ts"] < end:
                        yield _record(path, topic, row)


def _said(topic: Topic, value: bytes | None) -> tuple[str | None, str | None, bytes | None]:
    """Return the type and the text of a message, or what stands for them, and the bytes if those are needed.

    They are not where the text gives every one of them back.
    """
    if value is None:
        return None, None, None
    if not topic.events:
        return None, None, value
    try:
        event = decode(topic, value)
    except UndecodableMessageError:
        return None, None, value
    text = _json.encode(event)
    kind = type(event).__name__
    try:
        same = encode(_event_of(topic, text)) == value
    except msgspec.DecodeError:  # a float that JSON has not
        same = False
    return kind, text.decode(), None if same else value


def _event_of(topic: Topic, text: bytes | str) -> Event:
    return _decoder(topic.events).decode(text)


@lru_cache
def _decoder(events: tuple[type[Event], ...]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(Union[events])  # noqa: UP007 -- a union of a runtime tuple


def _record(path: Path, topic: Topic, row: dict[str, Any]) -> TopicRecord:
    value = row["value"]
    if value is None and row["message"] is not None:
        try:
            value = encode(_event_of(topic, row["message"]))
        except msgspec.DecodeError as error:
            raise HistoryError(
                f"{path}: offset {row['offset']} of partition {row['partition']} is no message of "
                f"{topic.name}: {error}"
            ) from error
    headers = tuple((header["name"], header["value"]) for header in row["headers"])
    return TopicRecord(row["ts"], row["partition"], row["offset"], row["key"], value, headers)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with parquet(path) as file:
        if file.schema_arrow.names != TOPIC_SCHEMA.names:
            raise HistoryError(
                f"{path} has the columns {', '.join(file.schema_arrow.names)}; "
                f"a topic has {', '.join(TOPIC_SCHEMA.names)}"
            )
        yield file
