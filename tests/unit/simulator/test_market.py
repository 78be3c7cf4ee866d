from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from libs.common.time_units import NS_PER_S
from simulator.candles import merged
from simulator.exchange_book import ExchangeBook
from simulator.latent import NS_DAY, NS_MINUTE, LatentPrices
from simulator.market import Market

START_NS = 20_500 * NS_DAY + 40_000 * NS_PER_S + 123_456_789


@lru_cache
def latent() -> LatentPrices:
    return LatentPrices(7, ("BTC-USDT", "ETH-USDT"))


def a_market(
    *, rate: float = 200.0, start_ns: int = START_NS, venues: tuple[str, ...] = ("binance",)
) -> Market:
    return Market(latent(), venues=venues, rate=rate, start_ns=start_ns, history_days=3)


def run(market: Market, seconds: float, step_s: float = 0.1) -> int:
    for number in range(1, round(seconds / step_s) + 1):
        now_ns = START_NS + round(number * step_s * NS_PER_S)
        for _ in market.step(now_ns):
            pass
    return now_ns


def test_the_books_imbalance_leads_the_price() -> None:
    """Correlation of the top-5 imbalance with the mid change of the next 2 s, without overlap.

    Were there no lead, it would exceed 4/sqrt(n) with a probability of 3e-5; the market is seeded.
    """
    market, imbalances, mids = a_market(), [], []
    book = market.book("binance", "BTC-USDT")
    for second in range(0, 1200, 2):
        for _ in market.step(START_NS + second * NS_PER_S):
            pass
        for _ in market.step(START_NS + (second + 1) * NS_PER_S):
            pass
        bids, asks = (sum(lots for _, lots in side.levels(5)) for side in (book.bids, book.asks))
        imbalances.append((bids - asks) / (bids + asks))
        mids.append((book.bids.best + book.asks.best) / 2)
    correlation = np.corrcoef(imbalances[:-1], np.diff(np.log(mids)))[0, 1]
    assert 4 / sqrt(len(mids)) < correlation < 0.7


def test_venues_follow_one_price_with_their_own_spread_and_depth() -> None:
    market = a_market(venues=("binance", "kraken"))
    spreads: dict[str, list[float]] = {"binance": [], "kraken": []}
    for second in range(60):
        for _ in market.step(START_NS + second * NS_PER_S):
            pass
        mids = {}
        for venue, tick in (("binance", 0.01), ("kraken", 0.1)):
            book = market.book(venue, "BTC-USDT")
            mids[venue] = (book.bids.best + book.asks.best) / 2 * tick
            spreads[venue].append((book.asks.best - book.bids.best) * tick / mids[venue] * 1e4)
        assert abs(mids["binance"] / mids["kraken"] - 1) < 10e-4
    assert np.median(spreads["kraken"]) > 2 * np.median(spreads["binance"])
    assert len(market.book("binance", "BTC-USDT").bids) > len(market.book("kraken", "BTC-USDT").bids) > 200


def test_the_book_ends_where_the_price_is() -> None:
    market = a_market()
    now_ns = run(market, 30.0)
    book = market.book("binance", "ETH-USDT")
    mid = (book.bids.best + book.asks.best) / 2 * 0.01
    assert mid == pytest.approx(np.exp(latent().log_price(1, now_ns)), rel=3e-4)


