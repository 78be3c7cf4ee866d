from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from libs.common.events import ExecutionRecord, RiskBudget, SymbolRisk, Trade
from libs.common.kafka import Record
from libs.common.topics import L2_TRADES, TOPICS
from services.gateway.http.places import Room
from services.gateway.http.problems import ProblemError
from services.gateway.stream.sse import (
    OWN,
    TAKEN,
    Backlog,
    Frame,
    History,
    frame,
    frames_of,
    json_ready,
    start_of,
)
from tests.full_valued import bare, full
from tests.unit.services.gateway.world import NOW, a_book_health, a_book_top

TRADE = Trade(
    venue="binance",
    symbol="BTC-USDT",
    trade_id="77\n",
    price=1.5,
    size=2.0,
    side="buy",
    venue_ts=1_767_225_600_123_999_999,
    received_ts=1_767_225_600_131_000_000,
)


def test_a_message_is_camel_case_in_milliseconds_with_its_type() -> None:
    assert json_ready(TRADE) == {
        "type": "Trade",
        "venue": "binance",
        "symbol": "BTC-USDT",
        "tradeId": "77\n",
        "price": 1.5,
        "size": 2.0,
        "side": "buy",
        "venueTs": 1_767_225_600_123,
        "receivedTs": 1_767_225_600_131,
    }


def test_nested_features_durations_and_absent_times_are_translated_too() -> None:
    top = json_ready(a_book_top(venue_ts=None))
    assert top["venueTs"] is None
    assert isinstance(top["features"], dict)
    assert top["features"]["spreadBps"] == 99.5
    assert "type" not in top["features"]
    assert json_ready(a_book_health(lag_ns=7_900_000))["lagMs"] == 7


def test_messages_in_tuples_and_dicts_are_translated_and_the_keys_of_dicts_stay() -> None:
    record: Any = json_ready(full(ExecutionRecord))
    assert record["fills"][0]["fillId"] == full(ExecutionRecord).fills[0].fill_id
    assert record["orders"][0]["submittedTs"] == full(ExecutionRecord).orders[0].submitted_ts // 1_000_000
    assert record["plan"]["slices"][0]["atTs"] == full(ExecutionRecord).plan.slices[0].at_ts // 1_000_000
    told: Any = json_ready(replace(full(RiskBudget), by_symbol={"a_b": full(SymbolRisk)}))
    assert told["bySymbol"]["a_b"]["weight"] == full(SymbolRisk).weight


def told_by_its_values(value: Any, name: str = "") -> Any:
    """Return how a value is told, by what it is and not by its type's declaration."""
    match value:
        case msgspec.Struct():
            tag = value.__struct_config__.tag
            told = {} if tag is None else {"type": tag}
            for each in value.__struct_fields__:
                words = re.sub("_ns$", "_ms", each).split("_")
                called = words[0] + "".join(word.capitalize() for word in words[1:])
                told[called] = told_by_its_values(getattr(value, each), each)
            return told
        case tuple():
            return [told_by_its_values(each) for each in value]
        case dict():
            return {key: told_by_its_values(each) for key, each in value.items()}
        case int() if name == "ts" or name.endswith(("_ts", "_ns")):
            return value // 1_000_000
        case _:
            return value


@pytest.mark.parametrize(
    "kind", sorted({each for topic in TOPICS.values() for each in topic.events}, key=str)
)
def test_every_message_is_told_as_one_that_looks_at_every_value_would(kind: type[msgspec.Struct]) -> None:
    for message in (full(kind), bare(kind)):
        told = msgspec.json.encode(json_ready(message))
        assert json.loads(told) == json.loads(msgspec.json.encode(told_by_its_values(message)))


def test_a_frame_is_one_event_whose_data_is_one_line() -> None:
    text = frame("l2.trades.v1", 3, 42, b"binance:BTC-USDT", json_ready(TRADE)).data.decode()
    event, event_id, data, *end = text.split("\n")
    assert event == "event: l2.trades.v1"
    assert event_id == "id: l2.trades.v1:3:42"
    assert json.loads(data.removeprefix("data: "))["tradeId"] == "77\n"
    assert end == ["", ""]


def test_a_deleted_key_is_a_tombstone_even_if_it_is_no_text() -> None:
    deleted = Record(
        topic=L2_TRADES, partition=0, offset=1, timestamp_ms=0, key=b"a:\xff", event=None, value=None
    )
    (shown,) = frames_of([deleted])
    assert b'data: {"type":"Tombstone","key":"a:\xef\xbf\xbd"}\n' in shown.data


