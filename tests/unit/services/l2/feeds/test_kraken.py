from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.order_book import OrderBook
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.kraken import KrakenFeed
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueStatus,
    VenueTrade,
)
from simulator.recordings import open_recording
from tests.recordings import KRAKEN_V2, needs_recordings
from tests.spared import is_ignored, is_spared

FEED = KrakenFeed()
BTC = "BTC-USD"
UPDATE = (
    '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":78858.8,"qty":0.00000000},'
    '{"price":78857.0,"qty":0.00005100}],"asks":[],"checksum":2416540570,'
    '"timestamp":"2026-08-24T22:21:58.343688Z"}]}'
)
TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":78871.5,"qty":0.4,'
    '"ord_type":"market","trade_id":4665906,"timestamp":"2026-08-24T22:21:58.708706Z"}]}'
)


def test_an_update_keeps_the_digits_of_the_wire() -> None:
    (delta,) = FEED.parse(UPDATE.encode(), BTC)
    assert delta == VenueDelta(
        bids=((78858.8, 0.0), (78857.0, 0.000051)),
        asks=(),
        checksum=2416540570,
        bid_digits=("788588", "7885705100"),
        venue_ts=1787610118_343_688_000,
    )


def test_a_trade_names_the_taker_s_side() -> None:
    (trade,) = FEED.parse(TRADE.encode(), BTC)
    assert trade == VenueTrade(
        trade_id="4665906", price=78871.5, size=0.4, side="sell", venue_ts=1787610118_708_706_000
    )


def test_trades_of_before_the_subscription_are_not_told_again() -> None:
    assert FEED.parse(TRADE.replace('"update"', '"snapshot"').encode(), BTC) == ()


def test_another_symbol_is_left_out() -> None:
    assert list(FEED.parse(UPDATE.encode(), "ETH-USD")) == []
    assert list(FEED.parse(TRADE.encode(), "ETH-USD")) == []
    refused = b'{"error":"not supported","method":"subscribe","success":false,"symbol":"ABC/USD"}'
    assert FEED.parse(refused, BTC) == ()


def test_answers_are_told_apart() -> None:
    accepted = (
        b'{"method":"subscribe","result":{"channel":"book","depth":10,"symbol":"BTC/USD"},"success":true}'
    )
    refused = b'{"error":"depth not supported","method":"subscribe","success":false,"symbol":"BTC/USD"}'
    assert FEED.parse(accepted, BTC) == (Acknowledged(),)
    assert FEED.parse(refused, BTC) == (Refused("depth not supported"),)
    for alive in (
        b'{"channel":"heartbeat"}',
        b'{"method":"pong","req_id":1}',
    ):
        assert FEED.parse(alive, BTC) == (Heartbeat(),)


def a_status(system: str) -> bytes:
    return (
        b'{"channel":"status","type":"update","data":[{"version":"2.0.8","system":"%s","api_version":"v2",'
        b'"connection_id":12393906104898154338}]}' % system.encode()
    )


@pytest.mark.parametrize("system", ["maintenance", "cancel_only", "post_only", "limit_only", "something"])
def test_a_status_that_is_not_online_is_not_open(system: str) -> None:
    (status,) = FEED.parse(a_status(system), BTC)
    assert isinstance(status, VenueStatus)
    assert not status.open
    assert status.reason.startswith(system)


def test_online_is_open() -> None:
    assert list(FEED.parse(a_status("online"), BTC)) == [VenueStatus(open=True, reason="online")]


def test_an_unreadable_status_costs_itself() -> None:
    for raw in (b'{"channel":"status","type":"update","data":[{}]}', b'{"channel":"status","type":"update"}'):
        assert is_spared(FEED.parse(raw, BTC), raw, trades=False)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"channel":"ticker","type":"update","data":[]}',
        b'{"channel":"something"}',
        b'{"method":"something","success":true}',
        b'{"something":1}',
        b"{}",
        b"[]",
    ],
)
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, BTC))


@pytest.mark.parametrize(
    "price",
    ["NaN", '"NaN"', '"1"', "-1", "0", "1e13", "1e400", "null", "true", "[]", "{}", "1.", "", '"\xff"'],
)
def test_no_absurd_price_gets_in(price: str) -> None:
    with pytest.raises(BadFrameError, match="kraken"):
        FEED.parse(UPDATE.replace("78857.0", price).encode("latin-1"), BTC)
    raw = TRADE.replace("78871.5", price).encode("latin-1")
    if price in {"NaN", "1.", ""}:  # no JSON, so that nobody knows whose it was
        with pytest.raises(BadFrameError):
            FEED.parse(raw, BTC)
    else:
        assert is_spared(FEED.parse(raw, BTC), raw)


