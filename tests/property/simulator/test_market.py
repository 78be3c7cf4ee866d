from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.time_units import NS_PER_S
from simulator.exchange_book import BookChange, Side
from simulator.latent import NS_DAY, LatentPrices
from simulator.market import Market
from simulator.venues.kraken_book import Window

START_NS = 20_500 * NS_DAY + 40_000 * NS_PER_S
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

seeds = st.integers(0, 3)
offsets = st.integers(0, 20 * NS_DAY)
steps = st.lists(st.integers(1, NS_PER_S), min_size=1, max_size=25)


@lru_cache
def latent(seed: int) -> LatentPrices:
    return LatentPrices(seed, ("BTC-USDT", "SOL-USDT"))


def a_market(seed: int, start_ns: int, rate: float = 3000.0) -> Market:
    return Market(latent(seed), venues=("binance", "kraken"), rate=rate, start_ns=start_ns, history_days=1)


@SLOW
@given(seeds, offsets, steps)
def test_books_stay_sound_and_their_changes_tell_all(seed: int, offset: int, gaps: list[int]) -> None:
    now_ns = START_NS + offset
    market = a_market(seed, now_ns)
    twins = {
        key: tuple(dict(side.levels()) for side in (market.book(*key).bids, market.book(*key).asks))
        for key in market.pairs
    }
    ids = {key: market.book(*key).update_id for key in market.pairs}
    trade_ids = {key: market.book(*key).trade_id for key in market.pairs}
    for gap in gaps:
        now_ns += gap
        for change in market.step(now_ns):
            key = change.venue, change.symbol
            book = market.book(*key)
            assert book.bids.best < book.asks.best
            ids[key] += 1
            assert change.update_id == ids[key] == book.update_id
            bids, asks = twins[key]
            for trade in change.prints:
                trade_ids[key] += 1
                assert (trade.trade_id, trade.lots > 0) == (trade_ids[key], True)
                maker = asks if trade.taker == "buy" else bids
                assert 0 < trade.lots <= maker[trade.tick]  # it met a level that was there
                assert trade.tick in dict(change.asks if trade.taker == "buy" else change.bids)
            for twin, levels in ((bids, change.bids), (asks, change.asks)):
                for tick, lots in levels:
                    assert lots >= 0
                    twin[tick] = lots
                    if not lots:
                        del twin[tick]
            assert change.top_moved or change.prints == []
    for key, (bids, asks) in twins.items():
        book = market.book(*key)
        assert list(book.bids.levels()) == sorted(bids.items(), reverse=True)
        assert list(book.asks.levels()) == sorted(asks.items())


@SLOW
@given(seeds, offsets, st.lists(st.integers(1, NS_PER_S // 2), min_size=1, max_size=12))
def test_the_same_seed_gives_the_same_market_however_the_clock_is_read(
    seed: int, offset: int, gaps: list[int]
) -> None:
    """The clock is read at different times, but never more than a second apart."""
    start_ns = START_NS + offset
    times = [start_ns + sum(gaps[: index + 1]) for index in range(len(gaps))]
    often, seldom = a_market(seed, start_ns, 500.0), a_market(seed, start_ns, 500.0)
    first = [change for now in times for change in often.step(now)]
    second = [change for now in [*times[1:-1:2], times[-1]] for change in seldom.step(now)]
    assert by_book(first) == by_book(second)


def by_book(changes: list[BookChange]) -> dict[tuple[str, str], list[BookChange]]:
    books: dict[tuple[str, str], list[BookChange]] = {}
    for change in changes:
        books.setdefault((change.venue, change.symbol), []).append(change)
    return books


@SLOW
@given(seeds, offsets)
def test_candles_are_contiguous_and_hold_their_prices(seed: int, offset: int) -> None:
    start_ns = START_NS + offset
    market = a_market(seed, start_ns)
    for interval, length in (("1m", 60 * NS_PER_S), ("1d", NS_DAY)):
        candles = market.candles("kraken", "SOL-USDT", interval, start_ns - NS_DAY, start_ns, start_ns)
        assert candles[-1].open_ns <= start_ns < candles[-1].open_ns + length
        for candle in candles:
            assert 0 < candle.low <= min(candle.open, candle.close)
            assert max(candle.open, candle.close) <= candle.high
            assert 0 <= candle.taker_lots <= candle.lots
            assert 0 <= candle.taker_quote <= candle.quote
        for before, after in pairwise(candles):
            assert after.open_ns == before.open_ns + length
            assert after.open == before.close


level_changes = st.lists(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=6), max_size=40
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([-1, 1]), st.integers(1, 12), level_changes, level_changes)
def test_a_client_that_truncates_holds_exactly_the_window(
    sign: int, depth: int, before: list[list[tuple[int, int]]], after: list[list[tuple[int, int]]]
) -> None:
    side = Side(1 if sign == 1 else -1)
    for batch in before:
        for tick, lots in batch:
            side.set(tick, lots)
    side.take_touched()
    window, client = Window(side, depth), dict(side.levels(depth))
    for batch in after:
        for tick, lots in batch:
            side.set(tick, lots)
        for tick, lots in window.changes(side.take_touched()):
            if lots:
                client[tick] = lots
            else:
                assert client.pop(tick, None) is not None  # only what the client holds is deleted
        client = dict(sorted(client.items(), key=lambda level: level[0] * sign)[:depth])
        assert client == dict(side.levels(depth))