def a_backlog(
    max_messages: int, max_bytes: int, room: Room | None = None, address: str = "somebody"
) -> Backlog:
    return Backlog(max_messages, max_bytes, Room(0, 0) if room is None else room, address)


def test_a_backlog_drops_what_finds_no_room_and_says_so_where_it_is_missing() -> None:
    backlog = a_backlog(max_messages=2, max_bytes=1000)
    for data in (b"1", b"2", b"3", b"4"):
        backlog.push(data)
    assert backlog.take() == b'12event: dropped\ndata: {"count":2}\n\n'
    backlog.push(b"5")
    assert backlog.take() == b"5"
    assert backlog.take() == b""
    assert backlog.dropped == 2


def test_a_message_after_a_gap_comes_after_the_word_about_it() -> None:
    backlog = a_backlog(max_messages=10, max_bytes=10)
    for data in (b"12345678", b"too long", b"9"):
        backlog.push(data)
    assert backlog.take() == b'12345678event: dropped\ndata: {"count":1}\n\n9'


def test_slow_clients_share_room_by_address_and_each_has_a_little_in_any_case() -> None:
    room = Room(most=4 * OWN, most_of_address=2 * OWN)
    one, two, other = (a_backlog(9, 9 * OWN, room, address) for address in ("a", "a", "b"))
    half = b"x" * (OWN // 2)
    for _ in range(9):
        one.push(half)
    assert one.dropped == 5  # its address has its share
    two.push(half)
    two.push(half)
    two.push(half)
    assert two.dropped == 1  # its own little is there
    for _ in range(9):
        other.push(half)
    assert other.dropped == 7  # all that is shared is waiting: its own is left
    assert room.waiting.total == 4 * OWN
    one.clear()
    assert (room.waiting.of("a"), room.waiting.total) == (OWN, 2 * OWN)
    other.push(half)
    assert other.dropped == 7
    for each in (two, other):
        while each.take():
            pass
    assert (room.waiting.total, len(room.waiting)) == (0, 0)


def test_a_client_is_handed_a_bounded_piece_of_what_waits_and_all_of_it_in_order() -> None:
    backlog = a_backlog(1_000, 9 * TAKEN, Room(9 * TAKEN, 9 * TAKEN))
    for number in range(100):
        backlog.push(b"%06d" % number * 2_000)
    pieces = []
    while data := backlog.take():
        pieces.append(data)
    assert max(map(len, pieces)) < TAKEN + 12_000
    assert b"".join(pieces) == b"".join(b"%06d" % number * 2_000 for number in range(100))


def a_frame(number: int, size: int = 10) -> Frame:
    return Frame("t", b"k", f"t:0:{number}", b"x" * size)


def test_the_history_gives_what_came_after_an_id_and_none_where_it_forgot() -> None:
    history = History(max_bytes=30)
    for number in range(5):
        history.append(a_frame(number))
    assert history.after("t:0:4", 0) == []
    assert history.after("t:0:2", 0) == [a_frame(3), a_frame(4)]
    assert history.after("t:0:1", 0) is None
    history.append(a_frame(9, size=31))
    assert history.after("t:0:9", 0) is None


def test_the_history_gives_nothing_after_an_id_from_before_a_moment() -> None:
    history = History(max_bytes=30)
    for number in range(3):
        history.append(a_frame(number))
    since = history.count
    assert history.after("t:0:2", since) is None
    history.append(a_frame(3))
    history.append(a_frame(4))  # two are forgotten
    assert history.after("t:0:2", since) is None
    assert history.after("t:0:3", since) == [a_frame(4)]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (None, "end"),
        ("end", "end"),
        ("beginning", "beginning"),
        ("-10m", NOW - 600 * 1_000_000_000),
        ("-1d", NOW - 86_400 * 1_000_000_000),
        ("1767225600123", 1_767_225_600_123_000_000),
        ("-999999d", 0),
    ],
)
def test_a_start_is_a_place_a_span_or_a_time(text: str | None, start: object) -> None:
    assert start_of(text, NOW) == start


@pytest.mark.parametrize("text", ["", "now", "-10", "10m", "-1w", "1.5", "-10m\n", "١٢٣٤٥٦٧٨٩٠"])
def test_any_other_start_is_422(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        start_of(text, NOW)
    assert caught.value.status == 422
    assert caught.value.document.errors[0].field == "from"
