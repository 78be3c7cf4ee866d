from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from services.l2.feeds import FEEDS
from services.l2.feeds.bybit import BybitFeed
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from services.l2.maintainer import BookMaintainer
from simulator.recordings import Frame, open_recording
from tests.recordings import BYBIT, BYBIT_FIXTURE, needs_recordings
from tests.spared import is_ignored, is_spared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEED = BybitFeed()
BTC = "BTC-USDT"
DELTA = (
    '{"topic":"orderbook.50.BTCUSDT","ts":1787612486116,"type":"delta","data":{"s":"BTCUSDT","b":[["78715","1.27"]],'
    '"a":[["78716.8","0.027559"],["78748.5","0"]],"u":217107085,"seq":113099229629},"cts":1787612486108}'
)
SNAPSHOT = (
    '{"topic":"orderbook.50.BTCUSDT","ts":1787612486096,"type":"snapshot","data":{"s":"BTCUSDT","b":[["78715",'
    '"1.271882"]],"a":[["78715.1","0.5"]],"u":217107084,"seq":113099229623},"cts":1787612486091}'
)
TRADE = (
    '{"topic":"publicTrade.BTCUSDT","ts":1786310822606,"type":"snapshot","data":[{"i":"2290000001189048101",'
    '"T":1786310822605,"p":"65140.5","v":"0.002705","S":"Buy","seq":112488547164,"s":"BTCUSDT","BT":false,'
    '"RPI":false}]}'
)


def a_delta(update_id: int) -> VenueDelta:
    return VenueDelta(bids=(), asks=(), first=update_id, last=update_id)


def test_a_delta_carries_its_number_and_the_time_of_the_matching_engine() -> None:
    (delta,) = FEED.parse(DELTA.encode(), BTC)
    assert delta == VenueDelta(
        bids=((78715.0, 1.27),),
        asks=((78716.8, 0.027559), (78748.5, 0.0)),
        first=217107085,
        last=217107085,
        venue_ts=1787612486_108_000_000,
    )


def test_a_snapshot_begins_the_count() -> None:
    (snapshot,) = FEED.parse(SNAPSHOT.encode(), BTC)
    assert snapshot == VenueSnapshot(
        bids=((78715.0, 1.271882),),
        asks=((78715.1, 0.5),),
        sequence=217107084,
        venue_ts=1787612486_091_000_000,
    )


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_number_one_overwrites_the_book_whatever_its_type(kind: str) -> None:
    restarted = SNAPSHOT.replace("217107084", "1").replace('"snapshot"', f'"{kind}"')
    (snapshot,) = FEED.parse(restarted.encode(), BTC)
    assert isinstance(snapshot, VenueSnapshot)
    assert snapshot.sequence == 1


def test_without_the_time_of_the_matching_engine_it_is_that_of_sending() -> None:
    (delta,) = FEED.parse(DELTA.replace(',"cts":1787612486108', "").encode(), BTC)
    assert isinstance(delta, VenueDelta)
    assert delta.venue_ts == 1787612486_116_000_000


def test_a_frame_says_the_same_in_any_order_of_its_keys() -> None:
    for frame in (DELTA, SNAPSHOT, TRADE):
        shuffled = json.dumps(dict(reversed(json.loads(frame).items())))
        assert FEED.parse(shuffled.encode(), BTC) == FEED.parse(frame.encode(), BTC)


def test_a_trade_names_the_taker_s_side() -> None:
    (trade,) = FEED.parse(TRADE.encode(), BTC)
    assert trade == VenueTrade(
        trade_id="2290000001189048101",
        price=65140.5,
        size=0.002705,
        side="buy",
        venue_ts=1786310822_605_000_000,
    )
    (sold,) = FEED.parse(TRADE.replace('"Buy"', '"Sell"').encode(), BTC)
    assert isinstance(sold, VenueTrade)
    assert sold.side == "sell"


def test_another_symbol_or_depth_is_left_out() -> None:
    for frame in (DELTA, SNAPSHOT, TRADE):
        assert list(FEED.parse(frame.encode(), "ETH-USDT")) == []
    for frame in (DELTA, SNAPSHOT):
        assert list(FEED.parse(frame.replace("orderbook.50.", "orderbook.200.").encode(), BTC)) == []
        assert list(BybitFeed(200).parse(frame.encode(), BTC)) == []


