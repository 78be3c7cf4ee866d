"""Coinbase in a replay: recorded connections as they were, and books for who comes late."""

from __future__ import annotations

import msgspec
import pytest

from simulator.recordings import Frame, RestReply
from simulator.replay_coinbase import PRODUCTS, CoinbaseReplay
from simulator.replay_venue import Answer, Delivery, HttpReply
from tests.unit.simulator.replay_builders import Levels, a_session, text

URL = "wss://advanced-trade-ws.coinbase.com"


def a_book_frame(
    kind: str, number: int, bids: Levels = (), asks: Levels = (), product: str = "BTC-USD", conn: str = "1"
) -> Frame:
    updates = [
        {"side": side, "event_time": "x", "price_level": price, "new_quantity": size}
        for side, levels in (("bid", bids), ("offer", asks))
        for price, size in levels
    ]
    event = {"type": kind, "product_id": product, "updates": updates}
    return Frame(number, conn, URL, a_frame("l2_data", number, [event]))


def a_frame(channel: str, number: int, events: list[object]) -> str:
    timestamp = "2026-08-09T21:05:48.228568804Z"
    return text({"channel": channel, "timestamp": timestamp, "sequence_num": number, "events": events})


BTC = a_book_frame("snapshot", 0, [("100.5", "2")], [("101", "1")])
ETH = a_book_frame("snapshot", 1, [("10", "2")], [("11", "1")], product="ETH-USD")
UPDATE = a_book_frame("update", 2, [("100.5", "0.00"), ("99", "3")])
HEARTBEAT = Frame(3, "1", URL, a_frame("heartbeats", 3, [{"heartbeat_counter": 1}]))
FRAMES = (BTC, ETH, UPDATE, HEARTBEAT)


def learnt(*frames: Frame | RestReply) -> CoinbaseReplay:
    venue = CoinbaseReplay()
    for frame in frames:
        venue.learn(frame)
    return venue


def played(*frames: Frame) -> CoinbaseReplay:
    venue = learnt(*frames)
    for frame in frames:
        venue.play(frame)
    return venue


def subscribe(*products: str, channel: str = "level2", kind: str = "subscribe") -> str:
    return text({"type": kind, "product_ids": products, "channel": channel})


def test_every_frame_of_a_connection_belongs_to_its_followers_as_recorded() -> None:
    venue = learnt(*FRAMES)
    answer = venue.request(a_session(), subscribe("BTC-USD"), 0)
    assert answer == Answer(subscribed=("level2:1",))
    assert venue.is_book("level2:1")
    for frame in FRAMES:
        assert venue.play(frame) == Delivery("level2:1", frame.text, frame.text)


def test_the_truth_is_the_book_after_the_last_frame() -> None:
    truth = played(*FRAMES).truth("BTC-USD")
    assert truth is not None
    assert (truth.bids, truth.asks, truth.venue_seq) == (((99.0, 3.0),), ((101.0, 1.0),), 2)
    with pytest.raises(KeyError):
        played(*FRAMES).truth("SOL-USD")


def test_who_comes_late_gets_books_whose_numbers_end_with_the_last_frame_sent() -> None:
    answer = played(*FRAMES).request(a_session(), subscribe("BTC-USD", "ETH-USD"), 0)
    frames = [msgspec.json.decode(frame) for frame in answer.frames]
    assert [frame["sequence_num"] for frame in frames] == [2, 3]
    assert [frame["events"][0]["product_id"] for frame in frames] == ["BTC-USD", "ETH-USD"]
    levels = [
        (level["side"], level["price_level"], level["new_quantity"])
        for level in frames[0]["events"][0]["updates"]
    ]
    assert levels == [("bid", "99", "3"), ("offer", "101", "1")]
    assert answer.subscribed == ("level2:1",)


def test_other_channels_are_taken_silently_for_the_recording_answers_them() -> None:
    for channel in ("market_trades", "heartbeats", "ticker"):
        answer = played(*FRAMES).request(a_session(), subscribe("BTC-USD", channel=channel), 0)
        assert answer == Answer()


