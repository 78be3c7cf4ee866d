from __future__ import annotations

from uuid import UUID

import pytest

from libs.common.cloudevents import CloudEvent, caused_id, headers_of, identity, position_id, rfc3339

COMMAND = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def test_headers_carry_the_attributes_and_give_them_back() -> None:
    headers = CloudEvent(
        id=COMMAND,
        type="PolicyChosen",
        source="/services/router",
        time=1_700_000_000_123_456_789,
        correlation_id="c-1",
        causation_id=caused_id(COMMAND, "x"),
    ).headers()
    assert dict(headers)["ce_time"] == b"2023-11-14T22:13:20.123456789Z"
    assert dict(headers)["ce_type"] == b"PolicyChosen"
    assert dict(headers)["ce_causationid"] == str(caused_id(COMMAND, "x")).encode()
    assert identity(headers, fallback=position_id("t", 0, 0)) == (COMMAND, "c-1")


def test_the_first_message_of_a_conversation_has_no_cause() -> None:
    first = CloudEvent(
        id=COMMAND, type="T", source="/s", time=0, correlation_id="c", causation_id=None
    ).headers()
    assert "ce_causationid" not in dict(first)


@pytest.mark.parametrize("headers", [(), [("ce_id", b"not a uuid")], [("ce_id", b"\xff")]])
def test_a_message_without_a_usable_id_is_named_by_its_place(headers: list[tuple[str, bytes]]) -> None:
    place = position_id("router.commands.v1", 3, 17)
    assert identity(headers, fallback=place) == (place, str(place))


def test_ids_are_the_same_for_the_same_log_and_differ_otherwise() -> None:
    assert caused_id(COMMAND, "a") == caused_id(COMMAND, "a") != caused_id(COMMAND, "b")
    assert position_id("t", 1, 2) == position_id("t", 1, 2)
    assert len({position_id("t", 1, 2), position_id("t", 2, 1), position_id("u", 1, 2)}) == 3


def test_times_keep_their_nanoseconds() -> None:
    assert rfc3339(1) == "1970-01-01T00:00:00.000000001Z"


def test_a_header_without_a_value_is_empty_and_names_nothing() -> None:
    headers = headers_of([("ce_id", None), ("ce_correlationid", None), ("x", b"y")])
    assert headers == (("ce_id", b""), ("ce_correlationid", b""), ("x", b"y"))
    place = position_id("router.commands.v1", 3, 17)
    assert identity(headers, fallback=place) == (place, str(place))
