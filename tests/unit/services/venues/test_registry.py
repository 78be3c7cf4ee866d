"""The folds of the registry, against plain sums and hand-made figures."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from statistics import median
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.events import BookState
from libs.common.time_units import NS_PER_S
from libs.common.venue_fees import fees_of
from services.venues.lags import read_lags
from services.venues.registry import (
    FAILURES_AT_ONCE,
    Measurement,
    depth_within,
    fold_fill,
    fold_health,
    has_news,
    metrics_of,
    order_delay_s,
    pooled_volatility,
    request_p50_ms,
)
from tests.venue_market import NOW, a_fill, a_health, a_top

HOUR_NS = 3600 * NS_PER_S


def after_seconds(seconds: int, *, state: BookState = BookState.LIVE) -> Measurement:
    found = Measurement()
    for at in range(seconds + 1):
        health = a_health(state=state, now=NOW + at * NS_PER_S, since_ts=NOW)
        found = fold_health(found, health, None, at)
    return found


def test_a_new_venue_has_the_prior() -> None:
    fresh = fold_health(Measurement(), a_health(), None, 0)
    assert (fresh.alpha, fresh.beta) == (20.0, 1.0)


def test_seconds_of_being_live_are_tenths_of_a_success_that_fade_within_the_hour() -> None:
    found = after_seconds(600)
    faded = math.fsum(0.1 * math.exp(-(600 - at) / 3600) for at in range(1, 601))
    assert found.alpha == pytest.approx(20 + faded, rel=1e-12)
    assert found.beta == 1.0


def test_seconds_of_not_being_live_are_tenths_of_a_failure() -> None:
    found = after_seconds(100, state=BookState.STALE)
    faded = math.fsum(0.1 * math.exp(-(100 - at) / 3600) for at in range(1, 101))
    assert found.beta == pytest.approx(1 + faded, rel=1e-12)
    assert found.alpha == 20.0


def test_a_gap_is_a_failure_and_a_health_told_again_changes_nothing() -> None:
    before = fold_health(Measurement(), a_health(), None, 7)
    after = fold_health(before, a_health(gaps=1), None, 8)
    assert after.beta - before.beta == pytest.approx(1.0)
    assert (after.gaps, after.failures_in_a_row) == (1, 1)
    assert fold_health(after, a_health(gaps=1), None, 8) is after


def test_an_absurd_count_is_outlived_in_hours_of_health() -> None:
    found = fold_health(Measurement(), a_health(gaps=2**40), None, 0)
    assert found.beta == pytest.approx(1 + FAILURES_AT_ONCE)
    for at in range(1, 3 * 3600 + 1, 10):
        found = fold_health(found, a_health(now=NOW + at * NS_PER_S, gaps=2**40), None, at)
    assert found.alpha / (found.alpha + found.beta) > 0.99


def test_counts_go_on_over_a_new_owner_whose_counts_begin_at_nought() -> None:
    first = fold_health(Measurement(), a_health(gaps=5, owner="one"), None, 0)
    second = fold_health(first, a_health(gaps=2, owner="two"), None, 1)
    third = fold_health(second, a_health(gaps=3, owner="two"), None, 2)
    assert [each.gaps for each in (first, second, third)] == [5, 7, 8]


def test_failures_in_a_row_end_when_the_book_has_been_live_for_ten_seconds() -> None:
    failing = Measurement()
    for at in range(5):
        failing = fold_health(failing, a_health(disconnects=at + 1), None, at)
    assert failing.failures_in_a_row == 5
    soon = a_health(now=NOW + 9 * NS_PER_S, since_ts=NOW, disconnects=5)
    late = a_health(now=NOW + 10 * NS_PER_S, since_ts=NOW, disconnects=5)
    assert fold_health(failing, soon, None, 5).failures_in_a_row == 5
    assert fold_health(failing, late, None, 5).failures_in_a_row == 0


def test_each_round_trip_counts_once_and_the_newest_are_kept() -> None:
    found = Measurement()
    for at in range(100):
        health = a_health(requests=at // 2, request_ns=at // 2 * 1_000_000)
        found = fold_health(found, health, None, at)
    assert found.request_ns == tuple(number * 1_000_000 for number in range(18, 50))
    assert request_p50_ms(found) == median(range(18, 50))


@pytest.mark.parametrize(
    ("changes", "news"), [({"gaps": 1}, True), ({"state": BookState.GAP}, True), ({}, False)]
)
def test_what_no_later_message_tells_again_is_news(changes: dict[str, Any], news: bool) -> None:  # noqa: FBT001 -- an expectation
    before = fold_health(Measurement(), a_health(), None, 0)
    after = fold_health(before, a_health(now=NOW + NS_PER_S, **changes), None, 1)
    assert after is not before
    assert has_news(before, after) is news
    assert has_news(before, fold_fill(before, a_fill()))


def test_an_order_takes_the_mean_lag_and_the_round_trip_or_what_is_assumed() -> None:
    lags = read_lags(Counter({0: 90, 20: 10}))
    assert order_delay_s(Measurement(), lags, 50.0) == pytest.approx(0.051)
    timed = Measurement(request_ns=(10_000_000, 30_000_000))
    assert order_delay_s(timed, lags, 50.0) == pytest.approx(0.021)


def test_stamps_that_are_always_late_delay_an_order_and_those_ahead_do_not() -> None:
    late, ahead = read_lags(Counter({6000: 100})), read_lags(Counter({-6000: 100}))
    assert order_delay_s(Measurement(), late, 50.0) == pytest.approx(3.025)
    assert order_delay_s(Measurement(), ahead, 50.0) == pytest.approx(0.05)


def test_six_days_of_silence_fade_all_that_was_counted() -> None:
    ill = after_seconds(3600, state=BookState.STALE)
    assert ill.beta > 200
    assert ill.out_s > 2000
    later = NOW + 6 * 24 * HOUR_NS
    silent = fold_health(ill, a_health(now=later), None, 10_000)
    assert silent.beta == pytest.approx(2.0, abs=1e-6), "the prior and the ten seconds that are counted"
    assert silent.out_s == pytest.approx(10.0, abs=1e-6)


def test_an_outage_is_as_long_as_the_measured_ones_are_on_average() -> None:
    found, offset, ts = Measurement(), 0, NOW
    for cycle in range(20):
        for second in range(40):
            state = BookState.LIVE if second < 10 else BookState.STALE
            ts = NOW + (40 * cycle + second) * NS_PER_S
            found = fold_health(found, a_health(state=state, now=ts), None, offset)
            offset += 1
    assert Measurement().outage_s == 10.0
    assert found.outage_s == pytest.approx(30.0, rel=0.05)


def test_an_outage_is_no_shorter_than_its_trials_say() -> None:
    assert Measurement(ill=360.0).outage_s == pytest.approx(190.0)


def test_volatility_is_that_of_the_minutes_and_skips_holes() -> None:
    mids = [60_000 * math.exp(0.001 * (-1) ** at) for at in range(12)]
    found, offset = Measurement(), 0
    for minute, mid in enumerate(mids):
        if minute == 6:
            continue
        for second in (0, 30):
            health = a_health(now=NOW + (60 * minute + second) * NS_PER_S)
            offset += 1
            found = fold_health(found, health, mid + second, offset)
    assert found.returns == 9  # 11 without the two beside the hole
    assert found.volatility == pytest.approx(0.002 * math.sqrt(1440), rel=1e-9)


def test_volatility_is_absent_below_five_returns_and_pooled_over_venues_by_the_median() -> None:
    few = Measurement(returns=4, variance=1.0)
    known = [Measurement(returns=5, variance=(x / 10) ** 2 / 1440) for x in (1, 2, 9)]
    assert few.volatility is None
    assert pooled_volatility([few], 0.03) == 0.03
    assert pooled_volatility([few, *known], 0.03) == pytest.approx(0.2)


def test_a_fill_is_counted_once_with_the_sign_of_its_side() -> None:
    bought = fold_fill(Measurement(), a_fill())
    assert bought.slippage_bps == pytest.approx(1.0)
    assert fold_fill(bought, a_fill()) is bought
    both = fold_fill(bought, a_fill(2, side="sell"))
    assert both.fills == 2
    assert both.slippage_bps == pytest.approx(-1 / (1 + math.exp(-1 / 50)) + 1 / (1 + math.exp(1 / 50)))


def test_the_fills_of_an_order_count_by_size_and_what_rested_does_not() -> None:
    found = Measurement()
    for number, (price, qty) in enumerate((("60000", "0.1"), ("60012", "0.9"))):
        fill = replace(a_fill(number, price=price), last_qty=Decimal(qty))
        found = fold_fill(found, fill)
    mean = (0.1 * math.exp(-0.9 / 50) * 0 + 0.9 * 2) / (0.1 * math.exp(-0.9 / 50) + 0.9)
    assert found.slippage_bps == pytest.approx(mean)
    rested = fold_fill(found, replace(a_fill(9, price="59000"), liquidity="maker"))
    assert (rested.slippage_bps, rested.orders, rested.fills) == (found.slippage_bps, found.orders, 3)


def test_an_expectation_that_was_none_costs_a_hundred_bps_at_most() -> None:
    assert fold_fill(Measurement(), a_fill(price="600000")).slippage_bps == 100.0


def test_few_orders_say_little_and_many_say_most_of_what_they_paid() -> None:
    found, expected = Measurement(), []
    for number in range(400):
        found = fold_fill(found, a_fill(number, price="60030"))
        expected.append(found.expected_slippage_bps)
    assert expected[0] == pytest.approx(5 / 21)
    assert expected[-1] == pytest.approx(5 * 50.5 / 70.5, rel=1e-3)
    assert expected == sorted(expected)


def test_a_state_that_counted_fills_only_keeps_its_mean() -> None:
    older = Measurement(fills=200, slippage_bps=4.0)
    assert fold_fill(older, a_fill()).slippage_bps == pytest.approx(4 - 3 / 50, abs=0.01)


def test_depths_are_sums_within_their_bands() -> None:
    side = ((60_030.0, 1.0), (60_060.0, 2.0), (60_150.0, 4.0), (60_151.0, 8.0))
    assert depth_within(side, 60_000.0) == (1.0, 3.0, 7.0)


def test_metrics_carry_every_figure_and_survive_the_wire() -> None:
    fees = fees_of("kraken", {})
    metrics = metrics_of(
        "kraken", "BTC-USDT", after_seconds(60), read_lags(Counter({4: 3})), a_top("kraken"), NOW, fees
    )
    assert (metrics.taker_bps, metrics.maker_bps) == (40.0, 25.0)
    assert metrics.spread_bps == pytest.approx(1 / 6)
    assert metrics.top_depth == pytest.approx(2.5)
    assert metrics.reliability == metrics.alpha / (metrics.alpha + metrics.beta)
    assert encode(metrics)


def test_the_volatility_goes_on_at_once_when_the_clock_is_set_back() -> None:
    found = Measurement()
    for at in range(20):
        back_ns = HOUR_NS if at >= 10 else 0
        health = a_health(now=NOW - back_ns + at * 60 * NS_PER_S)
        found = fold_health(found, health, 60_000.0 + at, at)
    assert found.returns == 9 + 9
