"""Candles asked of the venue: pages, retries, and the minutes that the stream missed."""

from __future__ import annotations

import json

from libs.common.events import Candle
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import VenueTrade
from services.l2.history import History
from services.l2.messages import DeadLetter, Fetch, Output, ReplyReceived
from services.l2.rate_limits import VenueBudget

NS = 1_000_000_000
MINUTE = 60 * NS
DAY = 1440 * MINUTE
START = 20_000 * DAY + 600 * MINUTE + 7 * NS  # 10:00:07 of some day


def a_kline(open_ts: int, close: float = 100.0) -> list[object]:
    open_ms = open_ts // 1_000_000
    return [open_ms, "100", "110", "90", str(close), "2", open_ms + 59_999, "200", 5, "1", "100", "0"]


class Bench:
    """One history with its clock, budget and a venue that answers from a list of rows."""

    def __init__(self, days: int = 0, minutes: int = 0) -> None:
        feed = FEEDS["binance"]
        self.history = History(feed, "BTC-USDT", "http://test", days, minutes)
        self.budget = VenueBudget.of("binance")
        self.now = START
        self.asked: list[Fetch] = []
        self.candles: list[Candle] = []
        self.dead: list[DeadLetter] = []
        self.history.resume()
        self.trade()

    def trade(self, price: float = 100.0) -> None:
        trade = VenueTrade(trade_id="1", price=price, size=1.0, side="buy", venue_ts=self.now)
        self.history.on_trade(trade, self.now)

    def tick(self, seconds: float = 1.0) -> None:
        self.now += int(seconds * NS)
        self.take(self.history.on_tick(self.now, self.budget))

    def answer(self, rows: list[list[object]] | bytes, status: int = 200) -> None:
        asked = self.asked[-1]
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        self.take(
            self.history.on_reply(
                ReplyReceived(asked.key, asked.request, asked.purpose, status, body), self.now
            )
        )

    def take(self, outputs: list[Output]) -> None:
        self.asked += [output for output in outputs if isinstance(output, Fetch)]
        self.candles += [output for output in outputs if isinstance(output, Candle)]
        self.dead += [output for output in outputs if isinstance(output, DeadLetter)]

    def closed(self, interval: str) -> list[int]:
        return [candle.open_ts for candle in self.candles if candle.closed and candle.interval == interval]


def test_history_is_fetched_page_after_page_up_to_the_present() -> None:
    bench = Bench(days=3)
    bench.tick()
    assert f"startTime={(bench.now - 3 * DAY) // 1_000_000}" in bench.asked[0].url
    days = [20_000 * DAY + offset * DAY for offset in (-3, -2, -1, 0)]
    bench.answer([a_kline(day) for day in days[:3]])
    bench.tick()
    assert f"startTime={days[2] // 1_000_000}" in bench.asked[1].url, "from the candle told as open"
    bench.answer([a_kline(day) for day in days[2:]])
    for _ in range(3):
        bench.tick()
    assert len(bench.asked) == 2, "the last candle is today's"
    assert bench.closed("1d") == days[:3]


def test_a_refused_page_is_asked_for_again_after_a_growing_pause() -> None:
    bench = Bench(days=3)
    bench.tick()
    for pause in (30, 60):
        count = len(bench.asked)
        bench.answer(b"busy", status=503)
        bench.tick(pause - 1)
        assert len(bench.asked) == count
        bench.tick(1)
        assert len(bench.asked) == count + 1
        assert bench.asked[-1].url == bench.asked[0].url


def test_an_unreadable_page_is_kept_as_a_dead_letter() -> None:
    bench = Bench(days=3)
    bench.tick()
    bench.answer(b'[["no kline"]]')
    assert [letter.raw for letter in bench.dead] == [b'[["no kline"]]']
    assert bench.candles == []


def test_the_minute_in_which_the_stream_began_comes_from_the_venue_and_the_next_from_trades() -> None:
    bench = Bench()
    joined = bench.now - bench.now % MINUTE
    for _ in range(75):
        bench.tick()
        bench.trade(101.0)
    assert len(bench.asked) == 1
    assert f"startTime={joined // 1_000_000}" in bench.asked[0].url
    bench.answer([a_kline(joined), a_kline(joined + MINUTE)])
    for _ in range(60):
        bench.tick()
        bench.trade(102.0)
    assert bench.closed("1m") == [joined, joined + MINUTE]
    live = next(candle for candle in bench.candles if candle.closed and candle.open_ts == joined + MINUTE)
    assert live.trades == 60
    assert len(bench.asked) == 1, "nothing is missing any more"


def test_minutes_in_which_the_stream_broke_come_from_the_venue() -> None:
    bench = Bench()
    joined = bench.now - bench.now % MINUTE
    for _ in range(70):
        bench.tick()
    bench.answer([a_kline(joined), a_kline(joined + MINUTE)])
    bench.history.interrupt()
    for _ in range(10):
        bench.tick()
    bench.history.resume()
    for _ in range(150):
        bench.tick()
        bench.trade()
    assert f"startTime={(joined + MINUTE) // 1_000_000}" in bench.asked[-1].url
    bench.answer([a_kline(joined + minute * MINUTE) for minute in (1, 2, 3)])
    assert bench.closed("1m")[:3] == [joined, joined + 2 * MINUTE, joined + MINUTE]


def test_an_open_candle_is_told_at_most_once_a_second() -> None:
    bench = Bench()
    for _ in range(70):
        bench.tick()
    bench.candles.clear()
    for _ in range(50):
        bench.trade()
        bench.tick(0.1)
    told = [candle for candle in bench.candles if not candle.closed and candle.interval == "1m"]
    assert 4 <= len(told) <= 6


def test_a_quiet_market_whose_minutes_the_venue_does_not_have_yet_is_asked_again_after_a_pause() -> None:
    bench = Bench()
    minute = START - START % MINUTE
    while not bench.asked:
        bench.tick()
    (first,) = bench.asked
    for pages in range(2, 5):
        bench.answer([a_kline(minute)])  # the newest row counts as open, though its minute is over
        for _ in range(29):
            bench.tick()
        assert len(bench.asked) == pages - 1
        bench.tick()
        assert len(bench.asked) == pages
        assert bench.asked[-1].url == first.url
    bench.answer([a_kline(minute), a_kline(minute + 5 * MINUTE)])
    assert minute in bench.closed("1m")
