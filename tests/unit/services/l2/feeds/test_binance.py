from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.order_book import OrderBook
from services.l2.feeds.binance import BinanceFeed
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import (
    Acknowledged,
    BestQuote,
    Reconnect,
    Refused,
    VenueDelta,
    VenueTrade,
)
from simulator.recordings import Frame, RestReply, open_recording
from tests.recordings import BINANCE_SPOT, needs_recordings
from tests.spared import is_ignored, is_spared

FEED = BinanceFeed()
BTC = "BTC-USDT"
DEPTH: dict[str, Any] = {
    "e": "depthUpdate",
    "E": 1723161255208,
    "s": "BTCUSDT",
    "U": 157,
    "u": 160,
    "b": [["61737.63000000", "0.00000000"], ["61730.17000000", "1.50000000"]],
    "a": [["61837.64000000", "1.54698000"]],
}


def a_frame(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def a_depth(**changed: Any) -> bytes:
    return a_frame("btcusdt@depth@100ms", **(DEPTH | changed))


def a_trade(**changed: Any) -> bytes:
    trade = {
        "e": "trade",
        "E": 2,
        "s": "BTCUSDT",
        "t": 77,
        "p": "61837.63",
        "q": "0.02",
        "T": 1723161255342,
        "m": True,
        "M": True,
    }
    return a_frame("btcusdt@trade", **(trade | changed))


def test_a_diff_becomes_a_delta_with_its_ids() -> None:
    assert FEED.parse(a_depth(), BTC) == (
        VenueDelta(
            bids=((61737.63, 0.0), (61730.17, 1.5)),
            asks=((61837.64, 1.54698),),
            first=157,
            last=160,
            venue_ts=1723161255208_000_000,
        ),
    )


@pytest.mark.parametrize(("buyer_is_maker", "side"), [(True, "sell"), (False, "buy")])
def test_the_aggressor_is_whoever_was_not_the_maker(buyer_is_maker: bool, side: str) -> None:  # noqa: FBT001 -- a table's column
    (trade,) = FEED.parse(a_trade(m=buyer_is_maker), BTC)
    assert isinstance(trade, VenueTrade)
    assert (trade.trade_id, trade.price, trade.size, trade.side) == ("77", 61837.63, 0.02, side)
    assert trade.venue_ts == 1723161255342_000_000


def test_a_book_ticker_is_the_best_quote_at_its_id() -> None:
    raw = a_frame(
        "btcusdt@bookTicker", u=212, s="BTCUSDT", b="61837.63", B="3.78826", a="61837.64", A="1.54698"
    )
    assert FEED.parse(raw, BTC) == (
        BestQuote(sequence=212, bid=(61837.63, 3.78826), ask=(61837.64, 1.54698)),
    )


def test_frames_about_something_else_say_nothing_of_this_book() -> None:
    assert FEED.parse(a_frame("ethusdt@depth@100ms", **(DEPTH | {"s": "ETHUSDT"})), BTC) == ()
    assert FEED.parse(b'{"result":null,"id":1}', BTC) == (Acknowledged(),)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"e":"serverShutdown","E":1770123456789}',
        b'{"stream":"serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"event":{"e":"serverShutdown","E":1770123456789}}',
    ],
)
def test_a_shutdown_raw_or_in_combined_form_asks_for_a_new_connection(raw: bytes) -> None:
    assert FEED.parse(raw, BTC) == (Reconnect("serverShutdown"),)


@pytest.mark.parametrize(
    "raw",
    [
        a_frame("btcusdt@kline_1m", k={}),
        a_frame("btcusdt@something", x=1),
        a_frame("!miniTicker@arr", x=1),
        b'{"e":"something","E":1770123456789}',
        b'{"event":{"e":"something"}}',
        b'{"something":1}',
        b"{}",
        b"[]",
        b"null",
        b'[{"e":"24hrMiniTicker"}]',
    ],
)
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, BTC))


@pytest.mark.parametrize(
    "sides",
    [
        {"b": "0.00000000", "B": "0.00000000"},
        {"a": "0", "A": "0"},
        {"b": "", "B": ""},
        {"b": "0", "a": "0"},
        {"a": ""},
    ],
)
def test_a_best_quote_with_an_empty_side_is_ignored(sides: dict[str, str]) -> None:
    quote = {"u": 212, "s": "BTCUSDT", "b": "61837.63", "B": "3.7", "a": "61837.64", "A": "1.5"}
    assert is_ignored(FEED.parse(a_frame("btcusdt@bookTicker", **(quote | sides)), BTC))


