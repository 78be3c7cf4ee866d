from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.events import BookState
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import BadFrameError, Step
from services.l2.feeds.venue_messages import BestQuote, Heartbeat, VenueDelta, VenueTrade
from services.l2.settings import L2Settings
from tests.recorded_books import play
from tests.recordings import BINANCE_2021, BINANCE_COINM, BINANCE_USDM, needs_recordings
from tests.spared import is_spared

USDM, COINM = FEEDS["binance-usdm"], FEEDS["binance-coinm"]
USDT, USD = "BTC-USDT", "BTC-USD"
DEPTH: dict[str, Any] = {
    "e": "depthUpdate",
    "E": 1723161256352,
    "T": 1723161256350,
    "s": "BTCUSDT",
    "U": 5123107837801,
    "u": 5123107842679,
    "pu": 5123107837557,
    "b": [["55620.20", "0.000"], ["60602.50", "6.536"]],
    "a": [["61800.30", "2.305"]],
}
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT",'
    '"t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)


def a_depth(stream: str = "btcusdt@depth@100ms", **changed: Any) -> bytes:
    return json.dumps({"stream": stream, "data": DEPTH | changed}, separators=(",", ":")).encode()


def test_an_event_becomes_a_delta_with_its_place_in_the_chain() -> None:
    expected = VenueDelta(
        bids=((55620.2, 0.0), (60602.5, 6.536)),
        asks=((61800.3, 2.305),),
        first=5123107837801,
        last=5123107842679,
        previous=5123107837557,
        venue_ts=1723161256352_000_000,
    )
    assert tuple(USDM.parse(a_depth(), USDT)) == (expected,)
    spaced = json.dumps(json.loads(a_depth()), indent=1).encode()
    assert tuple(USDM.parse(spaced, USDT)) == (expected,)


def test_the_inverse_perpetual_is_btc_usd_in_contracts() -> None:
    raw = a_depth("btcusd_perp@depth@100ms", s="BTCUSD_PERP", ps="BTCUSD", b=[["61773.6", "1001"]], a=[])
    (delta,) = COINM.parse(raw, USD)
    assert isinstance(delta, VenueDelta)
    assert delta.bids == ((61773.6, 1001.0),)
    assert tuple(COINM.parse(a_depth("ethusd_perp@depth", s="ETHUSD_PERP"), USD)) == ()


@pytest.mark.parametrize("changed", [{"pu": None}, {"pu": "x"}, {"pu": -1}, {"s": "ETHUSDT"}, {"U": 2**62}])
def test_an_event_without_its_place_or_of_another_symbol_is_a_bad_frame(changed: dict[str, Any]) -> None:
    with pytest.raises(BadFrameError, match="binance"):
        USDM.parse(a_depth(**changed), USDT)


def test_an_event_as_spot_has_it_is_a_bad_frame() -> None:
    spot = {name: value for name, value in DEPTH.items() if name != "pu"}
    with pytest.raises(BadFrameError, match="pu"):
        USDM.parse(json.dumps({"stream": "btcusdt@depth", "data": spot}).encode(), USDT)


@pytest.mark.parametrize(
    ("position", "previous", "first", "last", "step"),
    [
        (160, 160, 163, 170, Step.APPLY),  # the chain
        (160, 140, 150, 170, Step.APPLY),  # contains a snapshot's id
        (160, 140, 160, 170, Step.APPLY),
        (160, 140, 150, 160, Step.OLD),  # ends at it, and adds nothing
        (160, 140, 150, 159, Step.OLD),
        (160, 159, 161, 170, Step.GAP),  # is not the next, though its ids go on: they are shared
        (160, 161, 163, 170, Step.GAP),
        (None, 1, 2, 3, Step.GAP),
    ],
)
def test_continuity_is_the_venue_s_rule(
    position: int | None, previous: int, first: int, last: int, step: Step
) -> None:
    delta = VenueDelta(bids=(), asks=(), previous=previous, first=first, last=last)
    assert USDM.step(position, delta) is step


def test_a_trade_of_the_market_is_a_trade_and_no_other() -> None:
    assert tuple(USDM.parse(TRADE.encode(), USDT)) == (
        VenueTrade(
            trade_id="5266583935", price=61800.3, size=0.006, side="buy", venue_ts=1723161256321_000_000
        ),
    )
    none = TRADE.replace("MARKET", "NA").replace("61800.30", "0").replace("0.006", "0")
    assert tuple(USDM.parse(none.encode(), USDT)) == (Heartbeat(),)
    for worthless in (
        TRADE.replace("61800.30", "0"),
        TRADE.replace("0.006", "-1"),
        TRADE.replace("BTC", "X"),
    ):
        raw = worthless.replace("xusdt", "btcusdt").encode()
        assert is_spared(USDM.parse(raw, USDT), raw)
    (nothing,) = USDM.parse(TRADE.replace("0.006", "0.000").encode(), USDT)
    assert isinstance(nothing, VenueTrade)
    assert nothing.size == 0