def test_answers_are_told_apart() -> None:
    subscribed = (
        b'{"success":true,"ret_msg":"subscribe","conn_id":"d9avrao7pl3bpiuoku0g-7tmms","op":"subscribe"}'
    )
    assert FEED.parse(subscribed, BTC) == (Acknowledged(),)
    pong = b'{"success":true,"ret_msg":"pong","conn_id":"0970e817-426e-429a-a679-ff7f55e0b16a","op":"ping"}'
    assert FEED.parse(pong, BTC) == (Heartbeat(),)
    refused = b'{"success":false,"ret_msg":"args size >10","conn_id":"x","req_id":"","op":"subscribe"}'
    assert FEED.parse(refused, BTC) == (Refused("args size >10"),)


def test_only_the_next_number_applies() -> None:
    assert FEED.step(7, a_delta(8)) is Step.APPLY


@pytest.mark.parametrize(
    ("position", "update_id"),
    [(7, 9), (7, 1_000), (7, 7), (7, 6), (7, 2), (None, 8)],
    ids=["lost", "many lost", "repeated", "late", "after a lost restart", "no snapshot"],
)
def test_any_other_number_is_a_gap(position: int | None, update_id: int) -> None:
    assert FEED.step(position, a_delta(update_id)) is Step.GAP


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-1", "1e400", "", "null", '"x"', "[]", "{}", "true", "1e17", '"NaN"']
)
def test_no_absurd_price_or_size_gets_in(value: str) -> None:
    for frame, good in [(DELTA, '"1.27"'), (DELTA, '"78716.8"'), (SNAPSHOT, '"0.5"')]:
        with pytest.raises(BadFrameError, match="bybit"):
            FEED.parse(frame.replace(good, value).encode(), BTC)


@pytest.mark.parametrize("value", ['"-1"', '"1e400"', "null", '"x"', "[]", "{}", "true", '"NaN"', '"1e17"'])
def test_an_absurd_trade_costs_itself(value: str) -> None:
    for good in ('"65140.5"', '"0.002705"'):
        raw = TRADE.replace(good, value).encode()
        assert is_spared(FEED.parse(raw, BTC), raw)


@pytest.mark.parametrize(
    "raw",
    [
        TRADE.replace('"Buy"', '"None"'),
        TRADE.replace('"2290000001189048101"', f'"{"9" * 65}"'),
        TRADE.replace('"data"', '"date"'),
    ],
)
def test_an_unreadable_frame_of_trades_costs_itself(raw: str) -> None:
    assert is_spared(FEED.parse(raw.encode(), BTC), raw.encode())


def test_an_unreadable_answer_costs_itself() -> None:
    raw = b'{"op":"subscribe","success":"no"}'
    assert is_spared(FEED.parse(raw, BTC), raw, trades=False)


@pytest.mark.parametrize(
    "raw",
    [
        '{"topic":"tickers.BTCUSDT","data":{}}',
        '{"topic":"something"}',
        '{"op":"something","success":true}',
        '{"something":1}',
        "{}",
        "[]",
        '"pong"',
    ],
)
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: str) -> None:
    assert is_ignored(FEED.parse(raw.encode(), BTC))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "pong",
        TRADE[:-30],
        DELTA.replace('"topic"', '"topik"'),
        DELTA[:-30],
        DELTA.replace("217107085", "-1"),
        DELTA.replace("217107085", str(2**63)),
        DELTA.replace('"u":217107085,', ""),
        DELTA.replace('"s":"BTCUSDT"', '"s":"ETHUSDT"'),
        DELTA.replace('"delta"', '"partial"'),
        DELTA.replace('"data"', '"date"'),
        SNAPSHOT.replace('"0.5"', '"-1"'),
        '{"topic":7}',
        '{"topic":"orderbook.50.BTCUSDT","type":"delta","data":' + "[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: str) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(raw.encode(), BTC)


def test_one_request_asks_for_the_book_and_trades_of_the_symbol() -> None:
    (sent,) = FEED.subscribe(BTC)
    assert json.loads(sent) == {"op": "subscribe", "args": ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"]}
    assert (
        FEED.stream_url("wss://stream.bybit.com", BTC) == "wss://stream.bybit.com/v5/public/spot"
    )  # no symbol


def test_a_deeper_book_is_another_venue_with_a_topic_of_its_own() -> None:
    deep = BybitFeed(200)
    assert (deep.venue, deep.depth) == ("bybit-200", 200)
    assert "orderbook.200.BTCUSDT" in deep.subscribe(BTC)[0]
    assert (FEED.venue, FEED.depth) == ("bybit", 50)


@pytest.mark.parametrize("depth", [0, 1, 25, 500])
def test_a_depth_without_deltas_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="50, 200, 1000"):
        BybitFeed(depth)


