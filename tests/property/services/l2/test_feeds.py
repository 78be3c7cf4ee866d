"""A hostile venue: any bytes end as messages with sane numbers or as `BadFrameError`, and nothing else."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from services.l2.feeds import FEEDS
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.venue_messages import (
    BestQuote,
    FrameNumber,
    Ignored,
    Unread,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from services.l2.stamps import StampGate
from tests.hostile_frames import INT64, mutated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from services.l2.feeds.feed import Feed
    from services.l2.feeds.venue_messages import VenueMessage

SYMBOL = "BTC-USDT"

# Real frames, cut to few levels; kraken-v1's pair spelled for the symbol above.
FRAMES: dict[str, tuple[str, ...]] = {
    "binance": (
        (
            '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,'
            '"b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"],["61839.85000000","0.00000000"]]}}'
        ),
        (
            '{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
            '"a":"61837.64000000","A":"1.54698000"}}'
        ),
        (
            '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000",'
            '"q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
        ),
        '{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.60520000"]]}',
        '[[1499040000000,"0.0163","0.8","0.0157","0.0157","148976.1",1499644799999,"2434.1",308,"1756.8","28.4","0"]]',
        '{"error":{"code":2,"msg":"Invalid request"},"id":1}',
    ),
    "binance-usdm": (
        (
            '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161256352,"T":1723161256352,"s":"BTCUSDT",'
            '"U":5123107837801,"u":5123107842679,"pu":5123107837557,"b":[["55620.20","0.000"]],"a":[["61800.30","2.305"]]}}'
        ),
        (
            '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,'
            '"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
        ),
        (
            '{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],'
            '"asks":[["61800.30","0.696"]]}'
        ),
    ),
    "binance-coinm": (
        (
            '{"stream":"btcusdt_perp@depth@100ms","data":{"e":"depthUpdate","E":1723161257460,"T":1723161257451,'
            '"s":"BTCUSDT_PERP","ps":"BTCUSDT","U":1007198631580,"u":1007198631835,"pu":1007198631565,'
            '"b":[["61777.6","0"]],"a":[["61801.4","293"]]}}'
        ),
        (
            '{"stream":"btcusdt_perp@bookTicker","data":{"u":1007198632021,"e":"bookTicker","s":"BTCUSDT_PERP",'
            '"ps":"BTCUSDT","b":"61804.7","B":"35","a":"61804.8","A":"1645","T":1723161257465,"E":1723161257476}}'
        ),
    ),
    "bitstamp": (
        (
            '{"data":{"timestamp":"1641343691","microtimestamp":"1641343691244908","bids":[["1.15979","993.02588113"]],'
            '"asks":[["1.16601","0.00000000"]]},"channel":"diff_order_book_btcusdt","event":"data"}'
        ),
        (
            '{"data":{"id":216000477,"timestamp":"1641343699","amount":0.0792,"amount_str":"0.07920000","price":3805.44,'
            '"price_str":"3805.44","type":0,"microtimestamp":"1641343699596000","buy_order_id":1443875737346049,'
            '"sell_order_id":1443875731320832},"channel":"live_trades_btcusdt","event":"trade"}'
        ),
        '{"timestamp":"1641343695","microtimestamp":"1641343695572693","bids":[["0.14695","4567.4"]],"asks":[["0.15","1"]]}',
        '{"data":{"pair":"BTC/USDT","ohlc":[{"timestamp":"1640995200","open":"9","high":"12","low":"9","close":"11","volume":"5.5"}]}}',
        '{"event":"bts:error","channel":"","data":{"code":null,"message":"Incorrect JSON format."}}',
    ),
    "coinbase": (
        (
            '{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.505350477Z","sequence_num":14,"events":[{"type":"update",'
            '"product_id":"BTC-USDT","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65062.5",'
            '"new_quantity":"0.00583"},{"side":"offer","event_time":"x","price_level":"65083.67","new_quantity":"0"}]}]}'
        ),
        (
            '{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.48Z","sequence_num":13,"events":[{"type":"snapshot",'
            '"product_id":"BTC-USDT","updates":[{"side":"bid","event_time":"x","price_level":"65083.66","new_quantity":"0.2"}]}]}'
        ),
        (
            '{"channel":"market_trades","timestamp":"2026-08-09T21:05:49.25Z","sequence_num":50,"events":[{"type":"update",'
            '"trades":[{"product_id":"BTC-USDT","trade_id":"1068572092","price":"65083.66","size":"0.00171442",'
            '"time":"2026-08-09T21:05:49.205817Z","side":"BUY"}]}]}'
        ),
        '{"channel":"subscriptions","timestamp":"2026-08-09T21:05:48Z","sequence_num":2,"events":[{"subscriptions":{}}]}',
        '{"candles":[{"start":"60","low":"9","high":"12","open":"10","close":"11","volume":"5.5"}]}',
        '{"type":"error","message":"Failed to subscribe","reason":"no"}',
    ),
    "coinbase-exchange": (
        (
            '{"type":"l2update","product_id":"BTC-USDT","changes":[["sell","0.00001306","660.5"],["buy","0.00001305","0.0"]],'
            '"time":"2021-04-17T16:43:37.075687Z"}'
        ),
        '{"type":"snapshot","product_id":"BTC-USDT","asks":[["14.8024","12.77"]],"bids":[["14.7550","1.00"]]}',
        (
            '{"type":"match","trade_id":280232,"maker_order_id":"2a0da34e","taker_order_id":"3c82abaa","side":"sell",'
            '"size":"985","price":"0.00001305","product_id":"BTC-USDT","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}'
        ),
        '{"type":"error","message":"Failed to subscribe","reason":"no"}',
        "[[60,9,12,10,11,5.5]]",
    ),
    "bybit": (
        (
            '{"topic":"orderbook.50.BTCUSDT","ts":1787612486196,"type":"delta","data":{"s":"BTCUSDT","b":[["78713","0.5"]],'
            '"a":[["78716.8","0"],["78717.8","0.024673"]],"u":217107087,"seq":113099229662},"cts":1787612486194}'
        ),
        (
            '{"topic":"orderbook.50.BTCUSDT","ts":1787612486096,"type":"snapshot","data":{"s":"BTCUSDT",'
            '"b":[["78715","1.271882"]],"a":[["78715.1","0.0297"]],"u":1,"seq":113099229623},"cts":1787612486091}'
        ),
        (
            '{"topic":"publicTrade.BTCUSDT","ts":1786310822606,"type":"snapshot","data":[{"i":"2290000001189048101",'
            '"T":1786310822605,"p":"65140.5","v":"0.002705","S":"Buy","seq":112488547164,"s":"BTCUSDT","BT":false}]}'
        ),
        '{"success":false,"ret_msg":"args size >10","conn_id":"d9avrao7pl3bpiuoku0g-7tmms","op":"subscribe"}',
        (
            '{"retCode":0,"retMsg":"OK","result":{"category":"spot","symbol":"BTCUSDT","list":[["1670608800000","17071",'
            '"17073","17027","17055.5","2.68611","45818.7"]]},"retExtInfo":{},"time":1672025956592}'
        ),
    ),
    "kraken": (
        (
            '{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","bids":[{"price":78858.8,"qty":0.00000000}],"asks":['
            '{"price":78871.6,"qty":4.21103066}],"checksum":2416540570,"timestamp":"2026-08-24T22:21:58.343688Z"}]}'
        ),
        (
            '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USDT","bids":[{"price":78871.5,"qty":0.01266503}],"asks":[],'
            '"checksum":1406471562,"timestamp":"2026-08-24T22:21:57.110183Z"}]}'
        ),
        (
            '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USDT","side":"sell","price":78871.5,"qty":0.4,'
            '"ord_type":"market","trade_id":4665906,"timestamp":"2026-08-24T22:21:58.708706Z"}]}'
        ),
        '{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USDT"},"success":true}',
        '{"error":[],"result":{"BTC/USDT":[[1688671200,"30306.1","30306.2","30305.7","30305.7","30306.1","3.39",23]],"last":1}}',
    ),
    "kraken-v1": (
        (
            '[464,{"a":[["56218.30000","0.00012000","1618678132.123456"]]},{"b":[["56210.1","0.0","1618678131.0","r"]],'
            '"c":"2628179034"},"book-1000","XBT/USDT"]'
        ),
        '[464,{"as":[["56218.30000","0.00012000","1618678132.123456"]],"bs":[]},"book-1000","XBT/USDT"]',
        '[0,[["5541.20000","0.15850568","1534614057.321597","s","l",""]],"trade","XBT/USDT"]',
        '{"channelID":464,"event":"subscriptionStatus","pair":"XBT/USDT","status":"subscribed"}',
    ),
    "okx": (
        (
            '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["78925","0","0","0"]],'
            '"bids":[["78717.4","0.16678032","0","5"]],"ts":"1787612486307","checksum":0,"seqId":80274874887,'
            '"prevSeqId":80274874876}]}'
        ),
        (
            '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0",'
            '"13"]],"bids":[],"ts":"1597026383085","checksum":0,"prevSeqId":-1,"seqId":123456}]}'
        ),
        (
            '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",'
            '"px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","seqId":1234}]}'
        ),
        '{"event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}',
        '{"code":"0","msg":"","data":[["1597026383085","3.7","3.8","3.6","3.7","84.2","22.6","12.6","1"]]}',
    ),
    "okx-v5-2022": (
        (
            '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["30249.4","0","0","0"]],'
            '"bids":[["30182.6","0.452","0","1"]],"ts":"1652459225464","checksum":-914047754}]}'
        ),
        (
            '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["30249.4","1","0","2"]],'
            '"bids":[],"ts":"1652459225464","checksum":47640993}]}'
        ),
    ),
}


def is_of_the_book(venue: str, text: str) -> bool:
    """Tell whether an honest frame shows or changes the book."""
    try:
        said = FEEDS[venue].parse(text.encode(), SYMBOL)
    except BadFrameError:  # a reply
        return False
    return any(isinstance(each, VenueDelta | VenueSnapshot) for each in said)


def _body(text: str) -> tuple[int, int]:
    """Return where the levels of a frame are, behind what says that it is the book's."""
    names = ("bids", "b", "changes", "updates", "a", "as")
    begin = min(at for name in names if (at := text.find(f'"{name}":')) > 0)
    return begin, text.rindex("}" if text.startswith("[") else "]")  # an array names its channel at its end


