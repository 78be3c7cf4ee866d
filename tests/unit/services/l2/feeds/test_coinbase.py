from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.order_book import OrderBook
from services.l2.feeds.coinbase import CoinbaseFeed
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import (
    Acknowledged,
    FrameNumber,
    Heartbeat,
    Ignored,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from simulator.recordings import Frame, open_recording
from tests.recordings import COINBASE, needs_recordings
from tests.spared import is_ignored, is_spared

if TYPE_CHECKING:
    from collections.abc import Iterator

FEED = CoinbaseFeed()
BTC = "BTC-USD"
UPDATE = (
    '{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.505350477Z","sequence_num":14,"events":[{"type":"update",'
    '"product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.210883Z",'
    '"price_level":"65062.5","new_quantity":"0.00583"},{"side":"offer","event_time":"2026-08-09T21:05:48.210883Z",'
    '"price_level":"65083.67","new_quantity":"0"}]}]}'
)
TRADES = (
    '{"channel":"market_trades","timestamp":"2026-08-09T21:05:49.25328358Z","sequence_num":50,"events":[{"type":'
    '"update","trades":[{"product_id":"BTC-USD","trade_id":"1068572093","price":"65083.67","size":"0.4","time":'
    '"2026-08-09T21:05:49.205818Z","side":"SELL"},{"product_id":"BTC-USD","trade_id":"1068572092","price":'
    '"65083.66","size":"0.00171442","time":"2026-08-09T21:05:49.205817Z","side":"BUY"}]}]}'
)
HEARTBEAT = (
    b'{"channel":"heartbeats","timestamp":"2026-08-09T21:05:48.856364007Z","sequence_num":35,"events":[{"current_time":'
    b'"2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341","heartbeat_counter":41691}]}'
)


def recorded() -> Iterator[Frame]:
    return (record for record in open_recording(COINBASE).records() if isinstance(record, Frame))


def test_an_update_is_split_by_side_and_carries_the_frames_number() -> None:
    assert FEED.parse(UPDATE.encode(), BTC) == (
        FrameNumber(14),
        VenueDelta(
            bids=((65062.5, 0.00583),),
            asks=((65083.67, 0.0),),
            first=14,
            last=14,
            venue_ts=1786309548_505_350_000,
        ),
    )


def test_an_update_is_the_same_whatever_the_order_of_its_keys() -> None:
    reordered = json.dumps(dict(reversed(json.loads(UPDATE).items()))).encode()
    assert FEED.parse(reordered, BTC) == FEED.parse(UPDATE.encode(), BTC)


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00", "0.000", "0.000000", "0.00000000"])
def test_zero_deletes_however_it_is_spelt(zero: str) -> None:
    _, delta = FEED.parse(UPDATE.replace('"0.00583"', f'"{zero}"').encode(), BTC)
    assert isinstance(delta, VenueDelta)
    assert delta.bids == ((65062.5, 0.0),)


def test_trades_are_told_oldest_first_with_the_takers_side() -> None:
    number, *trades = FEED.parse(TRADES.encode(), BTC)
    assert number == FrameNumber(50)
    assert trades == [
        VenueTrade(
            trade_id="1068572092",
            price=65083.66,
            size=0.00171442,
            side="sell",
            venue_ts=1786309549_205_817_000,
        ),
        VenueTrade(
            trade_id="1068572093", price=65083.67, size=0.4, side="buy", venue_ts=1786309549_205_818_000
        ),
    ]


def test_trades_of_before_the_subscription_are_not_told_again() -> None:
    assert FEED.parse(TRADES.replace('"update"', '"snapshot"').encode(), BTC) == (FrameNumber(50),)


def test_frames_of_other_products_and_channels_are_counted_too() -> None:
    assert FEED.parse(UPDATE.encode(), "ETH-USD") == (FrameNumber(14),)
    assert FEED.parse(TRADES.encode(), "ETH-USD") == (FrameNumber(50),)
    assert FEED.parse(HEARTBEAT, BTC) == (FrameNumber(35), Heartbeat())
    ticker = HEARTBEAT.replace(b"heartbeats", b"ticker")
    assert FEED.parse(ticker, BTC) == (FrameNumber(35), Ignored("a channel 'ticker'"))


@pytest.mark.parametrize(
    "raw", [b'{"type":"something"}', b'{"type":"something","sequence_num":3}', b'{"x":1}', b"{}", b"[]", b"7"]
)
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, BTC))


