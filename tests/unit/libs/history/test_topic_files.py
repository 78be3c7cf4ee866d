from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq
import pytest

from libs.common.codec import encode
from libs.common.events import ContextInput
from libs.common.time_units import DAY_NS, NS_PER_MS
from libs.common.topics import CONTEXT_INPUTS, DEAD_LETTERS, TOPICS
from libs.history.errors import HistoryError
from libs.history.layout import topic_path
from libs.history.topic_files import TopicRecord, TopicWriter, read_topic
from tests.full_valued import bare, full
from tests.history_market import MIDNIGHT
from tests.newer import extended

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from libs.common.topics import Topic

ALWAYS = (0, 2**62)


def written(root: Path, topic: Topic, values: Sequence[bytes | None]) -> list[TopicRecord]:
    records = [
        TopicRecord(
            MIDNIGHT + (at - 1) * NS_PER_MS,
            at % 3,
            at,
            b"\x00key\xff" if at % 2 else b"",
            value,
            ((("ce_id", b"1"), ("ce_id", b"\xff"), ("", b"")) if at % 2 else ()),
        )
        for at, value in enumerate(values)
    ]
    with TopicWriter(root) as writer:
        for record in records:
            writer.write(topic, record)
    return records


@pytest.mark.parametrize(
    "topic", [each for each in TOPICS.values() if each.events], ids=lambda each: each.name
)
def test_every_message_of_a_topic_comes_back_byte_for_byte_and_reads_as_json(
    tmp_path: Path, topic: Topic
) -> None:
    messages = [make(kind) for kind in topic.events for make in (full, bare)]
    values = [encode(each) for each in messages]
    records = written(tmp_path, topic, values)
    assert sorted(read_topic(tmp_path, topic, *ALWAYS), key=lambda each: each.offset) == records
    rows = pq.read_table(topic_path(tmp_path, topic.name, MIDNIGHT)).to_pylist()
    for row in rows:
        assert row["value"] is None  # the text says it all
        assert row["type"] == json.loads(row["message"])["type"] == type(messages[row["offset"]]).__name__


def test_what_the_text_cannot_say_is_kept_as_bytes(tmp_path: Path) -> None:
    message = full(ContextInput)
    whole = msgspec.msgpack.decode(encode(message))
    odd: list[bytes | None] = [
        extended(message),
        msgspec.msgpack.encode(whole | {"value": float("nan")}),
        msgspec.msgpack.encode(whole | {"value": 1}),  # an int where a float stands
        msgspec.msgpack.encode(dict(reversed(whole.items()))),
        b"\xc1 no message",
        b"",
        None,
    ]
    records = written(tmp_path, CONTEXT_INPUTS, odd)
    assert sorted(read_topic(tmp_path, CONTEXT_INPUTS, *ALWAYS), key=lambda each: each.offset) == records
    days = [topic_path(tmp_path, CONTEXT_INPUTS.name, MIDNIGHT + day * DAY_NS) for day in (-1, 0)]
    rows = [row for day in days for row in pq.read_table(day).to_pylist()]
    assert len(pq.read_table(days[0])) == 1  # a record of the ms before midnight
    assert [row["type"] for row in rows] == ["ContextInput"] * 4 + [None] * 3
    assert rows[-1]["value"] is rows[-1]["message"] is None


def test_a_topic_of_raw_bytes_comes_back(tmp_path: Path) -> None:
    records = written(tmp_path, DEAD_LETTERS, [b"\x00\xff", b"", None, b"text"])
    assert sorted(read_topic(tmp_path, DEAD_LETTERS, *ALWAYS), key=lambda each: each.offset) == records
    assert list(read_topic(tmp_path, DEAD_LETTERS, MIDNIGHT, MIDNIGHT + NS_PER_MS)) == records[1:2]


def test_a_text_that_is_no_message_is_refused(tmp_path: Path) -> None:
    written(tmp_path, CONTEXT_INPUTS, [encode(full(ContextInput))])
    path = topic_path(tmp_path, CONTEXT_INPUTS.name, MIDNIGHT - NS_PER_MS)
    table = pq.read_table(path)
    at = table.schema.get_field_index("message")
    pq.write_table(table.set_column(at, table.schema.field(at), [["{}"]]), path)
    with pytest.raises(HistoryError, match=r"offset 0 of partition 0 is no message of context\.inputs\.v1"):
        list(read_topic(tmp_path, CONTEXT_INPUTS, *ALWAYS))


def test_what_a_killed_writer_left_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = topic_path(tmp_path, CONTEXT_INPUTS.name, MIDNIGHT)
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.part").write_bytes(b"a beginning" * 99)
    written(tmp_path, CONTEXT_INPUTS, [None, None])
    assert path.read_bytes()[:4] == b"PAR1"