@pytest.mark.parametrize("changed", [{"b": "-1"}, {"B": "x"}, {"u": None}, {"s": "ETHUSDT"}, {"a": None}])
def test_an_unreadable_best_quote_costs_itself(changed: dict[str, Any]) -> None:
    quote = {"u": 212, "s": "BTCUSDT", "b": "61837.63", "B": "3.7", "a": "61837.64", "A": "1.5"}
    raw = a_frame("btcusdt@bookTicker", **(quote | changed))
    assert is_spared(FEED.parse(raw, BTC), raw, trades=False)


def test_a_trade_of_nothing_keeps_its_id() -> None:
    (trade,) = FEED.parse(a_trade(q="0.00000000"), BTC)
    assert isinstance(trade, VenueTrade)
    assert (trade.trade_id, trade.size) == ("77", 0.0)


def test_a_refusal_keeps_the_venue_s_words() -> None:
    raw = b'{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":1}'
    assert FEED.parse(raw, BTC) == (Refused("2 Invalid request: unknown stream"),)


@pytest.mark.parametrize(
    "price",
    ["NaN", "nan", "Infinity", "-inf", "-1", "0", "0.0", "1e13", "1e400", "", "x", None, True, [], {}],
)
def test_no_absurd_price_gets_in(price: Any) -> None:
    with pytest.raises(BadFrameError, match="binance"):
        FEED.parse(a_depth(b=[[price, "1"]]), BTC)
    assert is_spared(FEED.parse(a_trade(p=price), BTC), a_trade(p=price))


@pytest.mark.parametrize(
    "size", ["NaN", "nan", "Infinity", "-inf", "-1", "-0.00001", "1e16", "1e400", "", "x", None, True, []]
)
def test_no_absurd_size_gets_in(size: Any) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(a_depth(a=[["1", size]]), BTC)
    assert is_spared(FEED.parse(a_trade(q=size), BTC), a_trade(q=size))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b'[{"stream":',
        a_trade()[:-20],  # nobody knows which stream's it was
        a_depth().replace(b'"stream"', b'"strean"'),
        b'{"e":"depthUpdate","s":"BTCUSDT"}',
        b'{"stream":7,"data":{}}',
        b'{"stream":"btcusdt@depth@100ms"}',
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"something"}}',
        b"\xff\xfe\x00",
        a_depth()[:-40],
        a_depth() + b"x",
        a_depth(U=161),
        a_depth(U=-1),
        a_depth(u=2**63),
        a_depth(u=10**40),
        a_depth(e="depth"),
        a_depth(s="ETHUSDT"),
        a_depth(b=None),
        a_depth(b=[["1"]]),
        a_depth(b=[["1", "1", "1"]]),
        a_depth(b="[]"),
        b'{"stream":"btcusdt@depth@100ms","data":' + b"[" * 100_000,
        b'{"stream":"btcusdt@depth@100ms","data":' + b'{"x":' * 100_000,
        b'{"stream":"btcusdt@depth\xff","data":{}}',
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: bytes) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(raw, BTC)


def test_of_a_repeated_key_the_last_counts() -> None:
    raw = a_depth().replace(b'"u": 160', b'"u": 158, "u": 159')
    (delta,) = FEED.parse(raw, BTC)
    assert isinstance(delta, VenueDelta)
    assert delta.last == 159


@pytest.mark.parametrize(
    ("position", "first", "last", "step"),
    [
        (160, 150, 159, Step.OLD),
        (160, 150, 160, Step.OLD),
        (160, 150, 161, Step.APPLY),  # straddles the snapshot
        (160, 161, 165, Step.APPLY),
        (160, 162, 165, Step.GAP),
        (None, 1, 2, Step.GAP),
    ],
)
def test_continuity_is_the_venue_s_rule(position: int | None, first: int, last: int, step: Step) -> None:
    assert FEED.step(position, VenueDelta(bids=(), asks=(), first=first, last=last)) is step


