from __future__ import annotations

import json

import pytest

from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.okx import OkxFeed
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Reconnect,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from simulator.recordings import open_recording
from tests.recordings import OKX_FIXTURE, needs_recordings
from tests.spared import is_ignored, is_spared

FEED = OkxFeed()
BTC = "BTC-USDT"
UPDATE = (
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["78925","0","0","0"]],'
    '"bids":[["78717.4","0.16678032","0","5"]],"ts":"1787612486307","checksum":0,"seqId":80274874887,'
    '"prevSeqId":80274874876}]}'
)
SNAPSHOT = (
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0",'
    '"13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,"prevSeqId":-1,'
    '"seqId":123456}]}'
)
TRADE = (
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",'
    '"px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234}]}'
)


def a_delta(previous: int, last: int) -> VenueDelta:
    return VenueDelta(bids=(), asks=(), first=previous, last=last)


def test_an_update_carries_its_place_in_the_chain() -> None:
    (delta,) = FEED.parse(UPDATE.encode(), BTC)
    assert delta == VenueDelta(
        bids=((78717.4, 0.16678032),),
        asks=((78925.0, 0.0),),
        first=80274874876,
        last=80274874887,
        venue_ts=1787612486_307_000_000,
    )


def test_a_snapshot_begins_a_chain() -> None:
    (snapshot,) = FEED.parse(SNAPSHOT.encode(), BTC)
    assert snapshot == VenueSnapshot(
        bids=((8476.97, 256.0),), asks=((8476.98, 415.0),), sequence=123456, venue_ts=1597026383_085_000_000
    )


def test_a_frame_says_the_same_in_any_order_of_its_keys() -> None:
    for frame in (UPDATE, SNAPSHOT):
        shuffled = json.dumps(dict(reversed(json.loads(frame).items())))
        assert FEED.parse(shuffled.encode(), BTC) == FEED.parse(frame.encode(), BTC)


def test_a_trade_names_the_taker_s_side() -> None:
    (trade,) = FEED.parse(TRADE.encode(), BTC)
    assert trade == VenueTrade(
        trade_id="130639474", price=42219.9, size=0.12060306, side="buy", venue_ts=1630048897_897_000_000
    )


def test_another_symbol_is_left_out() -> None:
    for frame in (UPDATE, SNAPSHOT, TRADE):
        assert list(FEED.parse(frame.encode(), "ETH-USDT")) == []


def test_answers_are_told_apart() -> None:
    subscribed = b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}'
    assert FEED.parse(subscribed, BTC) == (Acknowledged(),)
    assert FEED.parse(subscribed, "ETH-USDT") == ()
    refused = b'{"event":"error","code":"60018","msg":"no such channel","connId":"a4d3ae55"}'
    assert FEED.parse(refused, BTC) == (Refused("60018 no such channel"),)
    counted = b'{"event":"channel-conn-count","channel":"books","connCount":"1","connId":"abcd1234"}'
    for alive in (b"pong", counted):
        assert FEED.parse(alive, BTC) == (Heartbeat(),)


def test_the_notice_of_an_upgrade_asks_for_a_new_connection() -> None:
    text = "The connection will soon be closed for a service upgrade. Please reconnect."
    raw = b'{"event":"notice","code":"64008","msg":"%s","connId":"a4d3ae55"}' % text.encode()
    assert FEED.parse(raw, BTC) == (Reconnect(f"64008 {text}"),)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"event":"notice","code":"1","msg":"x"}',
        b'{"event":"something"}',
        b'{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{}]}',
        b'{"arg":{"channel":"something"},"data":[]}',
        b'{"something":1}',
        b"{}",
        b"[]",
    ],
)
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, BTC))


def test_an_unreadable_event_costs_itself() -> None:
    raw = b'{"event":"error","msg":7}'
    assert is_spared(FEED.parse(raw, BTC), raw, trades=False)


def test_the_official_example_has_no_gap() -> None:
    position = 10  # the snapshot's, whose prevSeqId is -1
    for previous, last in ((10, 15), (15, 15), (15, 3), (3, 5)):
        assert FEED.step(position, a_delta(previous, last)) is Step.APPLY
        position = last