@st.composite
def hostile_frames(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a venue and a real frame, cut, spliced, or with values replaced."""
    venue = draw(st.sampled_from(sorted(FRAMES)))
    text = draw(st.sampled_from(FRAMES[venue]))
    return venue, draw(mutated(text.encode()))


def sane(price: float, size: float) -> bool:
    return 0 < price <= 1e12 and 0 <= size <= 1e15 and math.isfinite(price + size)


def judged(ts: int | None) -> bool:
    """Tell whether the gate of stamps, asked about it, lets nothing through that no message can hold."""
    return ts is None or -INT64 <= ts < INT64 or not StampGate().admits(ts, time.time_ns())


def check(messages: Iterable[VenueMessage]) -> None:
    for message in messages:
        match message:
            case VenueDelta() | VenueSnapshot():
                assert all(sane(*level) for level in message.bids + message.asks)
                assert judged(message.venue_ts)
                assert len(message.bid_digits) in {0, len(message.bids)}
            case VenueTrade():
                assert sane(message.price, message.size)
                assert (
                    message.size >= 0
                )  # of nothing, it takes its id and is no trade: `test_odd_messages.py`
                assert judged(message.venue_ts)
            case BestQuote():
                assert sane(*message.bid)
                assert sane(*message.ask)
            case FrameNumber():
                assert 0 <= message.number < INT64
            case Unread():
                assert message.reason
            case Ignored():
                assert len(message.what) < 200, "it is logged"
            case _:
                pass
        if isinstance(message, VenueDelta):
            assert message.last is None or 0 <= message.last < INT64


def read_all(feed: Feed, raw: bytes) -> None:
    """Read bytes in every way that the feed reads bytes."""
    readers: list[Callable[[], Any]] = [
        lambda: check(feed.parse(raw, SYMBOL)),
        lambda: feed.parse_candles(raw, SYMBOL, "1m"),
    ]
    if feed.snapshot_by_rest:
        readers.append(lambda: check([feed.parse_snapshot(raw)]))
    for read in readers:
        with suppress(BadFrameError):  # what else is raised fails the test
            read()


@settings(max_examples=600, deadline=None)
@given(hostile_frames())
def test_mutated_real_frames_are_sane_messages_or_bad_frames(frame: tuple[str, bytes]) -> None:
    venue, raw = frame
    read_all(FEEDS[venue], raw)


BOOKS = [(venue, text) for venue, texts in FRAMES.items() for text in texts if is_of_the_book(venue, text)]


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(BOOKS), st.data())
def test_a_frame_of_the_book_is_never_ignored_or_spared_whatever_is_wrong_in_it(
    frame: tuple[str, str], data: st.DataObject
) -> None:
    venue, text = frame
    begin, end = _body(text)
    broken = data.draw(mutated(text[begin:end].encode()))
    raw = text[:begin].encode() + broken + text[end:].encode()
    with suppress(BadFrameError):
        for message in FEEDS[venue].parse(raw, SYMBOL):
            assert not isinstance(message, Ignored | Unread), raw


@pytest.mark.parametrize(("venue", "text"), BOOKS)
def test_a_frame_of_the_book_that_was_cut_is_a_bad_frame_wherever(venue: str, text: str) -> None:
    for end in range(1, len(text)):
        with pytest.raises(BadFrameError):
            FEEDS[venue].parse(text[:end].encode(), SYMBOL)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_bad_frames_at_worst(raw: bytes) -> None:
    for feed in FEEDS.values():
        read_all(feed, raw)


@pytest.mark.parametrize("venue", sorted(FRAMES))
def test_the_frames_that_are_mutated_are_read_as_they_are(venue: str) -> None:
    *numbers, delta = FEEDS[venue].parse(FRAMES[venue][0].encode(), SYMBOL)
    assert all(isinstance(number, FrameNumber) for number in numbers)
    assert isinstance(delta, VenueDelta)
