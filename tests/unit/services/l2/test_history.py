"""Candles asked of the venue: pages, retries, and the minutes that the stream missed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from libs.common.events import Candle
from libs.common.time_units import NS_PER_S
from libs.common.topic import REPEATED_MS
from services.l2.candles import CandleBuilder
from services.l2.feeds import FEEDS
from services.l2.feeds.venue_messages import VenueTrade
from services.l2.history import History
from services.l2.messages import DeadLetter, Fetch, Output, ReplyReceived
from services.l2.rate_limits import VenueBudget

if TYPE_CHECKING:
    from libs.common.events import Interval

MINUTE = 60 * NS_PER_S
DAY = 1440 * MINUTE
START = 20_000 * DAY + 600 * MINUTE + 7 * NS_PER_S  # 10:00:07 of some day


def a_kline(open_ts: int, close: float = 100.0) -> list[object]:
    open_ms = open_ts // 1_000_000
    return [open_ms, "100", "110", "90", str(close), "2", open_ms + 59_999, "200", 5, "1", "100", "0"]


class Bench:
    """One history with its clock, budget and a venue that answers from a list of rows."""

    def __init__(self, days: int = 0, minutes: int = 0, known: tuple[Candle, ...] = ()) -> None:
        feed = FEEDS["binance"]
        self.history = History(feed, "BTC-USDT", "http://test", days, minutes)
        self.budget = VenueBudget.of("binance")
        self.now = START
        self.asked: list[Fetch] = []
        self.candles: list[Candle] = []
        self.dead: list[DeadLetter] = []
        self.history.recall(known)
        self.history.resume()
        self.trade()

    def trade(self, price: float = 100.0) -> None:
        trade = VenueTrade(trade_id="1", price=price, size=1.0, side="buy", venue_ts=self.now)
        self.history.on_trade(trade, self.now)

    def tick(self, seconds: float = 1.0) -> None:
        self.now += int(seconds * NS_PER_S)
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


def test_an_open_candle_is_told_again_while_nothing_is_traded() -> None:
    bench = Bench()
    for _ in range(70):
        bench.tick()
    bench.trade()
    bench.tick()
    bench.candles.clear()
    for _ in range(30):
        bench.tick()
    told = [candle for candle in bench.candles if not candle.closed and candle.interval == "1m"]
    assert len(told) == 30_000 // REPEATED_MS
    assert len({candle.open_ts for candle in told}) == 1


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


def a_told(interval: Interval, open_ts: int) -> Candle:
    return Candle(
        venue="binance",
        symbol="BTC-USDT",
        interval=interval,
        open_ts=open_ts,
        open=100.0,
        high=110.0,
        low=90.0,
        close=100.0,
        volume=2.0,
        trades=5,
        closed=True,
    )


def test_before_the_log_was_read_the_venue_is_asked_nothing() -> None:
    bench = Bench(days=3)
    unread = History(FEEDS["binance"], "BTC-USDT", "http://test", 3, 60)
    unread.resume()
    unread.on_trade(VenueTrade(trade_id="1", price=1.0, size=1.0, side="buy", venue_ts=START), START)
    assert not unread.on_tick(START + NS_PER_S, bench.budget)
    unread.recall(())
    assert [type(each) for each in unread.on_tick(START + 2 * NS_PER_S, bench.budget)] == [Fetch]


def test_what_the_log_holds_is_not_asked_for_again_and_not_told_again() -> None:
    today = 20_000 * DAY
    days = tuple(a_told("1d", today - back * DAY) for back in (3, 2))  # yesterday's is missing
    minute = START - START % MINUTE
    minutes = tuple(a_told("1m", minute - back * MINUTE) for back in range(60, 10, -1))  # ten are missing
    bench = Bench(days=3, minutes=60, known=days + minutes)
    bench.tick()
    assert f"startTime={(today - DAY) // 1_000_000}" in bench.asked[0].url
    bench.answer([a_kline(today - DAY), a_kline(today)])
    assert bench.closed("1d") == [today - DAY]
    bench.tick()
    assert f"startTime={(minute - 10 * MINUTE) // 1_000_000}" in bench.asked[1].url
    bench.answer([a_kline(minute - back * MINUTE) for back in range(12, -1, -1)])
    assert bench.closed("1m") == [minute - back * MINUTE for back in range(10, 0, -1)]


def test_a_log_that_holds_everything_leaves_nothing_to_ask() -> None:
    today, minute = 20_000 * DAY, START - START % MINUTE
    days = tuple(a_told("1d", today - back * DAY) for back in (3, 2, 1))
    minutes = tuple(a_told("1m", minute - back * MINUTE) for back in range(60, 0, -1))
    bench = Bench(days=3, minutes=60, known=days + minutes)
    for _ in range(30):
        bench.tick()
    assert not bench.asked


def test_a_hole_in_what_the_log_holds_is_asked_for() -> None:
    minute = START - START % MINUTE
    minutes = tuple(a_told("1m", minute - back * MINUTE) for back in range(60, 0, -1) if back != 40)
    bench = Bench(minutes=60, known=minutes)
    bench.tick()
    assert f"startTime={(minute - 40 * MINUTE) // 1_000_000}" in bench.asked[0].url
    bench.answer([a_kline(minute - back * MINUTE) for back in range(40, -1, -1)])
    assert bench.closed("1m") == [minute - 40 * MINUTE]


def test_a_minute_that_the_log_or_a_second_reading_tells_twice_counts_once() -> None:
    day = 20_000 * DAY - DAY
    minutes = tuple(a_told("1m", day + at * MINUTE) for at in range(1439))
    builder = CandleBuilder("binance", "BTC-USDT")
    builder.recall((*minutes, *minutes[:700]))
    builder.recall(minutes)
    last = a_told("1m", day + 1439 * MINUTE)
    *_, whole = builder.backfill((minutes[-1], last))
    assert (whole.interval, whole.volume, whole.trades) == ("1d", 1440 * 2.0, 1440 * 5)