def test_a_number_is_read_where_nothing_else_can_be() -> None:
    for broken in ('"sell"', "7"):
        raw = TRADES.replace('"SELL"', broken).encode()
        assert FEED.parse(raw, BTC)[0] == FrameNumber(50)
        assert is_spared(FEED.parse(raw, BTC), raw)


def test_answers_are_told_apart() -> None:
    accepted = HEARTBEAT.replace(b"heartbeats", b"subscriptions")
    assert FEED.parse(accepted, BTC) == (FrameNumber(35), Acknowledged())
    refused = b'{"type":"error","message":"Failed to subscribe","reason":"FOO-BAR is not a valid product"}'
    assert FEED.parse(refused, BTC) == (Refused("Failed to subscribe: FOO-BAR is not a valid product"),)
    assert FEED.parse(b'{"type":"error"}', BTC) == (Refused("without a reason"),)


def test_a_delta_older_than_the_book_is_a_gap() -> None:
    _, delta = FEED.parse(UPDATE.encode(), BTC)
    assert isinstance(delta, VenueDelta)
    assert [FEED.step(position, delta) for position in (None, 13, 14, 15)] == [
        Step.GAP,
        Step.APPLY,
        Step.APPLY,  # of another event in the same frame
        Step.GAP,
    ]


@pytest.mark.parametrize(
    "price", ['"NaN"', "NaN", '"-1"', '"0"', '"1e13"', '"1e400"', "null", "true", "[]", "{}", '""', '"1,5"']
)
def test_no_absurd_price_gets_in(price: str) -> None:
    with pytest.raises(BadFrameError, match="coinbase"):
        FEED.parse(UPDATE.replace('"65062.5"', price).encode(), BTC)
    raw = TRADES.replace('"65083.66"', price).encode()
    if price != "NaN":  # which is no JSON, so that nobody knows whose it was
        assert is_spared(FEED.parse(raw, BTC), raw)


@pytest.mark.parametrize("size", ['"NaN"', '"-1"', '"-0.1"', '"1e16"', '"Infinity"', "null", "[]", '""'])
def test_no_absurd_size_gets_in(size: str) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(UPDATE.replace('"0.00583"', size).encode(), BTC)
    raw = TRADES.replace('"0.4"', size).encode()
    assert is_spared(FEED.parse(raw, BTC), raw)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        UPDATE[:-30],
        TRADES[:-30],
        UPDATE.replace('"channel"', '"chanel"'),
        UPDATE.replace('"sequence_num":14,', ""),
        UPDATE.replace(":14,", ":-1,"),
        UPDATE.replace(":14,", f":{2**63},"),
        UPDATE.replace('"offer"', '"ask"'),
        UPDATE.replace('"type":"update"', '"type":"other"'),
        UPDATE.replace('"events"', '"event"'),
        UPDATE.replace("48.505350477Z", "48.505350477"),
        '{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":1,"events":' + "[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: str) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(raw.encode(), BTC)


@pytest.mark.parametrize(
    ("raw", "trades"),
    [
        (TRADES.replace('"sequence_num":50,', ""), True),
        (TRADES.replace('"SELL"', '"sell"'), True),
        (TRADES.replace('"1068572093"', '"x"'), True),
        (TRADES.replace('"events"', '"event"'), True),
        ('{"channel":"heartbeats","events":[]}', False),
        ('{"type":"error","message":7}', False),
    ],
)
def test_an_unreadable_frame_of_something_else_costs_itself(raw: str, trades: bool) -> None:  # noqa: FBT001 -- a table's column
    assert is_spared(FEED.parse(raw.encode(), BTC), raw.encode(), trades=trades)


def test_each_channel_is_subscribed_by_a_message_of_its_own() -> None:
    messages = [json.loads(text) for text in FEED.subscribe(BTC)]
    assert [message.pop("channel") for message in messages] == ["level2", "market_trades", "heartbeats"]
    assert messages == [{"type": "subscribe", "product_ids": ["BTC-USD"]}] * 3
    base = "wss://advanced-trade-ws.coinbase.com"
    assert FEED.stream_url(base, BTC) == f"{base}/"


