from __future__ import annotations

import tracemalloc
from functools import lru_cache

import numpy as np
import pytest

from libs.common.time_units import NS_PER_S
from simulator.latent import GENESIS_DAY, MINUTES, NS_DAY, NS_MINUTE, LatentPrices, Regime

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
FIRST_DAY = GENESIS_DAY + 300
DAYS = 400


@lru_cache
def prices(seed: int = 7) -> LatentPrices:
    return LatentPrices(seed, SYMBOLS)


@lru_cache
def minute_returns() -> tuple[np.ndarray, np.ndarray]:
    """Return standardised BTC minute returns, shape (days, 1440), and the regime of each minute."""
    paths = [prices().day(day) for day in range(FIRST_DAY, FIRST_DAY + DAYS)]
    returns = np.array([np.diff(path.log_price[:, 0]) / prices().day_vol[0] for path in paths])
    regimes = np.array([np.repeat(path.regimes, MINUTES // len(path.regimes)) for path in paths])
    return returns, regimes


def test_a_price_is_a_function_of_seed_and_time_alone() -> None:
    late = LatentPrices(7, SYMBOLS)
    ts_ns = (FIRST_DAY + 5) * NS_DAY + 12_345 * NS_PER_S + 678
    expected = late.log_price(1, ts_ns)
    assert prices().log_price(1, ts_ns - NS_DAY) != expected
    assert prices().log_price(1, ts_ns) == expected
    assert prices(8).log_price(1, ts_ns) != expected


def test_the_path_within_a_minute_joins_its_two_ends() -> None:
    path = prices().day(FIRST_DAY).log_price
    for minute in (0, 1, 700, 1439):
        start_ns = FIRST_DAY * NS_DAY + minute * NS_MINUTE
        assert prices().log_price(2, start_ns) == path[minute, 2]
        end = prices().log_price(2, start_ns + NS_MINUTE - 1)
        assert end == pytest.approx(path[minute + 1, 2], abs=1e-8)


def test_days_join() -> None:
    assert np.array_equal(prices().day(FIRST_DAY).log_price[-1], prices().day(FIRST_DAY + 1).log_price[0])


def test_days_that_were_walked_past_are_not_kept() -> None:
    tracemalloc.start()
    try:
        late = LatentPrices(7, SYMBOLS)
        late.day(FIRST_DAY)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    a_path = 8 * (MINUTES + 1) * len(SYMBOLS)  # bytes
    assert held < 10 * a_path < (FIRST_DAY - GENESIS_DAY) * a_path


def test_there_is_no_day_before_the_first() -> None:
    with pytest.raises(ValueError, match="2023-01-01"):
        prices().day(GENESIS_DAY - 1)


def test_regimes_differ_in_drift_volatility_and_memory() -> None:
    """Each comparison is more than 5 standard errors of a sample of some 10^5 minutes.

    By chance alone the three would hold for the given seed with a probability below 1e-6.
    """
    returns, regimes = minute_returns()
    by_regime = {regime: returns[regimes == regime] for regime in Regime}
    assert min(len(sample) for sample in by_regime.values()) > 20_000
    bull, bear = by_regime[Regime.BULL], by_regime[Regime.BEAR]
    error = np.sqrt(bull.var() / len(bull) + bear.var() / len(bear))
    assert bull.mean() - bear.mean() > 5 * error
    assert by_regime[Regime.VOLATILE].std() > 2 * by_regime[Regime.SIDEWAYS].std()
    assert memory(Regime.SIDEWAYS) < -0.2
    assert memory(Regime.BULL) > 0.05
    assert abs(memory(Regime.VOLATILE)) < 0.05


def memory(regime: Regime) -> float:
    """Return the correlation of a minute's return with the one before, both in one regime."""
    returns, regimes = minute_returns()
    both = (regimes[:, 1:] == regime) & (regimes[:, :-1] == regime)
    return float(np.corrcoef(returns[:, 1:][both], returns[:, :-1][both])[0, 1])


def test_symbols_move_together_but_not_as_one() -> None:
    closes = np.array([prices().day(day).log_price[-1] for day in range(FIRST_DAY, FIRST_DAY + DAYS)])
    correlation = np.corrcoef(np.diff(closes, axis=0).T)
    assert correlation[0, 1] > correlation[0, 2] > 0.4
    assert correlation.max(initial=0, where=correlation < 1 - 1e-9) < 0.95


def test_volatility_clusters_over_hours() -> None:
    """Correlation of neighbouring hours' mean absolute returns; zero would give 0.01 at this sample."""
    returns, _ = minute_returns()
    hours = np.abs(returns).reshape(-1, 60).mean(axis=1)
    assert np.corrcoef(hours[1:], hours[:-1])[0, 1] > 0.3
