"""Bitstamp's side of a replay, frame by frame."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from simulator.recordings import Frame, RestReply
from simulator.replay_bitstamp import BitstampReplay
from simulator.replay_catalogue import catalogue_of
from simulator.replay_venue import Awaiting, Delivery, HttpReply, Released
from tests.recordings import BITSTAMP, needs_recordings
from tests.unit.simulator.replay_builders import Levels, a_session, text

URL = "wss://ws.bitstamp.net/"
CHANNEL = "diff_order_book_bateur"
ROUTE = "/bitstamp/api/v2/order_book/bateur"


def a_diff(at: int, bids: Levels = (), asks: Levels = (), channel: str = CHANNEL) -> Frame:
    data = {"timestamp": "1", "microtimestamp": str(at), "bids": bids, "asks": asks}
    return Frame(0, "1", URL, text({"data": data, "channel": channel, "event": "data"}))


def a_snapshot(at: int, bids: Levels = (), asks: Levels = (), pair: str = "bateur") -> RestReply:
    body = {"timestamp": "1", "microtimestamp": str(at), "bids": bids, "asks": asks}
    return RestReply(0, f"https://www.bitstamp.net/api/v2/order_book/{pair}", text(body))


def learnt(*records: Frame | RestReply) -> BitstampReplay:
    venue = BitstampReplay()
    for record in records:
        venue.learn(record)
    return venue


def played(*records: Frame | RestReply) -> BitstampReplay:
    venue = learnt(*records)
    for record in records:
        venue.play(record)
    return venue


def a_request(event: str, channel: str = CHANNEL) -> str:
    return text({"event": event, "data": {"channel": channel}})


def said(venue: BitstampReplay, request: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(frame) for frame in venue.request(a_session(), request, 0).frames]


def test_a_diff_belongs_to_its_channel_as_recorded() -> None:
    frame = a_diff(5)
    assert learnt(frame).play(frame) == Delivery(CHANNEL, frame.text, frame.text)


def test_what_the_recorder_was_answered_belongs_to_nobody() -> None:
    answer = {"event": "bts:subscription_succeeded", "channel": CHANNEL, "data": {}}
    frame = Frame(0, "1", URL, text(answer))
    venue = learnt(frame)
    assert venue.play(frame) is None
    assert venue.is_book(CHANNEL)


def test_a_snapshot_still_ahead_is_awaited_and_released_byte_for_byte() -> None:
    reply = a_snapshot(5, [("1.0", "1.0")])
    venue = learnt(a_diff(6), reply)
    assert venue.rest(ROUTE, {}, 0) == Awaiting("bateur")
    assert venue.play(reply) == Released("bateur", reply.text)


def test_a_later_request_gets_the_book_as_of_the_last_diff() -> None:
    venue = played(
        a_diff(4, [("99", "9")]),  # inside the snapshot
        a_snapshot(5, [("100.00", "1.0"), ("98", "5")], [("101", "2")]),
        a_diff(5, [("98", "7")]),
        a_diff(7_000_008, [("100.00", "0.00"), ("97.5", "3")]),
    )
    answer = venue.rest(ROUTE, {}, 0)
    assert isinstance(answer, HttpReply)
    assert msgspec.json.decode(answer.body) == {
        "timestamp": "7",
        "microtimestamp": "7000008",
        "bids": [["98", "5"], ["97.5", "3"]],
        "asks": [["101", "2"]],
    }
    truth = venue.truth("BAT-EUR")
    assert truth is not None
    assert (truth.venue_seq, truth.bids) == (7_000_008, ((98.0, 5.0), (97.5, 3.0)))


def test_subscriptions_and_heartbeats_are_answered() -> None:
    venue = learnt(a_diff(5))
    answer = venue.request(a_session(), a_request("bts:subscribe"), 0)
    assert answer.subscribed == (CHANNEL,)
    assert said(venue, a_request("bts:subscribe"))[0]["event"] == "bts:subscription_succeeded"
    assert venue.request(a_session(), a_request("bts:unsubscribe"), 0).unsubscribed == (CHANNEL,)
    assert said(venue, '{"event":"bts:heartbeat"}') == [
        {"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}
    ]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("{", "Bad message"),
        ("{}", "Bad message"),
        (a_request("subscribe"), "Incorrect event."),
        (a_request("bts:subscribe", "diff_order_book_xxx"), "Incorrect subscription channel."),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_words(request_: str, message: str) -> None:
    (refusal,) = said(learnt(a_diff(5)), request_)
    assert refusal["event"] == "bts:error"
    assert refusal["data"]["message"].startswith(message)


def test_a_book_without_a_snapshot_is_not_offered_and_explained() -> None:
    venue = played(a_diff(5))
    answer = venue.rest(ROUTE, {}, 0)
    assert isinstance(answer, HttpReply)
    assert (answer.status, venue.symbols()) == (404, ())
    assert "no book of bateur" in answer.body


def test_a_break_in_the_recording_forgets_the_book() -> None:
    venue = played(a_snapshot(5, [("1", "1")]), a_diff(6))
    venue.forget_books()
    assert venue.truth("BAT-EUR") is None
    with pytest.raises(KeyError):
        venue.truth("BTC-USD")


def test_candles_are_none_and_another_pair_s_snapshot_is_not_ours() -> None:
    venue = played(a_diff(5), a_snapshot(5, pair="ethusd"))
    answer = venue.rest("/bitstamp/api/v2/ohlc/bateur/", {}, 0)
    assert answer == HttpReply(200, '{"data":{"pair":"bateur","ohlc":[]}}')
    assert venue.symbols() == ()


@needs_recordings
def test_the_recording_offers_its_ten_books_and_none_ends_crossed() -> None:
    catalogue = catalogue_of([str(BITSTAMP)])
    for _, record in catalogue.records_in_order():
        catalogue.play(record)
    assert len(catalogue.books()) == 10
    venue = next(venue for venue in catalogue.venues if venue.venue == "bitstamp")
    for symbol in venue.symbols():
        truth = venue.truth(symbol)
        assert truth is not None
        assert truth.bids[0][0] < truth.asks[0][0]