@pytest.mark.parametrize("size", ["NaN", "-1", "-0.1", "1e16", "1e400", '"1"', "null", "[]", ""])
def test_no_absurd_size_gets_in(size: str) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(UPDATE.replace("0.00005100", size).encode(), BTC)
    raw = TRADE.replace("0.4,", f"{size},").encode()
    if size in {"NaN", ""}:
        with pytest.raises(BadFrameError):
            FEED.parse(raw, BTC)
    else:
        assert is_spared(FEED.parse(raw, BTC), raw)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        UPDATE[:-30],
        TRADE[:-30],
        UPDATE.replace('"channel"', '"chanel"'),
        UPDATE.replace("2416540570", "-1"),
        UPDATE.replace("2416540570", "4294967296"),
        UPDATE.replace('"checksum":2416540570,', ""),
        UPDATE.replace("58.343688Z", "58.343688"),
        UPDATE.replace("update", "other"),
        UPDATE.replace('"data"', '"date"'),
        '{"channel":"book","type":"update","data":' + "[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: str) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(raw.encode(), BTC)


def test_subscriptions_ask_for_the_book_and_trades_of_the_symbol() -> None:
    book, trades = map(json.loads, KrakenFeed(depth=100).subscribe(BTC))
    assert book == {
        "method": "subscribe",
        "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 100, "snapshot": True},
    }
    assert trades["params"] == {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": False}
    assert json.loads(FEED.ping()) == {"method": "ping"}
    assert FEED.stream_url("wss://ws.kraken.com", BTC) == "wss://ws.kraken.com/v2"


def test_a_depth_that_kraken_does_not_offer_is_refused() -> None:
    with pytest.raises(ValueError, match="depths"):
        KrakenFeed(depth=11)


def test_candles_come_from_the_ohlc_route() -> None:
    url = FEED.candles_url("https://api.kraken.com", "BTC-USDT", "1d", 1_700_000_000_000_000_000)
    assert url == "https://api.kraken.com/0/public/OHLC?pair=BTC/USDT&interval=1440&since=1699999999"
    rows: list[list[Any]] = [
        [60, "10", "12", "9", "11", "10.5", "5.5", 7],
        [120, "11", "11", "11", "11", "0.0", "0", 0],
    ]
    body = json.dumps({"error": [], "result": {"XBTUSDT": rows, "last": 60}}).encode()
    first, last = FEED.parse_candles(body, "BTC-USDT", "1m")
    assert (first.open_ts, first.open, first.high, first.low, first.close) == (
        60_000_000_000,
        10.0,
        12.0,
        9.0,
        11.0,
    )
    assert (first.volume, first.trades, first.closed, last.closed) == (5.5, 7, True, False)


@pytest.mark.parametrize(
    "body", [b'{"error":["EQuery:Unknown asset pair"]}', b'{"error":[],"result":{"last":1}}', b"[]", b""]
)
def test_a_reply_without_candles_says_what_it_was(body: bytes) -> None:
    with pytest.raises(BadFrameError) as caught:
        FEED.parse_candles(body, BTC, "1m")
    assert repr(body)[2:-1] in str(caught.value)


@needs_recordings
def test_the_recorded_book_matches_all_four_checksums() -> None:
    book, digits = OrderBook(), FEED.new_digit_book()
    assert FEED.depth is not None
    verified = 0
    for record in open_recording(KRAKEN_V2).records():
        for message in FEED.parse(record.text.encode(), BTC):
            if isinstance(message, VenueSnapshot):
                book.load(message.bids, message.asks)
                digits.load(message)
            elif isinstance(message, VenueDelta):
                assert FEED.step(None, message) is Step.APPLY
                book.apply(message.bids, message.asks)
                book.truncate(FEED.depth)
                digits.apply(message)
            else:
                continue
            assert FEED.checksum(digits.bids(), digits.asks()) == message.checksum
            assert (len(digits.bids(99)), len(digits.asks(99))) == book.counts()
            verified += 1
    assert verified == 4
