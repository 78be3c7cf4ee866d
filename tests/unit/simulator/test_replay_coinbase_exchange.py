"""Coinbase Exchange in a replay: recorded channels by product, and books for who comes late."""

from __future__ import annotations

import json

import pytest

from simulator.recordings import Frame, RestReply
from simulator.replay_catalogue import catalogue_of
from simulator.replay_coinbase_exchange import CoinbaseExchangeReplay
from simulator.replay_venue import Answer, Delivery, HttpReply
from tests import recordings
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import a_session, text

URL = "wss://ws-feed.pro.coinbase.com"
RECORDED = '{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2"]}'
PAIRS = "BAND-BTC BAND-GBP CRV-EUR DASH-BTC NMR-EUR NU-GBP SKL-BTC SKL-GBP SKL-USD YFI-BTC"


def a_frame(**frame: object) -> Frame:
    return Frame(0, "1", URL, text({"product_id": "BTC-USD", **frame}))


SNAPSHOT = a_frame(type="snapshot", asks=[["101", "1"]], bids=[["100.5", "2"], ["99", "1.0"]])
UPDATE = a_frame(type="l2update", changes=[["buy", "100.5", "0.00"], ["sell", "102", "3"]], time="x")
MATCH = a_frame(type="match", trade_id=1)


def played(*frames: Frame) -> CoinbaseExchangeReplay:
    venue = CoinbaseExchangeReplay()
    for frame in (SNAPSHOT, *frames):
        venue.learn(frame)
    for frame in frames:
        venue.play(frame)
    return venue


def test_frames_are_delivered_as_recorded_to_the_channel_of_their_product() -> None:
    venue = played()
    for frame, topic in (
        (SNAPSHOT, "level2:BTC-USD"),
        (UPDATE, "level2:BTC-USD"),
        (MATCH, "matches:BTC-USD"),
    ):
        assert venue.play(frame) == Delivery(topic, frame.text, frame.text)
        assert venue.is_book(topic) == topic.startswith("level2")
    assert venue.play(Frame(0, "1", URL, '{"type":"subscriptions","channels":[]}')) is None


def test_the_truth_is_the_book_after_the_last_frame() -> None:
    venue = played()
    assert venue.truth("BTC-USD") is None
    truth = played(SNAPSHOT, UPDATE).truth("BTC-USD")
    assert truth is not None
    assert (truth.venue_seq, truth.bids, truth.asks) == (2, ((99.0, 1.0),), ((101.0, 1.0), (102.0, 3.0)))


def test_the_recorded_subscription_is_answered_and_followed() -> None:
    said = '{"type":"subscriptions","channels":[{"name":"level2","product_ids":["BTC-USD"]}]}'
    assert played().request(a_session(), RECORDED, 0) == Answer((said,), subscribed=("level2:BTC-USD",))


def test_who_comes_late_gets_the_book_as_it_is_now() -> None:
    channels = ["matches", {"name": "level2_batch", "product_ids": ["BTC-USD"]}]
    request = text({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels})
    answer = played(SNAPSHOT, UPDATE).request(a_session(), request, 0)
    assert answer.subscribed == ("matches:BTC-USD", "level2:BTC-USD")
    assert json.loads(answer.frames[1]) == {
        "type": "snapshot",
        "product_id": "BTC-USD",
        "asks": [["101", "1"], ["102", "3"]],
        "bids": [["99", "1.0"]],
    }


def test_after_a_break_the_book_waits_for_its_next_snapshot() -> None:
    venue = played(SNAPSHOT)
    venue.forget_books()
    assert venue.truth("BTC-USD") is None
    assert len(venue.request(a_session(), RECORDED, 0).frames) == 1


def test_unsubscribing_drops_the_channel() -> None:
    session = a_session()
    session.topics = {"level2:BTC-USD": None, "matches:BTC-USD": None}
    answer = played(SNAPSHOT).request(session, RECORDED.replace('"subscribe"', '"unsubscribe"'), 0)
    assert answer.unsubscribed == ("level2:BTC-USD",)
    assert json.loads(answer.frames[0])["channels"] == [{"name": "matches", "product_ids": ["BTC-USD"]}]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ("{", "Malformed"),
        (RECORDED.replace("BTC-USD", "XXX-USD"), "XXX-USD is not a valid product; there are BTC-USD"),
        (RECORDED.replace("level2", "level9"), "level9 is not a valid channel"),
        ('{"type":"subscribe","channels":["level2"]}', "name nothing"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(request_: str, reason: str) -> None:
    answer = played().request(a_session(), request_, 0)
    refusal = json.loads(answer.frames[0])
    assert (refusal["type"], answer.subscribed) == ("error", ())
    assert reason in refusal["reason"]


def test_rest_has_the_recorded_products_and_no_candles() -> None:
    venue = played()
    venue.learn(RestReply(0, "https://api.pro.coinbase.com/products", '[{"id":"BTC-USD"}]'))
    products = "/coinbase-exchange/products"
    assert venue.rest(products, {}, 0) == HttpReply(200, '[{"id":"BTC-USD"}]')
    assert venue.rest(f"{products}/BTC-USD/candles", {}, 0) == HttpReply(200, "[]")
    assert venue.rest(f"{products}/XXX-USD/candles", {}, 0) == HttpReply(404, '{"message":"NotFound"}')


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        (URL, True),
        ("https://api.exchange.coinbase.com/products", True),
        ("ws://127.0.0.1:5100/coinbase-exchange", True),
        ("ws://127.0.0.1:5100/coinbase/", False),
        ("wss://advanced-trade-ws.coinbase.com", False),
    ],
)
def test_the_older_hosts_are_its_own_and_advanced_trade_s_are_not(url: str, *, ours: bool) -> None:
    assert CoinbaseExchangeReplay().owns(url) is ours


@needs_recordings
def test_every_pair_of_the_recording_can_be_replayed() -> None:
    books = catalogue_of([str(recordings.COINBASE_2021)]).books()
    assert books == [f"coinbase-exchange:{pair}" for pair in PAIRS.split()]
