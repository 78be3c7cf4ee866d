from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from libs.common import events
from libs.common.codec import UndecodableMessageError, decode, encode
from libs.common.events import Command, Event, Remembered
from libs.common.topics import TOPICS, Topic
from tests.messages import MESSAGES, PAIRS, SCALARS, wire_of


def test_every_event_type_is_on_a_topic_and_so_under_test() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert {event for _, event in PAIRS} == declared - {Event, Command, Remembered}


@given(MESSAGES)
def test_what_is_encoded_is_decoded_equal(message: tuple[Topic, Event]) -> None:
    topic, event = message
    assert decode(topic, encode(event)) == event


@given(MESSAGES, st.dictionaries(st.text(), SCALARS, max_size=4))
def test_unknown_fields_pass(message: tuple[Topic, Event], extra: dict[str, Any]) -> None:
    topic, event = message
    assert decode(topic, msgpack.packb(extra | wire_of(event))) == event


@given(MESSAGES, st.data())
def test_a_required_field_that_is_missing_is_refused(
    message: tuple[Topic, Event], data: st.DataObject
) -> None:
    topic, event = message
    wire = wire_of(event)
    required = [field.encode_name for field in msgspec.structs.fields(event) if field.required]
    assume(required)
    missing = data.draw(st.sampled_from(required))
    del wire[missing]
    with pytest.raises(UndecodableMessageError, match=missing):
        decode(topic, msgpack.packb(wire))


@given(MESSAGES, st.data())
def test_a_field_of_another_type_is_refused(message: tuple[Topic, Event], data: st.DataObject) -> None:
    topic, event = message
    wire = wire_of(event)
    wire[data.draw(st.sampled_from(event.__struct_fields__))] = msgpack.ExtType(7, b"of no type")
    with pytest.raises(UndecodableMessageError):
        decode(topic, msgpack.packb(wire))


@given(st.sampled_from([topic for topic in TOPICS.values() if topic.events]), st.binary(max_size=200))
def test_arbitrary_bytes_decode_or_are_refused_but_never_crash(topic: Topic, value: bytes) -> None:
    try:
        event = decode(topic, value)
    except UndecodableMessageError:
        return
    assert isinstance(event, topic.events)


@given(MESSAGES, st.data())
def test_a_text_that_is_not_utf_8_is_refused(message: tuple[Topic, Event], data: st.DataObject) -> None:
    topic, event = message
    wire = wire_of(event)
    name = data.draw(st.sampled_from(sorted(name for name, value in wire.items() if isinstance(value, str))))
    marked = msgpack.packb(wire | {name: "\x00\x01\x02"})
    spoilt = marked.replace(b"\x00\x01\x02", b"\xff\xfe\xfd")
    with pytest.raises(UndecodableMessageError):
        decode(topic, spoilt)