def test_addresses_are_the_venue_s() -> None:
    base = "wss://stream.binance.com:9443"
    assert FEED.stream_url(base, BTC) == (
        f"{base}/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"
    )
    assert FEED.subscribe(BTC) == ()
    assert FEED.snapshot_url("https://x", BTC) == "https://x/api/v3/depth?symbol=BTCUSDT&limit=5000"
    assert FEED.candles_url("https://x", BTC, "1m", 1_700_000_000_000_000_000) == (
        "https://x/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1700000000000&limit=1000"
    )


def test_a_snapshot_carries_the_id_that_deltas_follow() -> None:
    snapshot = FEED.parse_snapshot(b'{"lastUpdateId":160,"bids":[["4.0","431.0"]],"asks":[["4.1","12.0"]]}')
    assert (snapshot.sequence, snapshot.bids, snapshot.asks) == (160, ((4.0, 431.0),), ((4.1, 12.0),))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b'{"lastUpdateId":1,"bids":[["1","-1"]],"asks":[]}',
    ],
)
def test_a_reply_that_is_no_snapshot_says_what_it_was(body: bytes) -> None:
    with pytest.raises(BadFrameError) as caught:
        FEED.parse_snapshot(body)
    assert repr(body) in str(caught.value)


def a_kline(open_ms: int, low: str = "9", high: str = "12") -> list[Any]:
    return [open_ms, "10", high, low, "11", "5.5", open_ms + 59_999, "60.5", 7, "1", "11", "0"]


def test_klines_become_candles_of_which_only_the_last_may_be_open() -> None:
    body = json.dumps([a_kline(0), a_kline(60_000)]).encode()
    first, last = FEED.parse_candles(body, BTC, "1m")
    assert (first.open_ts, first.open, first.high, first.low, first.close) == (0, 10.0, 12.0, 9.0, 11.0)
    assert (first.volume, first.trades, first.interval, first.symbol) == (5.5, 7, "1m", BTC)
    assert (first.closed, last.closed) == (True, False)
    assert last.open_ts == 60_000_000_000


@pytest.mark.parametrize(
    "klines",
    [
        [a_kline(60_000), a_kline(0)],
        [a_kline(0), a_kline(0)],
        [a_kline(0, low="10.5")],
        [a_kline(0, high="10.5")],
        [[1, 2]],
        {},
    ],
)
def test_klines_that_contradict_themselves_are_refused(klines: Any) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse_candles(json.dumps(klines).encode(), BTC, "1m")


@needs_recordings
def test_the_recording_splices_without_a_gap_and_agrees_with_every_best_quote() -> None:
    book = OrderBook()
    position: int | None = None
    held: list[VenueDelta] = []
    quotes: dict[int, BestQuote] = {}
    seen = {"deltas": 0, "gaps": 0, "crossed": 0, "equal": 0, "differ": 0, "trades": 0, "held": 0}

    def apply(delta: VenueDelta) -> None:
        nonlocal position
        step = FEED.step(position, delta)
        if step is Step.OLD:
            return
        seen["gaps"] += step is Step.GAP
        book.apply(delta.bids, delta.asks)
        position = delta.last
        seen["crossed"] += book.crossed

    def compare() -> None:
        # Quotes come before the diff that contains them, and now and then after it.
        quote = quotes.pop(position, None) if position is not None else None
        if quote is not None:
            agree = (book.best_bid, book.best_ask) == (quote.bid, quote.ask)
            seen["equal" if agree else "differ"] += 1

    for path in BINANCE_SPOT:
        for record in open_recording(path).records():
            if isinstance(record, RestReply):
                snapshot = FEED.parse_snapshot(record.text.encode())
                if position is None:
                    book.load(snapshot.bids, snapshot.asks)
                    position = snapshot.sequence
                    for delta in held:
                        apply(delta)
                    seen["held"] = len(held)
                continue
            assert isinstance(record, Frame)
            for message in FEED.parse(record.text.encode(), BTC):
                if isinstance(message, VenueDelta):
                    seen["deltas"] += 1
                    if position is None:
                        held.append(message)
                    else:
                        apply(message)
                        compare()
                elif isinstance(message, BestQuote):
                    quotes[message.sequence] = message
                    compare()
                elif isinstance(message, VenueTrade):
                    seen["trades"] += 1
    assert seen["held"] > 0
    assert (seen["gaps"], seen["crossed"], seen["differ"]) == (0, 0, 0)
    assert (seen["equal"], seen["deltas"], seen["trades"]) == (1072, 6495, 19904)
