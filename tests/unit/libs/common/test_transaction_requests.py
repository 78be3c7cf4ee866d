"""The requests are what aiokafka's own types of fields encode, and the answers what they would decode."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
    UnsignedVarInt32,
)

from libs.common import transaction_requests as requests

NO_TAGS: Final[dict[int, bytes]] = {}
TAGS: Final = ("tags", TaggedFields)
HOME, AWAY = TopicPartition("told.v1", 3), TopicPartition("state.v1", 0)


def topics(*fields: tuple[str, Any]) -> CompactArray:
    partitions = CompactArray(("partition", Int32), *fields, TAGS)
    return CompactArray(("topic", CompactString()), ("partitions", partitions), TAGS)


PRODUCE: Final = Schema(
    ("transactional_id", CompactString()),
    ("acks", Int16),
    ("timeout_ms", Int32),
    ("topics", topics(("records", CompactBytes))),
    TAGS,
)
PRODUCED: Final = Schema(
    (
        "topics",
        topics(
            ("error_code", Int16),
            ("base_offset", Int64),
            ("append_time", Int64),
            ("log_start", Int64),
            ("errors", CompactArray(("index", Int32), ("message", CompactString()), TAGS)),
            ("message", CompactString()),
        ),
    ),
    ("throttle_ms", Int32),
    TAGS,
)
OFFSETS: Final = Schema(
    ("transactional_id", CompactString()),
    ("group", CompactString()),
    ("producer_id", Int64),
    ("producer_epoch", Int16),
    ("generation", Int32),
    ("member", CompactString()),
    ("instance", CompactString()),
    ("topics", topics(("offset", Int64), ("leader_epoch", Int32), ("metadata", CompactString()))),
    TAGS,
)
COMMITTED: Final = Schema(("throttle_ms", Int32), ("topics", topics(("error_code", Int16))), TAGS)
END: Final = Schema(
    ("transactional_id", CompactString()),
    ("producer_id", Int64),
    ("producer_epoch", Int16),
    ("committed", Boolean),
    TAGS,
)
ENDED: Final = Schema(
    ("throttle_ms", Int32), ("error_code", Int16), ("producer_id", Int64), ("producer_epoch", Int16), TAGS
)
FEATURES: Final = Schema(
    ("error_code", Int16),
    ("keys", CompactArray(("key", Int16), ("lowest", Int16), ("highest", Int16), TAGS)),
    ("throttle_ms", Int32),
)
FINALIZED: Final = CompactArray(("name", CompactString()), ("highest", Int16), ("lowest", Int16), TAGS)


@pytest.mark.parametrize("size", [0, 126, 127, 128, 16_383, 70_000])
def test_a_produce_holds_a_batch_per_partition_under_its_topic(size: int) -> None:
    request = requests.produce("router-3", {HOME: b"x" * size, AWAY: bytearray(b"state")}, 40_000)
    written = [
        ("told.v1", [(3, b"x" * size, NO_TAGS)], NO_TAGS),
        ("state.v1", [(0, b"state", NO_TAGS)], NO_TAGS),
    ]
    assert request.encode() == PRODUCE.encode(("router-3", -1, 40_000, written, NO_TAGS))
    assert (request.key, request.version) == (0, 12)


def test_the_answer_to_a_produce_is_an_error_code_per_partition() -> None:
    refused = [(0, "too old", NO_TAGS), (1, None, NO_TAGS)]
    answer = PRODUCED.encode(
        (
            [
                ("told.v1", [(3, 0, 7, -1, 0, [], None, NO_TAGS)], NO_TAGS),
                ("state.v1", [(0, 87, -1, -1, -1, refused, "of records", NO_TAGS)], NO_TAGS),
            ],
            0,
            NO_TAGS,
        )
    )
    assert requests.produce("router-3", {}, 1).read(BytesIO(answer)) == {HOME: 0, AWAY: 87}


def test_an_offset_commit_names_no_member_and_its_answer_is_an_error_code_per_partition() -> None:
    request = requests.commit_offsets("router-3", "router", (2**40, 7), {HOME: 2**33})
    written = [("told.v1", [(3, 2**33, -1, "", NO_TAGS)], NO_TAGS)]
    fields = ("router-3", "router", 2**40, 7, -1, "", None, written, NO_TAGS)
    assert request.encode() == OFFSETS.encode(fields)
    assert (request.key, request.version) == (28, 5)
    answer = COMMITTED.encode((0, [("told.v1", [(3, 51, NO_TAGS)], NO_TAGS)], NO_TAGS))
    assert request.read(BytesIO(answer)) == {HOME: 51}


def test_an_end_commits_and_is_told_the_next_id_and_epoch() -> None:
    request = requests.commit("router-3", (2**40, 32_766))
    assert request.encode() == END.encode(("router-3", 2**40, 32_766, True, NO_TAGS))
    assert (request.key, request.version) == (26, 5)
    answer = ENDED.encode((0, 0, 2**40 + 1, 0, NO_TAGS))
    assert request.read(BytesIO(answer)) == requests.Ended(0, 2**40 + 1, 0)


def finalized(levels: dict[str, int]) -> bytes:
    """Return an answer of ``ApiVersions`` 3 with these features agreed on."""
    agreed = FINALIZED.encode([(name, level, 0, NO_TAGS) for name, level in levels.items()])
    supported = b"\x01"  # none
    tagged = [(0, supported), (1, Int64.encode(5)), (2, agreed)]
    tags = b"".join(bytes([tag]) + UnsignedVarInt32.encode(len(value)) + value for tag, value in tagged)
    known: bytes = FEATURES.encode((0, [(0, 0, 13, NO_TAGS), (26, 0, 5, NO_TAGS)], 0))
    return known + bytes([len(tagged)]) + tags


def test_the_features_are_those_that_the_whole_cluster_has_agreed_on() -> None:
    levels = {"metadata.version": 29, "transaction.version": 2}
    assert requests.features().read(BytesIO(finalized(levels))) == levels


def test_a_broker_that_names_no_features_has_agreed_on_none() -> None:
    keys_only = FEATURES.encode((0, [], 0)) + b"\x00"
    assert requests.features().read(BytesIO(keys_only)) == {}
    in_version_0 = Int16.encode(35) + Int32.encode(1) + Int16.encode(18) * 3
    assert requests.features().read(BytesIO(in_version_0)) == {}


def test_headers_are_those_of_flexible_versions_but_for_the_answer_that_older_brokers_give_too() -> None:
    request = requests.commit("router-3", (1, 2))
    header = Schema(("key", Int16), ("version", Int16), ("correlation", Int32), ("client", String()), TAGS)
    assert request.build_request_header(9, "me").encode() == header.encode((26, 5, 9, "me", NO_TAGS))
    tagged = BytesIO(Int32.encode(9) + b"\x01\x00\x02ab" + b"body")
    assert request.parse_response_header(tagged).correlation_id == 9
    assert tagged.read() == b"body"
    plain = BytesIO(Int32.encode(9) + b"body")
    assert requests.features().parse_response_header(plain).correlation_id == 9
    assert plain.read() == b"body"