def test_a_second_late_subscription_is_refused_because_no_number_is_left_for_it() -> None:
    session = a_session()
    session.topics["level2:1"] = None
    assert "connect again" in played(*FRAMES).request(session, subscribe("ETH-USD"), 0).frames[0]
    assert learnt(*FRAMES).request(session, subscribe("ETH-USD"), 0) == Answer(subscribed=("level2:1",))


def test_products_of_different_connections_are_refused_on_one() -> None:
    other = a_book_frame("snapshot", 0, [("10", "2")], product="ETH-USD", conn="2")
    answer = learnt(BTC, other).request(a_session(), subscribe("BTC-USD", "ETH-USD"), 0)
    assert "different connections" in answer.frames[0]
    assert not answer.subscribed


def test_a_book_moves_to_the_connection_of_its_next_snapshot() -> None:
    again = a_book_frame("snapshot", 0, [("50", "1")], [("51", "1")], conn="2")
    stale = a_book_frame("update", 4, [("100", "9")], conn="1")
    venue = played(*FRAMES, again, stale)
    truth = venue.truth("BTC-USD")
    assert truth is not None
    assert truth.bids == ((50.0, 1.0),)
    assert venue.request(a_session(), subscribe("BTC-USD"), 0).subscribed == ("level2:2",)


def test_books_are_unknown_after_a_break_until_the_next_recorded_snapshot() -> None:
    venue = played(*FRAMES)
    venue.forget_books()
    assert venue.request(a_session(), subscribe("BTC-USD"), 0).frames == ()
    assert venue.truth("BTC-USD") is None
    venue.play(BTC)
    assert venue.truth("BTC-USD") is not None


def test_unsubscribing_ends_what_was_followed() -> None:
    session = a_session()
    unsubscribe = subscribe("BTC-USD", kind="unsubscribe")
    assert learnt(*FRAMES).request(session, unsubscribe, 0) == Answer()
    session.topics["level2:1"] = None
    assert learnt(*FRAMES).request(session, unsubscribe, 0).unsubscribed == ("level2:1",)


@pytest.mark.parametrize(
    ("request_text", "told"),
    [
        ("{", "malformed"),
        ('{"type":"dance","channel":"level2"}', "malformed"),
        (subscribe("BTC-USD", channel="gossip"), "not a channel"),
        (subscribe("FOO-BAR"), "not a valid product; there are BTC-USD, ETH-USD"),
    ],
)
def test_what_cannot_be_followed_is_refused(request_text: str, told: str) -> None:
    answer = learnt(*FRAMES).request(a_session(), request_text, 0)
    assert msgspec.json.decode(answer.frames[0])["type"] == "error"
    assert told in answer.frames[0]
    assert not answer.subscribed


def test_an_error_the_recorder_got_belongs_to_nobody() -> None:
    assert learnt(*FRAMES).play(Frame(0, "1", URL, '{"type":"error","message":"no"}')) is None


def test_the_recorded_products_are_told_and_candles_are_empty() -> None:
    products = '{"products":[{"product_id":"BTC-USD"}]}'
    reply = RestReply(0, "https://api.coinbase.com/api/v3/brokerage/market/products", products)
    venue = learnt(reply, *FRAMES)
    assert venue.owns(reply.url)
    assert venue.owns(URL)
    assert venue.owns("ws://127.0.0.1:5100/coinbase/")
    assert not venue.owns("wss://ws-feed.exchange.coinbase.com")
    assert venue.rest(PRODUCTS, {}, 0) == HttpReply(200, products)
    assert venue.rest(f"{PRODUCTS}/BTC-USD/candles", {}, 0) == HttpReply(200, '{"candles":[]}')
    assert venue.rest(f"{PRODUCTS}/FOO-BAR/candles", {}, 0).status == 404  # type: ignore[union-attr]  # no Awaiting


def test_a_product_without_a_canonical_symbol_is_noted() -> None:
    venue = learnt(a_book_frame("snapshot", 0, [("1", "1")], product="BTC-PERP-INTX"))
    assert venue.unnamed == {"BTC-PERP-INTX"}
    assert venue.symbols() == ()
