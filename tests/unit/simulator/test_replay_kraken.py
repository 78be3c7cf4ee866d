"""Both of Kraken's protocols in a replay, on recordings and frame by frame."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import pytest

from simulator.recordings import open_recording
from simulator.replay_catalogue import catalogue_of
from simulator.replay_kraken_v1 import KrakenV1Replay
from simulator.replay_kraken_v2 import KrakenV2Replay
from simulator.replay_venue import Delivery, HttpReply
from tests import recordings
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import a_kraken_v1_frame, a_kraken_v2_book, a_session, text

if TYPE_CHECKING:
    from simulator.recordings import Frame
    from simulator.replay_venue import ReplayVenue

V1_SNAPSHOT = a_kraken_v1_frame(
    {"as": [["101.0", "1.0", "1.5"]], "bs": [["100.0", "2.0", "1.5"], ["99.0", "3.0", "1.5"]]}
)
V1_SUBSCRIBE = text(
    {"event": "subscribe", "pair": ["XBT/CHF"], "subscription": {"name": "book", "depth": 10}, "reqid": 5}
)
V2_SNAPSHOT = a_kraken_v2_book("snapshot", [("100.0", "2.00")], [("101.0", "1.00")])
V2_SUBSCRIBE = text(
    {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}, "req_id": 5}
)


def played(venue: ReplayVenue, *frames: Frame) -> ReplayVenue:
    for frame in frames:
        venue.learn(frame)
    for frame in frames:
        venue.play(frame)
    return venue


def learnt(venue: ReplayVenue, *frames: Frame) -> ReplayVenue:
    for frame in frames:
        venue.learn(frame)
    return venue


def crc(rows: list[list[str]]) -> int:
    digits = "".join(str(int(number.replace(".", ""))) for row in rows for number in row[:2])
    return zlib.crc32(digits.encode())


@needs_recordings
def test_a_late_v1_snapshot_has_the_checksum_of_the_last_update_sent() -> None:
    catalogue = catalogue_of([str(recordings.KRAKEN_V1)])
    checked = 0
    for number, (_, record) in enumerate(catalogue.records_in_order()):
        played = catalogue.play(record)
        if number % 40 or played is None or '"c":"' not in record.text or ',"book-1000"' not in record.text:
            continue
        venue = played[0]
        *_, last, _, pair = msgspec.json.decode(record.text)
        subscription = {"name": "book", "depth": 1000}
        request = {"event": "subscribe", "pair": [pair], "subscription": subscription}
        snapshot = msgspec.json.decode(venue.request(a_session(), text(request), 0).frames[1])
        assert crc(snapshot[1]["as"][:10] + snapshot[1]["bs"][:10]) == int(last["c"])
        assert max(len(snapshot[1]["as"]), len(snapshot[1]["bs"])) <= 1000
        checked += 1
    assert checked > 90


@needs_recordings
def test_a_late_v2_snapshot_has_the_checksum_and_digits_of_the_last_update_sent() -> None:
    venue = KrakenV2Replay()
    records = list(open_recording(recordings.KRAKEN_V2).records())
    for record in records:
        venue.learn(record)
    checksums = []
    for record in records:
        venue.play(record)
        if '"checksum"' in record.text:
            frames = venue.request(a_session(), V2_SUBSCRIBE, 0).frames
            recorded = msgspec.json.decode(record.text)["data"][0]
            (late,) = msgspec.json.decode(frames[1])["data"]
            assert late["checksum"] == recorded["checksum"]
            assert late["timestamp"] == recorded["timestamp"]
            checksums.append(late["checksum"])
    assert checksums == [1406471562, 2416540570, 2136263304, 2126323084]


@needs_recordings
def test_every_pair_of_the_v1_recording_can_be_replayed() -> None:
    symbols = ["ADA-BTC", "BTC-CHF", "ETH-CHF", "GRT-ETH", "KSM-BTC"]
    symbols += ["OCEAN-BTC", "OMG-USD", "SC-EUR", "WAVES-EUR", "XMR-USD"]
    books = catalogue_of([str(recordings.KRAKEN_V1)]).books()
    assert books == [f"kraken-v1:{symbol}" for symbol in symbols]


@pytest.mark.parametrize(
    ("venue", "frame", "topic"),
    [
        (KrakenV1Replay(), V1_SNAPSHOT, "book-10:XBT/CHF"),
        (KrakenV2Replay(), V2_SNAPSHOT, "book:BTC/USD"),
    ],
)
def test_a_frame_is_delivered_as_recorded(venue: ReplayVenue, frame: Frame, topic: str) -> None:
    assert learnt(venue, frame).play(frame) == Delivery(topic, frame.text, frame.text)
    assert venue.is_book(topic)


def test_v1_applies_both_parts_of_a_message_before_it_truncates() -> None:
    update = msgspec.structs.replace(
        V1_SNAPSHOT,
        text='[464,{"a":[["99.5","4.0","2.5"]]},{"b":[["100.0","0.0","2.5"]],"c":"1"},"book-10","XBT/CHF"]',
    )
    truth = played(KrakenV1Replay(), V1_SNAPSHOT, update).truth("BTC-CHF")
    assert truth is not None
    assert truth.bids == ((99.0, 3.0),)
    assert truth.asks == ((99.5, 4.0), (101.0, 1.0))
    assert truth.venue_seq == 2


def test_v1_forgets_levels_beyond_the_recorded_depth() -> None:
    asks = [[f"{price}.0", "1.0", "1.5"] for price in range(101, 111)]
    snapshot = a_kraken_v1_frame({"as": asks, "bs": []})
    update = a_kraken_v1_frame({"a": [["100.0", "1.0", "2.5"]], "c": "1"})
    truth = played(KrakenV1Replay(), snapshot, update).truth("BTC-CHF")
    assert truth is not None
    assert [price for price, _ in truth.asks] == [100.0 + n for n in range(10)]


def test_v2_forgets_levels_beyond_the_recorded_depth() -> None:
    rows = [(f"{price}.0", "1.00") for price in range(100, 90, -1)]
    update = a_kraken_v2_book("update", [("101.0", "1.00")])
    truth = played(KrakenV2Replay(), a_kraken_v2_book("snapshot", rows), update).truth("BTC-USD")
    assert truth is not None
    assert [price for price, _ in truth.bids] == [101.0 - n for n in range(10)]


V1_ACKNOWLEDGEMENT = (
    '{"channelID":464,"channelName":"book-10","event":"subscriptionStatus","pair":"XBT/CHF",'
    '"status":"subscribed","subscription":{"depth":10,"name":"book"},"reqid":5}'
)
V2_ACKNOWLEDGEMENT = (
    '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},'
    '"success":true,"req_id":5,"time_in":"2026-08-24T22:21:56.724795Z",'
    '"time_out":"2026-08-24T22:21:56.724795Z"}'
)


@pytest.mark.parametrize(
    ("venue", "frame", "request_text", "acknowledgement"),
    [
        (KrakenV1Replay(), V1_SNAPSHOT, V1_SUBSCRIBE, V1_ACKNOWLEDGEMENT),
        (KrakenV2Replay(), V2_SNAPSHOT, V2_SUBSCRIBE, V2_ACKNOWLEDGEMENT),
    ],
)
def test_who_is_there_from_the_start_is_acknowledged_and_gets_the_recorded_snapshot_only(
    venue: ReplayVenue, frame: Frame, request_text: str, acknowledgement: str
) -> None:
    answer = learnt(venue, frame).request(a_session(), request_text, 1_787_610_116_724_795_000)
    assert answer.frames == (acknowledgement,)
    assert len(answer.subscribed) == 1


def test_a_late_v1_subscriber_gets_the_book_in_the_recorded_digits() -> None:
    answer = played(KrakenV1Replay(), V1_SNAPSHOT).request(a_session(), V1_SUBSCRIBE, 0)
    assert answer.frames[1] == V1_SNAPSHOT.text


def test_a_late_v2_snapshot_keeps_trailing_zeros() -> None:
    late = played(KrakenV2Replay(), V2_SNAPSHOT).request(a_session(), V2_SUBSCRIBE, 0).frames[1]
    assert '"bids":[{"price":100.0,"qty":2.00}],"asks":[{"price":101.0,"qty":1.00}]' in late
    assert msgspec.json.decode(late)["data"][0]["checksum"] == zlib.crc32(b"10101001000200")


def test_books_are_unknown_after_a_break_until_the_next_recorded_snapshot() -> None:
    for venue, frame, subscribe in (
        (KrakenV1Replay(), V1_SNAPSHOT, V1_SUBSCRIBE),
        (KrakenV2Replay(), V2_SNAPSHOT, V2_SUBSCRIBE),
    ):
        played(venue, frame).forget_books()
        assert len(venue.request(a_session(), subscribe, 0).frames) == 1
        assert venue.truth(venue.symbols()[0]) is None
        venue.play(frame)
        assert venue.truth(venue.symbols()[0]) is not None


@pytest.mark.parametrize(
    ("pair", "subscription", "error"),
    [
        ("FOO/BAR", {"name": "book", "depth": 10}, "Currency pair not supported FOO/BAR"),
        ("XBT/CHF", {"name": "gossip"}, "Subscription name invalid"),
        ("XBT/CHF", {"name": "book", "depth": 500}, "Subscription depth not supported"),
    ],
)
def test_v1_refuses_as_kraken_does(pair: str, subscription: dict[str, object], error: str) -> None:
    request = text({"event": "subscribe", "pair": [pair], "subscription": subscription})
    answer = learnt(KrakenV1Replay(), V1_SNAPSHOT).request(a_session(), request, 0)
    refusal = msgspec.json.decode(answer.frames[0])
    assert refusal["errorMessage"].startswith(error)
    assert (refusal["event"], refusal["status"], refusal["pair"]) == ("subscriptionStatus", "error", pair)
    assert not answer.subscribed


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channel": "book", "symbol": ["FOO/BAR"]}, "Currency pair not supported FOO/BAR"),
        ({"channel": "gossip", "symbol": ["BTC/USD"]}, "Channel not supported gossip"),
        ({"channel": "book", "symbol": ["BTC/USD"], "depth": 1000}, "Subscription depth not supported"),
        ({}, "Channel not supported"),
    ],
)
def test_v2_refuses_as_kraken_does(params: dict[str, object], error: str) -> None:
    request = text({"method": "subscribe", "params": params})
    answer = learnt(KrakenV2Replay(), V2_SNAPSHOT).request(a_session(), request, 0)
    refusal = msgspec.json.decode(answer.frames[0])
    assert refusal["error"].startswith(error)
    assert refusal["success"] is False
    assert not answer.subscribed


def test_v2_subscribes_once_and_unsubscribes_what_was_subscribed() -> None:
    venue, session = learnt(KrakenV2Replay(), V2_SNAPSHOT), a_session()
    session.topics["book:BTC/USD"] = None
    assert "Already subscribed" in venue.request(session, V2_SUBSCRIBE, 0).frames[0]
    unsubscribe = V2_SUBSCRIBE.replace('"subscribe"', '"unsubscribe"')
    assert venue.request(session, unsubscribe, 0).unsubscribed == ("book:BTC/USD",)
    session.topics.clear()
    assert "Subscription Not Found" in venue.request(session, unsubscribe, 0).frames[0]


@pytest.mark.parametrize(
    ("venue", "sent", "answer"),
    [
        (KrakenV1Replay(), '{"event":"ping","reqid":3}', '{"event":"pong","reqid":3}'),
        (KrakenV1Replay(), "{", '"event":"error"'),
        (KrakenV1Replay(), '{"event":"subscribe"}', '"errorMessage":"Malformed request"'),
        (
            KrakenV2Replay(),
            '{"method":"ping","req_id":3}',
            '{"method":"pong","req_id":3,"time_in":"1970-01-01T',
        ),
        (KrakenV2Replay(), '{"method":"dance"}', '"success":false'),
    ],
)
def test_other_requests_are_answered(venue: ReplayVenue, sent: str, answer: str) -> None:
    assert answer in venue.request(a_session(), sent, 0).frames[0]


def test_candles_are_empty_and_unknown_pairs_refused() -> None:
    venue = learnt(KrakenV2Replay(), V2_SNAPSHOT)
    path = "/kraken/0/public/OHLC"
    assert venue.rest(path, {"pair": "BTC/USD"}, 0) == HttpReply(
        200, '{"error":[],"result":{"BTC/USD":[],"last":0}}'
    )
    assert venue.rest(path, {"pair": "FOO/BAR"}, 0) == HttpReply(
        200, '{"error":["EQuery:Unknown asset pair"]}'
    )
    assert venue.rest("/kraken/0/public/Time", {}, 5 * 10**9) == HttpReply(
        200, '{"error":[],"result":{"unixtime":5}}'
    )


@needs_recordings
def test_the_recorded_depth_is_that_of_the_recorders_subscription() -> None:
    venue = KrakenV2Replay()
    for record in open_recording(recordings.KRAKEN_V2).records():
        venue.learn(record)
    request = V2_SUBSCRIBE.replace('"depth":10', '"depth":25')
    assert "the recording of BTC/USD has 10" in venue.request(a_session(), request, 0).frames[0]


def test_prices_of_equal_value_are_one_level_however_they_are_spelt() -> None:
    update = a_kraken_v1_frame({"b": [["100.00000", "0.0", "2.5"]], "c": "1"})
    truth = played(KrakenV1Replay(), V1_SNAPSHOT, update).truth("BTC-CHF")
    assert truth is not None
    assert truth.bids == ((99.0, 3.0),)
