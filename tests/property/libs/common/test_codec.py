from __future__ import annotations

from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common import events
from libs.common.codec import UndecodableMessageError, decode, encode
from libs.common.events import Command, Event
from libs.common.topics import TOPICS, Topic

INTEGERS = st.integers(-(2**63), 2**64 - 1)  # what MessagePack holds
FLOATS = st.floats(allow_nan=False)  # NaN equals nothing, so it cannot be compared
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | st.text()
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    float: FLOATS,
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
}
PAIRS = [(topic, event) for topic in TOPICS.values() for event in topic.events]


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return the values that a field of this type can have on the wire."""
    if hint in PLAIN:
        return PLAIN[hint]
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*map(values_of, get_args(hint)))
    if get_origin(hint) is dict:
        return st.dictionaries(*map(values_of, get_args(hint)), max_size=3)
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        if others == [...]:
            return st.lists(values_of(first), max_size=4).map(tuple)
        return st.tuples(values_of(first), *map(values_of, others))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.builds(hint, **{name: values_of(of) for name, of in get_type_hints(hint).items()})
    return st.from_type(hint)


MESSAGES = st.one_of(*(st.tuples(st.just(topic), values_of(event)) for topic, event in PAIRS))


def wire_of(event: Event) -> dict[str, Any]:
    """Return what a third party reads."""
    wire: dict[str, Any] = msgpack.unpackb(encode(event))
    return wire


def test_every_event_type_is_on_a_topic_and_so_under_test() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert {event for _, event in PAIRS} == declared - {Event, Command}


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
    fields = msgspec.structs.fields(event)
    missing = data.draw(st.sampled_from([field.encode_name for field in fields if field.required]))
    del wire[missing]
    with pytest.raises(UndecodableMessageError, match=missing):
        decode(topic, msgpack.packb(wire))


@given(MESSAGES, st.data())
def test_a_field_of_another_type_is_refused(message: tuple[Topic, Event], data: st.DataObject) -> None:
    topic, event = message
    wire = wire_of(event)
    wire[data.draw(st.sampled_from(event.__struct_fields__))] = {"no field": ["is this"]}
    with pytest.raises(UndecodableMessageError):
        decode(topic, msgpack.packb(wire))


@given(st.sampled_from([topic for topic in TOPICS.values() if topic.events]), st.binary(max_size=200))
def test_arbitrary_bytes_decode_or_are_refused_but_never_crash(topic: Topic, value: bytes) -> None:
    try:
        event = decode(topic, value)
    except UndecodableMessageError:
        return
    assert isinstance(event, topic.events)
