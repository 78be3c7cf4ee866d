from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from libs.common.events import BookState
from libs.common.order_book import OrderBook
from services.l2.feeds.coinbase_exchange import CoinbaseExchangeFeed
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from simulator.recordings import Frame, open_recording
from tests.recorded_books import play
from tests.recordings import COINBASE_2021, needs_recordings
from tests.spared import is_ignored, is_spared

FEED = CoinbaseExchangeFeed()
SKL = "SKL-BTC"
UPDATE: dict[str, Any] = {
    "type": "l2update",
    "product_id": SKL,
    "changes": [["sell", "0.00001306", "660.5"], ["buy", "0.00001305", "0.0"]],
    "time": "2021-04-17T16:43:37.075687Z",
}
SNAPSHOT: dict[str, Any] = {
    "type": "snapshot",
    "product_id": SKL,
    "asks": [["0.00001306", "660.5"]],
    "bids": [["0.00001305", "985"]],
}
MATCH: dict[str, Any] = {
    "type": "match",
    "trade_id": 280232,
    "side": "sell",
    "size": "985",
    "price": "0.00001305",
    "product_id": SKL,
    "sequence": 177100030,
    "time": "2021-04-17T16:43:37.089723Z",
}


def a_frame(frame: dict[str, Any], **changed: Any) -> bytes:
    return json.dumps(frame | changed).encode()


def test_an_update_becomes_a_delta_without_ids() -> None:
    assert FEED.parse(a_frame(UPDATE), SKL) == (
        VenueDelta(bids=((0.00001305, 0.0),), asks=((0.00001306, 660.5),), venue_ts=1618677817_075_687_000),
    )


def test_a_snapshot_is_marked_as_unverified() -> None:
    assert FEED.parse(a_frame(SNAPSHOT), SKL) == (
        VenueSnapshot(bids=((0.00001305, 985.0),), asks=((0.00001306, 660.5),), verified=False),
    )


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00", "0.000", "0.000000", "0.00000000"])
def test_every_spelling_of_zero_removes_the_level(zero: str) -> None:
    (delta,) = FEED.parse(a_frame(UPDATE, changes=[["buy", "14.7550", zero]]), SKL)
    assert isinstance(delta, VenueDelta)
    book = OrderBook()
    book.load(((14.755, 2.0), (14.7, 1.0)), ())
    book.apply(delta.bids, delta.asks)
    assert book.bids() == ((14.7, 1.0),)


def test_an_update_of_the_zero_time_is_valid_and_has_none() -> None:
    (delta,) = FEED.parse(a_frame(UPDATE, time="0001-01-01T00:00:00.000000Z"), SKL)
    assert isinstance(delta, VenueDelta)
    assert (delta.venue_ts, delta.asks) == (None, ((0.00001306, 660.5),))


@pytest.mark.parametrize(("maker", "aggressor"), [("sell", "buy"), ("buy", "sell")])
def test_a_trade_has_the_aggressor_s_side(maker: str, aggressor: str) -> None:
    (trade,) = FEED.parse(a_frame(MATCH, side=maker), SKL)
    assert isinstance(trade, VenueTrade)
    assert (trade.trade_id, trade.price, trade.size, trade.side) == ("280232", 0.00001305, 985.0, aggressor)
    assert trade.venue_ts == 1618677817_089_723_000


def test_frames_about_something_else_say_nothing_of_this_book() -> None:
    assert [FEED.parse(a_frame(frame), "SKL-USD") for frame in (UPDATE, SNAPSHOT, MATCH)] == [(), (), ()]
    assert FEED.parse(a_frame(MATCH, type="last_match"), SKL) == (Heartbeat(),), "it was before we came"
    assert FEED.parse(b'{"type":"heartbeat","sequence":90,"product_id":"SKL-BTC"}', SKL) == (Heartbeat(),)
    assert FEED.parse(b'{"type":"subscriptions","channels":[]}', SKL) == (Acknowledged(),)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            {"message": "Failed to subscribe", "reason": "level2 needs a key"},
            "Failed to subscribe: level2 needs a key",
        ),
        ({}, "without a reason"),
    ],
)
def test_a_refusal_keeps_the_venue_s_words(said: dict[str, str], reason: str) -> None:
    assert FEED.parse(a_frame({"type": "error"}, **said), SKL) == (Refused(reason),)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff",
        a_frame(MATCH)[:-20],
        a_frame(UPDATE, type="something"),  # nothing would show its loss
        a_frame(UPDATE)[:-20],
        b'{"type":"l2update","changes":[]}',
        a_frame(UPDATE, product_id=None),
        a_frame(UPDATE, time=None),
        a_frame(UPDATE, time="2021-04-17T16:43:37"),
        a_frame(UPDATE, changes=None),
        a_frame(UPDATE, changes=[["bid", "1", "1"]]),
        a_frame(UPDATE, changes=[["buy", "1"]]),
        a_frame(UPDATE, changes=[["buy", "NaN", "1"]]),
        a_frame(UPDATE, changes=[["buy", "0", "1"]]),
        a_frame(UPDATE, changes=[["buy", "1", "-1"]]),
        a_frame(UPDATE, changes=[["buy", "1", "Infinity"]]),
        a_frame(SNAPSHOT, bids=None),
        a_frame(SNAPSHOT, bids=[["1", "-1"]]),
        b'{"type":"l2update","product_id":"SKL-BTC","changes":' + b"[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: bytes) -> None:
    with pytest.raises(BadFrameError, match="coinbase-exchange"):
        FEED.parse(raw, SKL)