def test_the_aimed_rate_is_met_by_book_trade_and_best_price_messages() -> None:
    market = a_market(rate=600.0, venues=("binance", "kraken"))
    messages = 2 * 10 * 20  # Binance's batches
    for number in range(1, 201):
        for change in market.step(START_NS + number * NS_PER_S // 10):
            kraken = change.venue == "kraken"
            messages += 1 + bool(change.prints) if kraken else len(change.prints) + change.top_moved
    assert messages / 20 == pytest.approx(600, rel=0.2)


def test_a_market_of_few_messages_has_as_few_actions() -> None:
    """At 1.36 messages an action, as hardly a batch holds two; a Poisson count is 5 sigma off by 6e-7."""
    market, actions, seconds = a_market(rate=0.5), 0, 4000
    for second in range(seconds):
        actions += sum(1 for _ in market.step(START_NS + second * NS_PER_S))
    aimed = 0.5 / 1.36 * seconds
    assert abs(actions - aimed) < 5 * sqrt(aimed)


def test_a_long_silence_is_not_made_up_for() -> None:
    market = a_market()
    run(market, 1.0)
    assert sum(1 for _ in market.step(START_NS + 3600 * NS_PER_S)) < 10


def test_live_candles_are_the_trades_and_continue_the_past() -> None:
    market = a_market()
    prints = []
    for number in range(1, 1300):
        now_ns = START_NS + number * NS_PER_S // 10
        for change in market.step(now_ns):
            if change.symbol == "BTC-USDT":
                prints += change.prints
    first_ns = START_NS // NS_MINUTE * NS_MINUTE
    candles = market.candles("binance", "BTC-USDT", "1m", first_ns - 5 * NS_MINUTE, now_ns, now_ns)
    assert [c.open_ns for c in candles] == [first_ns + n * NS_MINUTE for n in range(-5, 3)]
    inside = [p for p in prints if first_ns + NS_MINUTE <= p.ts_ns < first_ns + 2 * NS_MINUTE]
    minute = candles[6]
    assert (minute.trades, minute.lots) == (len(inside), sum(p.lots for p in inside))
    assert minute.high == max([minute.open, *(p.tick for p in inside)])
    assert (minute.close, minute.quote) == (inside[-1].tick, sum(p.lots * p.tick for p in inside))
    for before, after in pairwise(candles):
        assert after.open == pytest.approx(before.close, rel=1e-3)


def test_past_candles_do_not_depend_on_when_the_market_started() -> None:
    later_ns = START_NS + 7 * NS_MINUTE
    day = START_NS // NS_DAY * NS_DAY
    spans = [
        a_market(start_ns=start).candles("binance", "BTC-USDT", interval, day - 2 * NS_DAY, last, start)
        for start in (START_NS, later_ns)
        for interval, last in (("1m", START_NS - 2 * NS_MINUTE), ("1d", day - 1))
    ]
    assert spans[0] == spans[2]
    assert spans[1] == spans[3]
    assert (len(spans[0]), len(spans[1])) == (2 * 1440 + (START_NS - day) // NS_MINUTE - 1, 2)


def test_a_day_is_its_minutes() -> None:
    market, day = a_market(), START_NS // NS_DAY - 1
    minutes = market.candles("binance", "ETH-USDT", "1m", day * NS_DAY, (day + 1) * NS_DAY - 1, START_NS)
    (whole,) = market.candles("binance", "ETH-USDT", "1d", day * NS_DAY, day * NS_DAY, START_NS)
    assert len(minutes) == 1440
    assert whole == merged(day * NS_DAY, minutes)


def test_a_taker_consumes_levels_best_first_and_stops_at_its_limit() -> None:
    book = ExchangeBook("binance", "BTC-USDT", first_id=10)
    book.place_bid(90, 5)
    for tick in (100, 102, 103):
        book.place_ask(tick, 4)
    book.commit(1)
    assert book.take("buy", 20, 102, 2) == 8
    change = book.commit(2)
    assert change is not None
    assert change.asks == [(100, 0), (102, 0)]
    assert [(p.trade_id, p.tick, p.lots, p.taker) for p in change.prints] == [
        (11, 100, 4, "buy"),
        (12, 102, 4, "buy"),
    ]
    assert (change.update_id, change.top_moved) == (12, True)


def test_the_last_level_of_a_side_is_never_taken() -> None:
    book = ExchangeBook("binance", "BTC-USDT")
    book.place_bid(90, 5)
    book.place_ask(100, 4)
    book.commit(1)
    assert book.take("sell", 9, 1, 2) == 0
    assert book.commit(2) is None


def test_a_quote_that_would_cross_rests_beside_the_best() -> None:
    book = ExchangeBook("binance", "BTC-USDT")
    book.place_bid(90, 5)
    book.place_ask(80, 4)
    assert (book.bids.best, book.asks.best) == (90, 91)
