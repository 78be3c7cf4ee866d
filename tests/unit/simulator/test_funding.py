from __future__ import annotations

from functools import lru_cache
from math import exp, tanh

import numpy as np
import pytest

from libs.common.time_units import NS_PER_S
from simulator.funding import INTERVAL_NS, PERPETUAL_VENUES, Perpetuals, average_premium, funding_rate
from simulator.latent import GENESIS_DAY, NS_DAY, NS_MINUTE, LatentPrices

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
DAY = GENESIS_DAY + 300
NOON = DAY * NS_DAY + 12 * 3600 * NS_PER_S + 34 * NS_PER_S


@lru_cache
def perpetuals(seed: int = 7) -> Perpetuals:
    return Perpetuals(LatentPrices(seed, SYMBOLS))


def test_the_average_premium_weighs_the_newest_most() -> None:
    assert average_premium(np.array([0.001, 0.002, 0.006])) == pytest.approx(
        (1 * 0.001 + 2 * 0.002 + 3 * 0.006) / 6
    )


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        (0.0, 0.0001),  # the interest alone
        (0.0006, 0.0001),  # as far above it as the clamp goes
        (-0.0004, 0.0001),
        (0.0010, 0.0005),  # 10 bp less the clamp's 5
        (-0.0010, -0.0005),
        (0.0100, 0.0030),  # the cap
        (-0.0100, -0.0030),
    ],
)
def test_funding_is_the_premium_and_a_clamped_interest(premium: float, rate: float) -> None:
    assert funding_rate(premium) == pytest.approx(rate, abs=1e-12)


def test_the_running_rate_is_that_of_the_premiums_at_the_minutes_so_far() -> None:
    began_ns = NOON // INTERVAL_NS * INTERVAL_NS
    for venue in PERPETUAL_VENUES:
        for symbol in SYMBOLS:
            taken = [
                perpetuals().premium(venue, symbol, ts_ns)
                for ts_ns in range(began_ns + NS_MINUTE, NOON + 1, NS_MINUTE)
            ]
            weighted = sum(place * premium for place, premium in enumerate(taken, 1))
            average = weighted / (len(taken) * (len(taken) + 1) / 2)
            found = perpetuals().at(venue, symbol, NOON)
            assert len(taken) == 240
            assert found.average_premium == pytest.approx(average, abs=1e-12)
            rate = average + min(max(0.0001 - average, -0.0005), 0.0005)
            assert found.rate == pytest.approx(rate, abs=1e-12)


def test_what_is_settled_is_the_rate_that_the_interval_came_to() -> None:
    settled_ns = NOON // INTERVAL_NS * INTERVAL_NS
    last = perpetuals().at("okx", "ETH-USDT", settled_ns - 1)
    first = perpetuals().at("okx", "ETH-USDT", settled_ns)
    assert (last.next_ns, first.next_ns) == (settled_ns, settled_ns + INTERVAL_NS)
    assert settled_ns % (8 * 3600 * NS_PER_S) == 0
    assert first.settled_rate == pytest.approx(last.rate, abs=1e-5)  # less one minute of 480
    assert first.settled_rate != last.settled_rate
    assert first.average_premium == first.premium  # nothing was taken yet


def test_mark_and_index_move_with_the_market_and_differ_by_the_premium() -> None:
    latent = LatentPrices(7, SYMBOLS)
    for minute in range(0, 1440, 97):
        ts_ns = DAY * NS_DAY + minute * NS_MINUTE + 123_456_789
        found = perpetuals().at("bybit", "SOL-USDT", ts_ns)
        assert found.index == exp(latent.log_price(2, ts_ns))
        assert found.mark / found.index - 1.0 == pytest.approx(found.premium, abs=1e-12)
        assert found.basis_bps == pytest.approx(found.premium * 1e4, abs=1e-8)
        moved = latent.log_price(2, ts_ns) - latent.log_price(2, ts_ns - 480 * NS_MINUTE)
        z = moved / (0.038 * (480 / 1440) ** 0.5)
        assert found.premium == pytest.approx(2e-4 + 10e-4 * tanh(z), abs=5 * 0.5e-4)


def test_funding_changes_sign_with_the_trend() -> None:
    rates = {
        perpetuals().at("binance-usdm", "BTC-USDT", day * NS_DAY + INTERVAL_NS - 1).rate
        for day in range(DAY, DAY + 60)
    }
    assert min(rates) < 0.0
    assert max(rates) > 0.0001
    assert max(map(abs, rates)) <= 0.003


def test_the_crowd_is_long_of_what_fell() -> None:
    latent = LatentPrices(7, SYMBOLS)
    shares, moves = [], []
    for day in range(DAY, DAY + 60):
        shares.append(perpetuals().longs("BTC-USDT", day * NS_DAY))
        moves.append(latent.log_price(0, day * NS_DAY) - latent.log_price(0, (day - 1) * NS_DAY))
    assert all(0.0 < share < 1.0 for share in shares)
    assert np.corrcoef(shares, moves)[0, 1] < -0.8


def test_contracts_are_a_function_of_seed_and_time_alone() -> None:
    late = Perpetuals(LatentPrices(7, SYMBOLS))
    late.at("okx", "BTC-USDT", NOON + 3 * NS_DAY)
    assert late.at("okx", "BTC-USDT", NOON) == perpetuals().at("okx", "BTC-USDT", NOON)
    assert perpetuals(8).at("okx", "BTC-USDT", NOON) != perpetuals().at("okx", "BTC-USDT", NOON)
    premiums = {perpetuals().premium(venue, "BTC-USDT", NOON) for venue in PERPETUAL_VENUES}
    assert len(premiums) == 3
