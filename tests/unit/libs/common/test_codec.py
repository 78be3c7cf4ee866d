from __future__ import annotations

import msgpack
import pytest

from libs.common.codec import UndecodableMessageError, UnknownMessageError, decode, encode
from libs.common.events import BookDelta, BookState, Subscribed
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, L2_SUBSCRIPTIONS

A_SUBSCRIPTION = {"type": "Subscribed", "venue": "binance", "symbol": "BTC-USDT", "requested_ts": 1}


def test_the_wire_is_a_plain_map_that_any_msgpack_client_reads() -> None:
    delta = BookDelta(
        venue="binance",
        symbol="BTC-USDT",
        epoch=1,
        seq=2,
        venue_seq=None,
        bids=((1.5, 0.0),),
        asks=(),
        venue_ts=None,
        received_ts=3,
    )
    wire = msgpack.unpackb(encode(delta))
    assert wire["type"] == "BookDelta"
    assert wire["bids"] == [[1.5, 0.0]]
    assert wire["venue_seq"] is None


def test_any_msgpack_client_can_write() -> None:
    assert decode(L2_SUBSCRIPTIONS, msgpack.packb(A_SUBSCRIPTION)) == Subscribed(
        venue="binance", symbol="BTC-USDT", requested_ts=1
    )


def test_unknown_fields_pass_so_that_a_version_can_grow() -> None:
    grown = A_SUBSCRIPTION | {"reason_of_v1_1": {"nested": [1, 2]}}
    assert decode(L2_SUBSCRIPTIONS, msgpack.packb(grown)) == decode(
        L2_SUBSCRIPTIONS, msgpack.packb(A_SUBSCRIPTION)
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"{not msgpack}",
        msgpack.packb(A_SUBSCRIPTION)[:-1],
        msgpack.packb([]),
        msgpack.packb(None),
        msgpack.packb(A_SUBSCRIPTION | {"type": "BookDelta"}),
        msgpack.packb({k: v for k, v in A_SUBSCRIPTION.items() if k != "venue"}),
        msgpack.packb(A_SUBSCRIPTION | {"requested_ts": "1"}),
        msgpack.packb(A_SUBSCRIPTION | {"requested_ts": 1.5}),
        msgpack.packb(A_SUBSCRIPTION | {"venue": None}),
        msgpack.packb(A_SUBSCRIPTION | {"source": "elsewhere"}),
        msgpack.packb(A_SUBSCRIPTION | {"venue": b"\xff"}),
        msgpack.packb(A_SUBSCRIPTION) + b"\x00",
    ],
)
def test_what_is_no_message_of_the_topic_is_refused_by_name(value: bytes) -> None:
    with pytest.raises(UndecodableMessageError, match=r"^l2\.subscriptions\.v1: "):
        decode(L2_SUBSCRIPTIONS, value)


def test_absurd_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(UndecodableMessageError):
        decode(L2_BOOK_DELTAS, b"\x91" * 1_000_000)


def test_a_state_outside_the_table_is_refused() -> None:
    health = {
        "type": "BookHealth",
        "venue": "binance",
        "symbol": "BTC-USDT",
        "state": BookState.LIVE,
        "epoch": 0,
        "seq": 0,
        "reason": "",
        "since_ts": 0,
        "ts": 0,
    }
    decode(L2_BOOK_HEALTH, msgpack.packb(health))
    with pytest.raises(UnknownMessageError):
        decode(L2_BOOK_HEALTH, msgpack.packb(health | {"state": "PERFECT"}))


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"type": "BookMood"}, True),
        ({"source": "elsewhere"}, True),
        ({"requested_ts": "1"}, False),
        ({"type": 1}, False),
    ],
)
def test_what_another_version_may_know_is_told_apart_from_what_is_wrong(
    changes: dict[str, object],
    unknown: bool,  # noqa: FBT001 -- an expectation
) -> None:
    with pytest.raises(UndecodableMessageError) as caught:
        decode(L2_SUBSCRIPTIONS, msgpack.packb(A_SUBSCRIPTION | changes))
    assert isinstance(caught.value, UnknownMessageError) is unknown


def test_a_field_that_a_newer_version_has_added_is_passed_over() -> None:
    assert decode(L2_SUBSCRIPTIONS, msgpack.packb(A_SUBSCRIPTION | {"mood": "calm"}))