def test_a_book_ticker_is_the_best_quote_at_its_id() -> None:
    raw = (
        b'{"stream":"btcusd_perp@bookTicker","data":{"u":1007198632021,"e":"bookTicker","s":"BTCUSD_PERP",'
        b'"ps":"BTCUSD","b":"61804.7","B":"35","a":"61804.8","A":"1645","T":1723161257465,"E":1723161257476}}'
    )
    assert tuple(COINM.parse(raw, USD)) == (
        BestQuote(sequence=1007198632021, bid=(61804.7, 35.0), ask=(61804.8, 1645.0)),
    )


def test_a_snapshot_carries_its_id_and_its_time() -> None:
    body = b'{"lastUpdateId":160,"E":1700000000002,"T":1700000000001,"bids":[["4.0","431.0"]],"asks":[]}'
    snapshot = USDM.parse_snapshot(body)
    assert (snapshot.sequence, snapshot.venue_ts) == (160, 1_700_000_000_001_000_000)
    with pytest.raises(BadFrameError):
        USDM.parse_snapshot(b'{"code":-1121,"msg":"Invalid symbol."}')


def test_addresses_are_the_venue_s() -> None:
    live, replayed = L2Settings(feed="live"), L2Settings(simulator_url="http://sim:1")
    stream, rest = live.bases("binance-usdm")
    assert USDM.stream_url(stream, USDT) == (
        "wss://fstream.binance.com/public/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"
    )
    assert USDM.snapshot_url(rest, USDT) == (
        "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    )
    stream, rest = live.bases("binance-coinm")
    assert COINM.stream_url(stream, USD).startswith(
        "wss://dstream.binance.com/stream?streams=btcusd_perp@depth@100ms/"
    )
    assert COINM.candles_url(rest, USD, "1d", 0) == (
        "https://dapi.binance.com/dapi/v1/klines?symbol=BTCUSD_PERP&interval=1d&startTime=0&limit=1000"
    )
    assert replayed.bases("binance-coinm") == ("ws://sim:1/binance-coinm", "http://sim:1/binance-coinm")


def test_candles_are_of_their_own_venue() -> None:
    kline = [0, "10", "12", "9", "11", "5.5", 59_999, "60.5", 7, "1", "11", "0"]
    (candle,) = COINM.parse_candles(json.dumps([kline]).encode(), USD, "1m")
    assert (candle.venue, candle.symbol, candle.volume) == ("binance-coinm", USD, 5.5)


@needs_recordings
def test_the_usdm_recording_has_no_gap_and_agrees_with_every_best_quote() -> None:
    recorded = play(USDM, USDT, BINANCE_USDM)
    book = recorded.maintainer
    assert (book.state, book.reason) == (BookState.LIVE, "consistent")
    assert (recorded.deltas, recorded.held, recorded.snapshots) == (6551, 6, 1)
    assert (book.counts.gaps, book.counts.resyncs, book.counts.quotes_matched) == (0, 0, 629)
    assert recorded.published == 6551 - recorded.held
    assert (recorded.trades, round(recorded.traded, 1)) == (21313, 2429.4)


@needs_recordings
def test_the_coinm_recording_has_no_gap_and_agrees_with_every_best_quote() -> None:
    recorded = play(COINM, USD, BINANCE_COINM)
    book = recorded.maintainer
    assert (book.state, book.reason) == (BookState.LIVE, "consistent")
    assert (recorded.deltas, recorded.held, recorded.snapshots) == (26847, 25, 1)
    assert recorded.published == 26847 - recorded.held
    # Of 1125 quotes at the id of an event, one is of an event from before the snapshot.
    assert (book.counts.gaps, book.counts.resyncs, book.counts.quotes_matched) == (0, 0, 1124)
    assert recorded.trades == 2286


@needs_recordings
def test_the_spot_recording_of_2021_splices_and_agrees_with_every_best_quote() -> None:
    symbols = ("NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR")
    books = [play(FEEDS["binance"], symbol, BINANCE_2021) for symbol in symbols]
    assert all(book.maintainer.state is BookState.LIVE for book in books)
    assert [book.maintainer.counts.gaps for book in books] == [0, 0, 0, 0]
    assert sum(book.deltas for book in books) == 177
    assert sum(book.maintainer.counts.quotes_matched for book in books) == 26