def test_candles_are_asked_for_in_pages_that_the_venue_serves() -> None:
    url = FEED.candles_url("https://api.coinbase.com", "BTC-USDT", "1d", 1_700_000_000_000_000_000)
    assert url == (
        "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USDT/candles"
        "?start=1699920000&end=1725753600&granularity=ONE_DAY"
    )
    assert (1725753600 - 1699920000) // 86_400 < 300


def test_candles_come_newest_first_and_are_told_oldest_first() -> None:
    rows: list[dict[str, Any]] = [
        {"start": "120", "low": "11", "high": "11", "open": "11", "close": "11", "volume": "0.5"},
        {"start": "60", "low": "9", "high": "12", "open": "10", "close": "11", "volume": "5.5"},
    ]
    first, last = FEED.parse_candles(json.dumps({"candles": rows}).encode(), "BTC-USDT", "1m")
    assert (first.open_ts, first.open, first.high, first.low, first.close, first.volume) == (
        60_000_000_000,
        10.0,
        12.0,
        9.0,
        11.0,
        5.5,
    )
    assert (first.closed, last.closed, last.open_ts) == (True, False, 120_000_000_000)
    assert FEED.parse_candles(b'{"candles":[]}', "BTC-USDT", "1m") == ()


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"NOT_FOUND","error_details":"valid product_id is required"}',
        b"[]",
        b"",
        b'{"candles":[{"start":"60","low":"9","high":"12","open":"NaN","close":"11","volume":"5.5"}]}',
    ],
)
def test_a_reply_without_candles_says_what_it_was(body: bytes) -> None:
    with pytest.raises(BadFrameError) as caught:
        FEED.parse_candles(body, BTC, "1m")
    assert repr(body)[2:-1] in str(caught.value)


@needs_recordings
def test_all_1030_recorded_frames_are_numbered_without_a_hole() -> None:
    numbers = []
    for frame in recorded():
        number = FEED.parse(frame.text.encode(), BTC)[0]
        assert isinstance(number, FrameNumber)
        numbers.append(number.number)
    assert numbers == list(range(1030))


@needs_recordings
@pytest.mark.parametrize(
    ("symbol", "messages", "agreed", "tickers"), [("BTC-USD", 400, 70, 70), ("ETH-USD", 375, 62, 84)]
)
def test_the_recorded_books_are_never_crossed_and_agree_with_132_of_154_tickers(
    symbol: str, messages: int, agreed: int, tickers: int
) -> None:
    book, read, position = OrderBook(), 0, None
    agrees: list[bool] = []
    for frame in recorded():
        for message in FEED.parse(frame.text.encode(), symbol):
            if isinstance(message, VenueSnapshot):
                told = [frame.text.count(f'"side":"{side}"') for side in ("bid", "offer")]
                assert [len(message.bids), len(message.asks)] == told
                book.load(message.bids, message.asks)
                read, position = read + 1, message.sequence
            elif isinstance(message, VenueDelta):
                assert FEED.step(position, message) is Step.APPLY
                book.apply(message.bids, message.asks)
                read, position = read + 1, message.last
                assert not book.crossed
        if read and frame.text.startswith('{"channel":"ticker"') and symbol in frame.text:
            ticker = json.loads(frame.text)["events"][0]["tickers"][0]
            assert book.best_bid is not None
            assert book.best_ask is not None
            best = [book.best_bid[0], book.best_ask[0]]
            agrees.append([float(ticker["best_bid"]), float(ticker["best_ask"])] == best)
    assert read == messages
    assert (sum(agrees), len(agrees)) == (agreed, tickers)  # another channel: at times ahead or behind


@needs_recordings
def test_recorded_buyers_lift_the_ask_and_sellers_hit_the_bid() -> None:
    book = OrderBook()
    sides: Counter[tuple[str, str]] = Counter()
    for frame in recorded():
        for message in FEED.parse(frame.text.encode(), BTC):
            if isinstance(message, VenueSnapshot):
                book.load(message.bids, message.asks)
            elif isinstance(message, VenueDelta):
                book.apply(message.bids, message.asks)
            elif isinstance(message, VenueTrade) and book.best_bid and book.best_ask:
                to_bid, to_ask = message.price - book.best_bid[0], book.best_ask[0] - message.price
                sides[message.side, "bid" if to_bid < to_ask else "ask"] += 1
    with_the_book = sides["buy", "ask"] + sides["sell", "bid"]
    assert with_the_book > 10 * (sides["buy", "bid"] + sides["sell", "ask"])