@pytest.mark.parametrize("changed", [{"side": "bid"}, {"size": "-1"}, {"trade_id": -1}, {"product_id": 7}])
def test_an_absurd_trade_costs_itself(changed: dict[str, Any]) -> None:
    raw = a_frame(MATCH, **changed)
    if "product_id" in changed:
        with pytest.raises(BadFrameError):  # whose it is was not said
            FEED.parse(raw, SKL)
    else:
        assert is_spared(FEED.parse(raw, SKL), raw)


@pytest.mark.parametrize("raw", [b'{"type":"something"}', b'{"type":"ticker","price":"1"}', b"[]", b"null"])
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, SKL))


def test_every_delta_follows_as_there_is_nothing_to_place_it_by() -> None:
    assert FEED.step(None, VenueDelta(bids=(), asks=())) is Step.APPLY


def test_addresses_and_frames_are_the_venue_s() -> None:
    base = "wss://ws-feed.exchange.coinbase.com"
    assert FEED.stream_url(base, SKL) == base
    assert [json.loads(frame) for frame in FEED.subscribe(SKL)] == [
        {
            "type": "subscribe",
            "product_ids": ["SKL-BTC"],
            "channels": ["level2_batch", "matches", "heartbeat"],
        }
    ]
    assert FEED.candles_url("https://x", SKL, "1m", 130_000_000_000) == (
        "https://x/products/SKL-BTC/candles?granularity=60&start=1970-01-01T00:02:00Z&end=1970-01-01T05:01:00Z"
    )


def test_candles_are_oldest_first_and_only_the_last_may_be_open() -> None:
    rows = [[at, 9, 12, 10, 11, 5.5] for at in (60, 0)]  # time, low, high, open, close, volume
    first, last = FEED.parse_candles(json.dumps(rows).encode(), SKL, "1m")
    assert (first.open_ts, first.open, first.high, first.low, first.close) == (0, 10.0, 12.0, 9.0, 11.0)
    assert (first.volume, first.closed, last.closed, last.open_ts) == (5.5, True, False, 60_000_000_000)
    with pytest.raises(BadFrameError):
        FEED.parse_candles(json.dumps(rows[::-1]).encode(), SKL, "1m")


@needs_recordings
def test_the_recording_s_9729_book_messages_never_cross_and_each_zero_removes() -> None:
    books: dict[str, OrderBook] = {}
    seen: Counter[str] = Counter()
    for record in open_recording(COINBASE_2021).records():
        if not isinstance(record, Frame):
            continue
        symbol = json.loads(record.text).get("product_id", SKL)
        for message in FEED.parse(record.text.encode(), symbol):
            if isinstance(message, VenueSnapshot):
                books[symbol] = OrderBook()
                books[symbol].load(message.bids, message.asks)
                seen["snapshots"] += 1
            elif isinstance(message, VenueDelta):
                book = books[symbol]
                book.apply(message.bids, message.asks)
                seen["deltas"] += 1
                seen["crossed"] += book.crossed
                gone = {price for price, size in message.bids + message.asks if not size}
                seen["zeros"] += len(gone)
                seen["left"] += len(gone & {price for price, _ in book.bids() + book.asks()})
            elif isinstance(message, VenueTrade):
                seen["trades"] += 1
    assert (seen["snapshots"], seen["deltas"], len(books)) == (10, 9719, 10)
    assert (seen["crossed"], seen["zeros"], seen["left"], seen["trades"]) == (0, 2634, 0, 97)


@needs_recordings
def test_a_recorded_pair_is_live_without_a_gap_though_without_a_proof() -> None:
    recorded = play(FEED, "SKL-USD", COINBASE_2021)
    assert recorded.maintainer.state is BookState.LIVE
    assert "no proof" in recorded.maintainer.reason
    assert recorded.maintainer.counts.gaps == 0
    assert recorded.published == recorded.deltas > 0
