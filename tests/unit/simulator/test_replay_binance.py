"""Binance's side of a replay, frame by frame."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from simulator.recordings import Frame, RestReply
from simulator.replay_binance import BinanceReplay
from simulator.replay_catalogue import catalogue_of
from simulator.replay_venue import Awaiting, Delivery, HttpReply, Released, ReplayVenue
from tests import recordings
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import a_binance_diff, a_binance_snapshot, a_session, text

DEPTH = "/binance/api/v3/depth"


def learnt(*records: Frame | RestReply) -> BinanceReplay:
    venue = BinanceReplay()
    for record in records:
        venue.learn(record)
    return venue


def played(*records: Frame | RestReply) -> BinanceReplay:
    venue = learnt(*records)
    for record in records:
        venue.play(record)
    return venue


def depth(venue: ReplayVenue, **query: str) -> HttpReply | Awaiting:
    return venue.rest(DEPTH, {"symbol": "BTCUSDT"} | query, 0)


def body(answer: HttpReply | Awaiting) -> dict[str, Any]:
    assert isinstance(answer, HttpReply)
    return msgspec.json.decode(answer.body, type=dict[str, Any])


def test_a_frame_is_delivered_as_recorded_and_bare_is_its_data() -> None:
    frame = a_binance_diff(1, 2, [("1.0", "2.0")])
    delivery = learnt(frame).play(frame)
    assert isinstance(delivery, Delivery)
    assert delivery.topic == "btcusdt@depth@100ms"
    assert delivery.wrapped == frame.text
    assert frame.text == f'{{"stream":"btcusdt@depth@100ms","data":{delivery.bare}}}'


def test_a_frame_of_a_raw_connection_gets_the_envelope_of_its_stream() -> None:
    event = '{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'
    frame = Frame(0, "1", "wss://stream.binance.com:9443/ws/btcusdt@bookTicker", event)
    assert learnt(frame).play(frame) == Delivery(
        "btcusdt@bookTicker", f'{{"stream":"btcusdt@bookTicker","data":{event}}}', event
    )


def test_what_the_recorder_was_answered_belongs_to_nobody() -> None:
    frame = Frame(0, "1", "wss://stream.binance.com:9443/ws/btcusdt@trade", '{"result":null,"id":1}')
    assert learnt(frame).play(frame) is None


def test_a_snapshot_still_ahead_is_awaited_and_released_byte_for_byte() -> None:
    reply = a_binance_snapshot(5, [("1.0", "1.0")])
    venue = learnt(a_binance_diff(5, 6), reply)
    assert depth(venue) == Awaiting("BTCUSDT")
    assert venue.play(reply) == Released("BTCUSDT", reply.text)


def test_a_later_request_gets_the_book_as_of_the_last_frame_sent() -> None:
    venue = played(
        a_binance_diff(4, 6, [("99.0", "9.0"), ("98.0", "0.0")]),
        a_binance_snapshot(5, [("100.00", "1.00"), ("98.0", "5.0")], [("101.00", "2.00")]),
        a_binance_diff(7, 8, [("100.00", "0.00"), ("97.50", "3.10")], [("102.00", "1.00")]),
    )
    assert body(depth(venue)) == {
        "lastUpdateId": 8,
        "bids": [["99.0", "9.0"], ["97.50", "3.10"]],
        "asks": [["101.00", "2.00"], ["102.00", "1.00"]],
    }
    assert body(depth(venue, limit="1"))["asks"] == [["101.00", "2.00"]]


def test_an_update_older_than_the_snapshot_changes_nothing() -> None:
    venue = played(a_binance_snapshot(10, [("100", "1")]), a_binance_diff(8, 10, [("100", "0")]))
    assert body(depth(venue))["lastUpdateId"] == 10
    assert body(depth(venue))["bids"] == [["100", "1"]]


def test_a_gap_in_the_recording_makes_the_book_unknown_until_its_next_snapshot() -> None:
    records = (
        a_binance_snapshot(5, [("100", "1")]),
        a_binance_diff(8, 9, [("99", "1")]),
        a_binance_snapshot(9, [("98", "1")]),
        a_binance_diff(10, 10, [("97", "1")]),
    )
    venue = learnt(*records)
    for record in records[:2]:
        venue.play(record)
    assert venue.truth("BTC-USDT") is None
    assert depth(venue) == Awaiting("BTCUSDT")
    for record in records[2:]:
        venue.play(record)
    assert body(depth(venue)) == {"lastUpdateId": 10, "bids": [["98", "1"], ["97", "1"]], "asks": []}


def test_a_book_without_a_snapshot_is_not_offered_and_explained() -> None:
    venue = played(a_binance_diff(1, 2))
    answer = depth(venue)
    assert isinstance(answer, HttpReply)
    assert answer.status == 503
    assert "has no snapshot of this symbol" in answer.body
    assert venue.symbols() == ()


def test_a_recorded_refusal_is_no_snapshot() -> None:
    refusal = a_binance_snapshot(1)
    refusal = RestReply(0, refusal.url, '{"code":-1003,"msg":"Too many requests."}')
    venue = played(a_binance_diff(1, 2), refusal)
    assert venue.symbols() == ()


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"symbol": "FOOBAR"}, 400, -1121),
        ({}, 400, -1102),
        ({"symbol": "BTCUSDT", "limit": "many"}, 400, -1100),
        ({"symbol": "BTCUSDT", "limit": "-5"}, 400, -1100),
        ({"symbol": "BTCUSDT", "limit": "9" * 5000}, 400, -1100),
    ],
)
def test_a_bad_request_is_refused_as_binance_does(query: dict[str, str], status: int, code: int) -> None:
    answer = played(a_binance_diff(1, 2), a_binance_snapshot(2)).rest(DEPTH, query, 0)
    assert isinstance(answer, HttpReply)
    assert answer.status == status
    assert body(answer)["code"] == code


def test_subscriptions_are_acknowledged_listed_and_dropped() -> None:
    venue, session = learnt(a_binance_diff(1, 2)), a_session()
    streams = ["btcusdt@depth@100ms", "btcusdt@trade"]
    answer = venue.request(session, text({"method": "SUBSCRIBE", "params": streams, "id": 3}), 0)
    assert answer.frames == ('{"result":null,"id":3}',)
    assert answer.subscribed == tuple(streams)
    session.topics |= dict.fromkeys(streams)
    assert venue.request(session, '{"method":"LIST_SUBSCRIPTIONS","id":4}', 0).frames == (
        '{"result":["btcusdt@depth@100ms","btcusdt@trade"],"id":4}',
    )
    dropped = venue.request(session, text({"method": "UNSUBSCRIBE", "params": streams[:1], "id": "x"}), 0)
    assert dropped.unsubscribed == ("btcusdt@depth@100ms",)


@pytest.mark.parametrize(("sent", "code"), [("{", 3), ('{"id":1}', 2), ('{"method":"DANCE","id":1}', 2)])
def test_a_bad_message_is_answered_with_its_error(sent: str, code: int) -> None:
    answer = BinanceReplay().request(a_session(), sent, 0)
    assert msgspec.json.decode(answer.frames[0])["code"] == code
    assert not answer.subscribed


@pytest.mark.parametrize(
    ("path", "query", "streams", "wrapped"),
    [
        ("/binance/stream", {"streams": "a@trade/b@trade"}, ("a@trade", "b@trade"), True),
        ("/binance/stream", {}, (), True),
        ("/binance/ws", {}, (), False),
        ("/binance/ws/a@trade", {}, ("a@trade",), False),
    ],
)
def test_the_address_names_the_streams_and_the_envelope(
    path: str, query: dict[str, str], streams: tuple[str, ...], *, wrapped: bool
) -> None:
    session = a_session()
    assert BinanceReplay().connect(session, path, query).subscribed == streams
    assert session.wrapped is wrapped


@needs_recordings
def test_the_book_equals_the_venues_own_best_quote_wherever_both_have_the_same_id() -> None:
    paths = [str(path) for path in recordings.BINANCE_SPOT]
    catalogue = catalogue_of(paths)
    quotes = {}
    for _, record in catalogue.records_in_order():
        if "@bookTicker" in record.text:
            quote = msgspec.json.decode(record.text)["data"]
            quotes[quote["u"]] = [[quote["b"], quote["B"]], [quote["a"], quote["A"]]]
    equal = 0
    for _, record in catalogue.records_in_order():
        played = catalogue.play(record)
        if played is not None and '"e":"depthUpdate"' in record.text:
            expected = quotes.get(msgspec.json.decode(record.text)["data"]["u"])
            answer = None if expected is None else depth(played[0], limit="1")
            if answer is not None and not isinstance(answer, Awaiting):
                book = body(answer)
                assert [*book["bids"], *book["asks"]] == expected
                equal += 1
    assert equal == 1072


def test_only_streams_of_diffs_are_books() -> None:
    ticker = Frame(0, "1", "wss://stream.binance.com:9443/stream", '{"stream":"btcusdt@depth20","data":{}}')
    venue = learnt(a_binance_diff(1, 2), ticker)
    assert venue.is_book("btcusdt@depth@100ms")
    assert not venue.is_book("btcusdt@depth20")
    assert not venue.is_book("ethusdt@depth@100ms")


def test_a_symbol_that_no_canonical_name_fits_is_reported_and_not_offered() -> None:
    reply = RestReply(0, "https://api.binance.com/api/v3/depth?symbol=BTCTRY", a_binance_snapshot(1).text)
    venue = learnt(reply)
    assert venue.unnamed == {"BTCTRY"}
    assert venue.play(reply) is None


@pytest.mark.parametrize("spelling", ["BTCFDUSD", "BTCBUSD", "DOTTUSD"])
def test_a_pair_in_a_dollar_of_its_own_is_not_read_as_one_in_dollars(spelling: str) -> None:
    assert BinanceReplay().read_symbol(spelling) == f"{spelling[:3]}-{spelling[3:]}"
