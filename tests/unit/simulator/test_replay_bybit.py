"""Bybit in a replay, on recordings and frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from simulator.recordings import Frame, RestReply, open_recording
from simulator.replay_bybit import BybitReplay
from simulator.replay_catalogue import catalogue_of
from simulator.replay_venue import Delivery
from tests import recordings
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import a_session, text

if TYPE_CHECKING:
    from tests.unit.simulator.replay_builders import Levels

SPOT = "wss://stream.bybit.com/v5/public/spot"
LINEAR = "wss://stream.bybit.com/v5/public/linear"
TOPIC = "orderbook.50.BTCUSDT"
SUBSCRIBE = text({"op": "subscribe", "args": [TOPIC], "req_id": "5"})


def a_book_frame(
    kind: str, update_id: int, bids: Levels = (), asks: Levels = (), topic: str = TOPIC, url: str = SPOT
) -> Frame:
    data = {"s": topic.rpartition(".")[2], "b": bids, "a": asks, "u": update_id, "seq": 9}
    return Frame(0, "1", url, text({"topic": topic, "ts": 3, "type": kind, "data": data, "cts": 2}))


SNAPSHOT = a_book_frame("snapshot", 7, [("100.10", "2.50"), ("99", "3")], [("101", "1")])


def played(*frames: Frame) -> BybitReplay:
    venue = BybitReplay()
    for frame in frames:
        venue.learn(frame)
    for frame in frames:
        venue.play(frame)
    return venue


@needs_recordings
@pytest.mark.parametrize(
    ("path", "books"),
    [
        (recordings.BYBIT, ["bybit-200:BTC-USDT", "bybit-200:ETH-USDT"]),
        (recordings.BYBIT_FIXTURE, ["bybit:BTC-USDT"]),
    ],
    ids=["200 levels", "50 levels"],
)
def test_every_spot_book_of_a_recording_can_be_replayed_under_the_id_of_its_depth(
    path: object, books: list[str]
) -> None:
    catalogue = catalogue_of([str(path)])
    assert catalogue.books() == books
    assert all("/linear" in url or "api.bybit.com" in url for url in catalogue.foreign)


@needs_recordings
def test_a_late_snapshot_has_the_number_of_the_last_delta_and_a_full_window() -> None:
    catalogue = catalogue_of([str(recordings.BYBIT)])
    subscribe = text({"op": "subscribe", "args": ["orderbook.200.ETHUSDT"]})
    checked = 0
    for _, record in catalogue.records_in_order():
        found = catalogue.play(record)
        if found is None or '"orderbook.200.ETHUSDT"' not in record.text:
            continue
        answer = found[0].request(a_session(), subscribe, 0)
        late, last = (msgspec.json.decode(frame) for frame in (answer.frames[1], record.text))
        assert (late["data"]["u"], late["data"]["seq"]) == (last["data"]["u"], last["data"]["seq"])
        assert (late["ts"], late["cts"]) == (last["ts"], last["cts"])
        assert (len(late["data"]["b"]), len(late["data"]["a"])) == (200, 200)
        checked += 1
    assert checked == 250


def test_the_address_tells_spot_from_linear() -> None:
    venue = BybitReplay()
    assert venue.owns(SPOT)
    assert venue.owns("ws://127.0.0.1:5100/bybit/v5/public/spot")
    assert not venue.owns(LINEAR)


def test_a_frame_is_delivered_as_recorded() -> None:
    venue = played(SNAPSHOT)
    assert venue.play(SNAPSHOT) == Delivery(TOPIC, SNAPSHOT.text, SNAPSHOT.text)
    assert venue.is_book(TOPIC)
    ack = Frame(0, "1", SPOT, '{"success":true,"ret_msg":"subscribe","conn_id":"x","op":"subscribe"}')
    assert venue.play(ack) is None
    assert venue.play(RestReply(0, SPOT, "{}")) is None


def test_a_delta_changes_the_book_and_its_number() -> None:
    truth = played(SNAPSHOT, a_book_frame("delta", 8, [("99", "0")], [("100.9", "4")])).truth("BTC-USDT")
    assert truth is not None
    assert (truth.venue_seq, truth.bids) == (8, ((100.1, 2.5),))
    assert truth.asks == ((100.9, 4.0), (101.0, 1.0))


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_number_one_overwrites_the_book(kind: str) -> None:
    truth = played(SNAPSHOT, a_book_frame(kind, 1, [("98", "1")], [("99", "1")])).truth("BTC-USDT")
    assert truth is not None
    assert (truth.venue_seq, truth.bids, truth.asks) == (1, ((98.0, 1.0),), ((99.0, 1.0),))


def test_who_is_there_from_the_start_is_acknowledged_and_gets_the_recorded_snapshot_only() -> None:
    venue = BybitReplay()
    venue.learn(SNAPSHOT)
    answer = venue.request(a_session(), SUBSCRIBE, 0)
    assert answer.frames == (
        '{"success":true,"ret_msg":"subscribe","conn_id":"00000007","req_id":"5","op":"subscribe"}',
    )
    assert answer.subscribed == (TOPIC,)


def test_a_late_subscriber_gets_the_book_in_the_recorded_digits() -> None:
    answer = played(SNAPSHOT).request(a_session(), SUBSCRIBE, 0)
    assert msgspec.json.decode(answer.frames[1]) == msgspec.json.decode(SNAPSHOT.text)


def test_books_are_unknown_after_a_break_until_the_next_recorded_snapshot() -> None:
    venue = played(SNAPSHOT)
    venue.forget_books()
    assert venue.truth("BTC-USDT") is None
    assert len(venue.request(a_session(), SUBSCRIBE, 0).frames) == 1
    venue.play(SNAPSHOT)
    assert venue.truth("BTC-USDT") is not None


def test_trades_of_a_recorded_book_may_be_asked_for_although_none_were_recorded() -> None:
    request = text({"op": "subscribe", "args": [TOPIC, "publicTrade.BTCUSDT"]})
    answer = played(SNAPSHOT).request(a_session(), request, 0)
    assert answer.subscribed == (TOPIC, "publicTrade.BTCUSDT")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["orderbook.200.BTCUSDT"], "error:handler not found,topic:orderbook.200.BTCUSDT"),
        (["publicTrade.ETHUSDT"], "error:handler not found,topic:publicTrade.ETHUSDT"),
        ([TOPIC] * 11, "args size >10"),
        ([], "error:args is empty"),
    ],
)
def test_it_refuses_as_bybit_does(args: list[str], words: str) -> None:
    answer = played(SNAPSHOT).request(a_session(), text({"op": "subscribe", "args": args}), 0)
    refusal = msgspec.json.decode(answer.frames[0])
    assert (refusal["success"], refusal["ret_msg"]) == (False, words)
    assert not answer.subscribed


def test_it_subscribes_once_and_unsubscribes() -> None:
    venue, session = played(SNAPSHOT), a_session()
    session.topics[TOPIC] = None
    assert f"already subscribed,topic:{TOPIC}" in venue.request(session, SUBSCRIBE, 0).frames[0]
    assert venue.request(session, SUBSCRIBE.replace('"subscribe"', '"unsubscribe"'), 0).unsubscribed == (
        TOPIC,
    )


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ('{"op":"ping"}', '{"success":true,"ret_msg":"pong","conn_id":"00000007","op":"ping"}'),
        ("{", "Failed to decode incoming data"),
        ('{"op":"dance"}', '"success":false'),
    ],
)
def test_other_requests_are_answered(sent: str, answer: str) -> None:
    assert answer in BybitReplay().request(a_session(), sent, 0).frames[0]


def test_books_of_two_depths_are_refused() -> None:
    venue = BybitReplay()
    venue.learn(SNAPSHOT)
    with pytest.raises(msgspec.ValidationError, match="50 and of 200 levels"):
        venue.learn(a_book_frame("snapshot", 7, topic="orderbook.200.BTCUSDT"))


def test_a_pair_of_no_canonical_name_is_noted() -> None:
    venue = BybitReplay()
    venue.learn(a_book_frame("snapshot", 7, topic="orderbook.50.NOPE"))
    assert (venue.unnamed, venue.symbols()) == ({"NOPE"}, ())


def test_rest_has_the_time_and_no_candles() -> None:
    venue = BybitReplay()
    reply = venue.rest("/bybit/v5/market/kline", {"symbol": "BTCUSDT"}, 0)
    assert '"list":[]' in getattr(reply, "body", "")
    reply = venue.rest("/bybit/v5/market/time", {}, 5 * 10**9)
    assert '"timeSecond":"5"' in getattr(reply, "body", "")


@needs_recordings
def test_the_recorded_frames_of_a_topic_are_all_delivered() -> None:
    venue = BybitReplay()
    records = [record for record in open_recording(recordings.BYBIT).records() if venue.owns(record.url)]
    for record in records:
        venue.learn(record)
    deliveries = [played for played in map(venue.play, records) if isinstance(played, Delivery)]
    assert sum(d.topic.startswith("orderbook.200.") for d in deliveries) == 299 + 249 + 2