def test_a_pong_is_due_before_the_connection_counts_as_silent() -> None:
    assert json.loads(FEED.ping()) == {"op": "ping"}
    assert FEED.ping_interval_s is not None
    assert FEED.ping_interval_s <= 20
    assert 2 * FEED.ping_interval_s < FEED.silence_s


def test_candles_are_asked_for_a_thousand_intervals_at_once() -> None:
    since_ms = 1_700_006_400_000
    assert FEED.candles_url("https://api.bybit.com", BTC, "1d", since_ms * 10**6) == (
        "https://api.bybit.com/v5/market/kline?category=spot&symbol=BTCUSDT&interval=D"
        f"&start={since_ms}&end={since_ms + 1000 * 86_400_000 - 1}&limit=1000"
    )


def test_candles_come_oldest_first_and_the_last_may_be_open() -> None:
    rows = [["120000", "11", "11.5", "11", "11.2", "0", "0"], ["60000", "10", "12", "9", "11", "5.5", "60.5"]]
    result = {"category": "spot", "symbol": "BTCUSDT", "list": rows}
    body = json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode()
    first, last = FEED.parse_candles(body, BTC, "1m")
    prices = (first.open_ts, first.open, first.high, first.low, first.close, first.volume)
    assert prices == (60_000_000_000, 10.0, 12.0, 9.0, 11.0, 5.5)
    assert (first.closed, last.closed) == (True, False)
    assert (first.trades, last.trades) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [b'{"retCode":10001,"retMsg":"Not supported symbols","result":{}}', b'{"result":{}}', b"[]", b""],
)
def test_a_reply_without_candles_says_what_it_was(body: bytes) -> None:
    with pytest.raises(BadFrameError) as caught:
        FEED.parse_candles(body, BTC, "1m")
    assert repr(body)[2:-1] in str(caught.value)


def test_candles_that_go_back_in_time_are_refused() -> None:
    row = ["60000", "10", "12", "9", "11", "5.5", "60.5"]
    body = json.dumps({"retCode": 0, "result": {"list": [row, row]}}).encode()
    with pytest.raises(BadFrameError, match="not after"):
        FEED.parse_candles(body, BTC, "1m")


def spot_frames(path: Path) -> Iterator[Frame]:
    records = (record for record in open_recording(path).records() if isinstance(record, Frame))
    return (record for record in records if record.url.endswith("/v5/public/spot"))


@needs_recordings
@pytest.mark.parametrize(
    ("path", "venue", "deltas"),
    [
        (BYBIT_FIXTURE, "bybit", {BTC: 8}),
        (BYBIT, "bybit-200", {BTC: 299, "ETH-USDT": 249}),
    ],
    ids=["50 levels", "200 levels"],
)
def test_the_recorded_books_have_no_gap_and_fill_their_window(
    path: Path, venue: str, deltas: dict[str, int]
) -> None:
    for symbol, expected in deltas.items():
        feed = FEEDS[venue]
        book = BookMaintainer(feed, symbol, 0, buffer_limit=1, owner="test")
        book.sync(0, "connected")
        kinds: Counter[type] = Counter()
        for now, frame in enumerate(spot_frames(path)):
            for message in feed.parse(frame.text.encode(), symbol):
                kinds[type(message)] += 1
                match message:
                    case VenueSnapshot():
                        book.on_snapshot(message, now)
                    case VenueDelta():
                        assert book.on_delta(message, now)
                        assert len(book.book.bids()) == len(book.book.asks()) == feed.depth
                        assert not book.book.crossed
        assert (kinds[VenueSnapshot], kinds[VenueDelta]) == (1, expected)
        assert book.live
        assert (book.counts.gaps, book.counts.orphan_deletes) == (0, 0)


@needs_recordings
def test_the_recorded_trades_are_read() -> None:
    frames = [frame.text.encode() for frame in spot_frames(BYBIT)]
    trades = [item for raw in frames for item in FEED.parse(raw, BTC) if isinstance(item, VenueTrade)]
    assert len(trades) >= 11
    assert len({trade.trade_id for trade in trades}) == len(trades)
    assert all(64_000 < trade.price < 66_000 for trade in trades)
