from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.events import BookState
from services.l2.feeds.bitstamp import BitstampFeed
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Reconnect,
    Refused,
    VenueDelta,
    VenueTrade,
)
from tests.recorded_books import play
from tests.recordings import BITSTAMP, needs_recordings
from tests.spared import is_ignored, is_spared

FEED = BitstampFeed()
BAT = "BAT-EUR"
DIFF: dict[str, Any] = {
    "timestamp": "1641343691",
    "microtimestamp": "1641343691244908",
    "bids": [["1.15979", "993.02588113"], ["1.14866", "0.00000000"]],
    "asks": [["1.16601", "1200.00000000"]],
}
TRADE: dict[str, Any] = {
    "id": 216000477,
    "timestamp": "1641343699",
    "amount": 0.0792,
    "amount_str": "0.07920000",
    "price": 3805.44,
    "price_str": "3805.44",
    "type": 0,
    "microtimestamp": "1641343699596000",
    "buy_order_id": 1443875737346049,
    "sell_order_id": 1443875731320832,
}


def a_diff(channel: str = "diff_order_book_bateur", **changed: Any) -> bytes:
    return json.dumps({"data": DIFF | changed, "channel": channel, "event": "data"}).encode()


def a_trade(**changed: Any) -> bytes:
    return json.dumps({"data": TRADE | changed, "channel": "live_trades_ethusd", "event": "trade"}).encode()


def test_a_diff_becomes_a_delta_at_its_time() -> None:
    assert FEED.parse(a_diff(), BAT) == (
        VenueDelta(
            bids=((1.15979, 993.02588113), (1.14866, 0.0)),
            asks=((1.16601, 1200.0),),
            first=1641343691244908,
            last=1641343691244908,
            venue_ts=1641343691244908_000,
        ),
    )


@pytest.mark.parametrize(("type_", "side"), [(0, "buy"), (1, "sell")])
def test_a_trade_has_the_aggressor_s_side(type_: int, side: str) -> None:
    (trade,) = FEED.parse(a_trade(type=type_), "ETH-USD")
    assert isinstance(trade, VenueTrade)
    assert (trade.trade_id, trade.price, trade.size, trade.side) == ("216000477", 3805.44, 0.0792, side)
    assert trade.venue_ts == 1641343699596000_000


def test_frames_about_something_else_say_nothing_of_this_book() -> None:
    assert FEED.parse(a_diff("diff_order_book_ethusd"), BAT) == ()
    succeeded = b'{"event":"bts:subscription_succeeded","channel":"diff_order_book_bateur","data":{}}'
    assert FEED.parse(succeeded, BAT) == (Acknowledged(),)
    assert FEED.parse(b'{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}', BAT) == (
        Heartbeat(),
    )


def test_a_request_to_reconnect_is_one() -> None:
    raw = b'{"event":"bts:request_reconnect","channel":"","data":""}'
    assert FEED.parse(raw, BAT) == (Reconnect("bts:request_reconnect"),)


@pytest.mark.parametrize(
    "raw",
    [
        a_diff("order_book_bateur"),
        b'{"event":"bts:something","channel":"","data":""}',
        b'{"event":"something","channel":"","data":""}',
        b'{"event":"order_created","channel":"live_orders_bateur","data":{}}',
        b'{"event":"something","channel":"live_trades_bateur","data":{}}',
        b"[]",
        b"null",
    ],
)
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, BAT))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"code": None, "message": "Incorrect JSON format."}, "Incorrect JSON format."),
        ({"code": 4009, "message": "Connection is unauthorized."}, "4009 Connection is unauthorized."),
        ({}, "without a reason"),
    ],
)
def test_a_refusal_keeps_the_venue_s_words(data: dict[str, Any], reason: str) -> None:
    raw = json.dumps({"event": "bts:error", "channel": "", "data": data}).encode()
    assert FEED.parse(raw, BAT) == (Refused(reason),)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff",
        a_trade()[:-20],
        a_diff().replace(b'"event": "data"', b'"event": "something"'),  # nothing would show its loss
        a_diff(""),
        a_diff()[:-20],
        a_diff(microtimestamp="1e20"),
        a_diff(microtimestamp=None),
        a_diff(bids=None),
        a_diff(bids=[["1"]]),
        a_diff(bids=[["NaN", "1"]]),
        a_diff(bids=[["0", "1"]]),
        a_diff(asks=[["1", "-1"]]),
        a_diff(asks=[["1", "Infinity"]]),
        b'{"event":"data","channel":"diff_order_book_bateur"}',
        b'{"event":"data","channel":"diff_order_book_bateur","data":' + b"[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: bytes) -> None:
    with pytest.raises(BadFrameError, match="bitstamp"):
        FEED.parse(raw, BAT)


