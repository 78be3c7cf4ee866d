"""`bookrunner history export`: what Kafka has of topics now, as the files of a folder of history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from libs.cli.errors import CommandError
from libs.cli.progress import RowsProgress
from libs.cli.reader import TopicReader
from libs.cli.starts import At
from libs.common.cloudevents import headers_of
from libs.common.counted import counted
from libs.common.kafka import MissingTopicError, partition_counts
from libs.common.time_units import NS_PER_MS
from libs.common.topics import HOUR_MS
from libs.history.errors import HistoryError
from libs.history.fault_file import fault_file
from libs.history.records import RecordWriter
from libs.history.topic_files import TopicRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiokafka import ConsumerRecord

    from libs.cli.screen import Screen
    from libs.cli.starts import Start
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic
    from libs.history.faults import FaultReport

MOST_AHEAD_MS: Final = HOUR_MS  # Kafka refuses a record of later (message.timestamp.after.max.ms)


class Stretch(NamedTuple):
    """Of what is exported."""

    begin: Start
    end: Start

    def has(self, timestamp_ms: int) -> bool:
        """Whether a record of this Kafka timestamp is inside, as far as the ends are times."""
        early = isinstance(self.begin, At) and timestamp_ms < self.begin.timestamp_ms
        late = isinstance(self.end, At) and timestamp_ms >= self.end.timestamp_ms
        return not (early or late)

    @property
    def until(self) -> Start:
        """Where to stop reading: behind all that Kafka took before the end.

        Clocks step, so a record inside may stand behind one of after the end, which came up to
        `MOST_AHEAD_MS` before its time.
        """
        return At(self.end.timestamp_ms + MOST_AHEAD_MS) if isinstance(self.end, At) else self.end


async def export(
    settings: ServiceSettings,
    topics: Sequence[Topic],
    stretch: Stretch,
    root: Path,
    console: Screen,
    *,
    overwrite: bool,
) -> None:
    """Write the records of each topic in the stretch, up to what is there when its turn has come.

    Raises
    ------
    CommandError
        If a file cannot be written, or is there already.
    MissingTopicError
        If the one topic does not exist; of several, those that are missing are named.
    """
    try:
        with fault_file(root) as faults:
            for topic in topics:
                try:
                    await partition_counts(settings, [topic])
                except MissingTopicError:
                    if len(topics) == 1:
                        raise
                    console.print(f"{topic.name}: Kafka has no such topic yet")
                    continue
                writer = RecordWriter(root, faults, source=topic.name, overwrite=overwrite)
                await _export_one(settings, topic, stretch, writer)
                console.print(f"{topic.name}: {counted(writer.rows, 'row')}")
            _print_faults(faults, console)
    except HistoryError as error:
        raise CommandError(str(error)) from error


async def _export_one(
    settings: ServiceSettings, topic: Topic, stretch: Stretch, writer: RecordWriter
) -> None:
    async with TopicReader.open(settings) as reader:
        partitions = await reader.partitions(topic)
        begins = await reader.offsets(dict.fromkeys(partitions, stretch.begin))
        ends = await reader.offsets(dict.fromkeys(partitions, stretch.until))
        await reader.begin(dict.fromkeys(partitions, stretch.begin))
        total = sum(max(0, ends[each] - begins[each]) for each in partitions)
        done = 0
        with writer, RowsProgress(topic.name, total) as progress:
            while await reader.behind(ends):
                for record in await reader.batch():
                    if record.offset < ends[record.topic, record.partition]:
                        done += 1
                        if stretch.has(record.timestamp):
                            writer.write(topic, _record(record))
                progress.tell(writer.rows, done)


def _record(record: ConsumerRecord) -> TopicRecord:
    return TopicRecord(
        record.timestamp * NS_PER_MS,
        record.partition,
        record.offset,
        record.key or b"",
        record.value,
        tuple(headers_of(record.headers)),
    )


def _print_faults(faults: FaultReport, console: Screen) -> None:
    if faults.counts:
        for line in faults.lines():
            console.print(line, soft_wrap=True)