@pytest.mark.parametrize(
    ("position", "previous", "last"),
    [(10, 15, 20), (15, 10, 15), (15, 10, 20), (15, -1, 15), (3, 15, 3), (None, 10, 15)],
)
def test_whatever_does_not_name_the_book_s_id_is_a_gap(
    position: int | None, previous: int, last: int
) -> None:
    assert FEED.step(position, a_delta(previous, last)) is Step.GAP


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-1", "1e400", "", "null", '"x"', "[]", "{}", "true", "1e17", '"NaN"']
)
def test_no_absurd_price_or_size_gets_in(value: str) -> None:
    for frame, good in ((UPDATE, '"0.16678032"'), (UPDATE, '"78717.4"'), (SNAPSHOT, '"256"')):
        with pytest.raises(BadFrameError, match="okx"):
            FEED.parse(frame.replace(good, value).encode(), BTC)
    for good in ('"42219.9"', '"0.12060306"'):
        raw = TRADE.replace(good, value).encode()
        if value in {"NaN", "Infinity", ""}:  # no JSON, so that nobody knows whose it was
            with pytest.raises(BadFrameError):
                FEED.parse(raw, BTC)
        else:
            assert is_spared(FEED.parse(raw, BTC), raw)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "PONG",
        TRADE[:-30],
        UPDATE.replace('"arg"', '"args"'),
        UPDATE[:-30],
        UPDATE.replace("80274874887", "-1"),
        UPDATE.replace("80274874887", str(2**63)),
        UPDATE.replace("80274874876", "-2"),
        UPDATE.replace(',"prevSeqId":80274874876', ""),
        UPDATE.replace('"seqId":80274874887,', ""),
        UPDATE.replace('"update"', '"partial"'),
        UPDATE.replace('"data"', '"date"'),
        SNAPSHOT.replace('"256"', '"-1"'),
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":' + "[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: str) -> None:
    with pytest.raises(BadFrameError):
        FEED.parse(raw.encode(), BTC)


def test_one_subscription_asks_for_the_book_and_trades_of_the_symbol() -> None:
    (sent,) = FEED.subscribe(BTC)
    assert json.loads(sent) == {
        "op": "subscribe",
        "args": [{"channel": "books", "instId": BTC}, {"channel": "trades", "instId": BTC}],
    }
    assert FEED.stream_url("wss://ws.okx.com:8443", BTC) == "wss://ws.okx.com:8443/ws/v5/public"


def test_a_pong_is_due_before_the_connection_counts_as_silent() -> None:
    assert FEED.ping() == "ping"
    assert FEED.ping_interval_s is not None
    assert FEED.ping_interval_s < FEED.silence_s < 30


def test_candles_are_asked_for_between_bounds_that_the_venue_excludes() -> None:
    url = FEED.candles_url("https://www.okx.com", BTC, "1d", 1_700_006_400_000_000_000)
    assert url == (
        "https://www.okx.com/api/v5/market/history-candles?instId=BTC-USDT&bar=1Dutc"
        f"&before=1700006399999&after={1_700_006_400_000 + 300 * 86_400_000}&limit=300"
    )


def test_candles_come_oldest_first_and_are_closed_when_the_venue_says_so() -> None:
    rows = [
        ["120000", "11", "11.5", "11", "11.2", "0.5", "5.6", "5.6", "0"],
        ["60000", "10", "12", "9", "11", "5.5", "60.5", "60.5", "1"],
    ]
    body = json.dumps({"code": "0", "msg": "", "data": rows}).encode()
    first, last = FEED.parse_candles(body, BTC, "1m")
    prices = (first.open_ts, first.open, first.high, first.low, first.close, first.volume)
    assert prices == (60_000_000_000, 10.0, 12.0, 9.0, 11.0, 5.5)
    assert (first.closed, last.closed) == (True, False)
    (alone,) = FEED.parse_candles(json.dumps({"code": "0", "data": rows[1:]}).encode(), BTC, "1m")
    assert alone.closed


@pytest.mark.parametrize(
    "body",
    [b'{"code":"51001","msg":"no such instrument","data":[]}', b'{"data":[]}', b"[]", b"", b'{"code":0}'],
)
def test_a_reply_without_candles_says_what_it_was(body: bytes) -> None:
    with pytest.raises(BadFrameError) as caught:
        FEED.parse_candles(body, BTC, "1m")
    assert repr(body)[2:-1] in str(caught.value)


def test_candles_that_go_back_in_time_are_refused() -> None:
    row = ["60000", "10", "12", "9", "11", "5.5", "60.5", "60.5", "1"]
    body = json.dumps({"code": "0", "data": [row, row]}).encode()
    with pytest.raises(BadFrameError, match="not after"):
        FEED.parse_candles(body, BTC, "1m")


@needs_recordings
def test_the_recorded_updates_are_one_chain() -> None:
    position = None
    steps = []
    for record in open_recording(OKX_FIXTURE).records():
        (delta,) = FEED.parse(record.text.encode(), BTC)
        assert isinstance(delta, VenueDelta)
        assert delta.checksum is None
        if position is not None:
            steps.append(FEED.step(position, delta))
        position = delta.last
    assert steps == [Step.APPLY] * 4
    assert position == 80274875033