@pytest.mark.parametrize("changed", [{"type": 2}, {"price_str": "0"}, {"amount_str": "-1"}, {"id": -1}])
def test_an_absurd_trade_costs_itself(changed: dict[str, Any]) -> None:
    assert is_spared(FEED.parse(a_trade(**changed), "ETH-USD"), a_trade(**changed))


def test_an_unreadable_refusal_costs_itself() -> None:
    for raw in (b'{"event":"bts:error"}', b'{"event":"bts:error","data":{"message":7}}'):
        assert is_spared(FEED.parse(raw, BAT), raw, trades=False)


@pytest.mark.parametrize(
    ("position", "at", "step"),
    [(160, 159, Step.OLD), (160, 160, Step.OLD), (160, 161, Step.APPLY), (None, 1, Step.GAP)],
)
def test_a_diff_is_placed_by_its_time(position: int | None, at: int, step: Step) -> None:
    assert FEED.step(position, VenueDelta(bids=(), asks=(), first=at, last=at)) is step


def test_a_snapshot_is_marked_as_unverified() -> None:
    body = (
        b'{"timestamp": "1641343695", "microtimestamp": "1641343695572693", "bids": [["1","2"]], "asks": []}'
    )
    snapshot = FEED.parse_snapshot(body)
    assert (snapshot.sequence, snapshot.venue_ts) == (1641343695572693, 1641343695572693_000)
    assert not snapshot.verified
    with pytest.raises(BadFrameError):
        FEED.parse_snapshot(b'{"status":"error","reason":"Invalid pair"}')


def test_addresses_and_frames_are_the_venue_s() -> None:
    assert FEED.stream_url("wss://ws.bitstamp.net", BAT) == "wss://ws.bitstamp.net"
    assert [json.loads(frame) for frame in FEED.subscribe(BAT)] == [
        {"event": "bts:subscribe", "data": {"channel": "diff_order_book_bateur"}},
        {"event": "bts:subscribe", "data": {"channel": "live_trades_bateur"}},
    ]
    assert json.loads(FEED.ping()) == {"event": "bts:heartbeat"}
    assert FEED.snapshot_url("https://x", BAT) == "https://x/api/v2/order_book/bateur"
    assert FEED.candles_url("https://x", BAT, "1m", 130_000_000_000) == (
        "https://x/api/v2/ohlc/bateur/?step=60&limit=1000&start=120&end=60120"
    )


def test_candles_are_oldest_first_and_only_the_last_may_be_open() -> None:
    rows = [
        {"timestamp": str(at), "open": "10", "high": "12", "low": "9", "close": "11", "volume": "5.5"}
        for at in (0, 60)
    ]
    body = json.dumps({"data": {"pair": "BAT/EUR", "ohlc": rows}}).encode()
    first, last = FEED.parse_candles(body, BAT, "1m")
    assert (first.open_ts, first.open, first.high, first.low, first.close) == (0, 10.0, 12.0, 9.0, 11.0)
    assert (first.volume, first.closed, last.closed, last.open_ts) == (5.5, True, False, 60_000_000_000)
    with pytest.raises(BadFrameError):
        FEED.parse_candles(json.dumps({"data": {"ohlc": rows[::-1]}}).encode(), BAT, "1m")


@needs_recordings
def test_the_recording_splices_by_time_without_a_cross() -> None:
    pairs = (
        "ADA-EUR BAT-BTC BAT-EUR ETH-USD GALA-EUR SGB-EUR USDT-EUR USDT-USD XLM-GBP XRP-EUR".split()  # noqa: SIM905 -- a list of words
    )
    books = [play(FEED, pair, BITSTAMP) for pair in pairs]
    assert {book.maintainer.state for book in books} == {BookState.LIVE}
    assert sum(book.maintainer.counts.gaps for book in books) == 0
    assert sum(book.deltas for book in books) == 717
    assert sum(book.published for book in books) == 615  # the rest is inside the snapshots
    assert sum(book.trades for book in books) == 10
