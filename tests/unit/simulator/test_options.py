from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from math import log

import numpy as np
import pytest

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.derivatives import Derivatives
from simulator.latent import GENESIS_DAY, NS_DAY, NS_MINUTE, LatentPrices
from simulator.options import COINS, Options, expiries
from simulator.venues.deribit_rows import summary

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
NOON = (GENESIS_DAY + 300) * NS_DAY + 12 * 3600 * NS_PER_S  # 2023-10-28


@lru_cache
def options(seed: int = 7) -> Options:
    return Derivatives(LatentPrices(seed, SYMBOLS)).options


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def listed(text: str) -> dict[str, str]:
    return {
        f"{datetime.fromtimestamp(ts_ns // NS_PER_S, UTC):%Y-%m-%dT%H}": period
        for ts_ns, period in expiries(at(text)).items()
    }


def test_days_weeks_months_and_quarters_expire_at_eight() -> None:
    assert listed("2026-11-30T17:00:00") == {
        "2026-12-01T08": "day",
        "2026-12-02T08": "day",
        "2026-12-03T08": "day",
        "2026-12-04T08": "week",
        "2026-12-11T08": "week",
        "2026-12-18T08": "week",
        "2026-12-25T08": "month",
        "2027-01-29T08": "month",
        "2027-02-26T08": "month",
        "2027-03-26T08": "month",
        "2027-06-25T08": "month",
        "2027-09-24T08": "month",
    }


def test_what_expires_leaves_the_list_at_eight() -> None:
    before, after = listed("2026-12-25T07:59:59"), listed("2026-12-25T08:00:00")
    assert next(iter(before)) == "2026-12-25T08"
    assert next(iter(after)) == "2026-12-26T08"
    assert after["2027-01-01T08"] == "week"
    assert "2027-12-31T08" in after  # a quarter takes the place of the one that is over
    assert "2027-12-31T08" not in before


def test_no_option_that_is_listed_has_expired() -> None:
    for hours in range(0, 24 * 40, 5):
        ts_ns = NOON + hours * 3600 * NS_PER_S
        contracts = options().listing("BTC", ts_ns).values()
        assert min(contract.expiry_ns for contract in contracts) > ts_ns
        assert max(contract.listed_ns for contract in contracts) <= ts_ns


def test_names_say_coin_expiry_strike_and_side() -> None:
    names = [option.contract.name for option in options().chain("BTC", NOON)]
    assert len(set(names)) == len(names)
    assert 300 < len(names) < 1200
    assert names[0].startswith("BTC-29OCT23-")
    assert {name[-2:] for name in names} == {"-C", "-P"}
    assert all(name.split("-")[2].isdigit() for name in names)


def test_every_coin_has_strikes_around_its_forward() -> None:
    for coin in COINS:
        surface = options().surface(coin, NOON)
        for expiry_ns in expiries(NOON):
            strikes = sorted(
                {c.strike for c in options().listing(coin, NOON).values() if c.expiry_ns == expiry_ns}
            )
            forward, theta = surface.forward(expiry_ns), surface.smile.theta(surface.years(expiry_ns))
            steps = np.diff(strikes)
            assert np.allclose(steps, steps[0])
            assert log(strikes[0] / forward) < -2.0 * theta**0.5
            assert log(strikes[-1] / forward) > 2.0 * theta**0.5


def test_quotes_stand_around_the_mark_on_their_ticks_and_some_have_no_bid() -> None:
    bids = 0
    for option in options().chain("ETH", NOON):
        assert option.ask > option.quote.value
        assert round(option.ask / 0.0001, 6).is_integer()
        if option.bid is not None:
            bids += 1
            assert 0.0 < option.bid < option.quote.value
            assert option.implied(option.bid) <= option.sigma <= option.implied(option.ask) + 1e-9
    total = len(options().chain("ETH", NOON))
    assert total * 0.5 < bids < total


def test_calls_fall_and_puts_rise_with_the_strike_and_every_butterfly_costs() -> None:
    chain = options().chain("BTC", NOON)
    for expiry_ns in expiries(NOON):
        for is_call in (True, False):
            row = [o for o in chain if o.contract.expiry_ns == expiry_ns and o.contract.is_call is is_call]
            values = np.array([option.quote.value for option in row])
            sign = -1.0 if is_call else 1.0
            assert (sign * np.diff(values) > 0.0).all()
            assert (np.diff(values, 2) > 0.0).all()


def test_the_smile_follows_the_market() -> None:
    latent = LatentPrices(7, SYMBOLS)
    moves, reversals, realised, at_the_money = [], [], [], []
    for day in range(60):
        ts_ns = NOON + day * NS_DAY
        smile = options().surface("BTC", ts_ns).smile
        moves.append(latent.log_price(0, ts_ns) - latent.log_price(0, ts_ns - NS_DAY // 3))
        reversals.append(smile.risk_reversal(0.25, 30 / 365))
        realised.append(latent.day_variance(0, ts_ns // NS_MINUTE))
        at_the_money.append(smile.volatility(0.0, 7 / 365) ** 2)
    assert np.corrcoef(moves, reversals)[0, 1] > 0.8
    assert np.corrcoef(realised, at_the_money)[0, 1] > 0.99


def test_a_days_variance_is_that_of_its_minutes() -> None:
    latent = LatentPrices(7, SYMBOLS)
    minute = NOON // NS_MINUTE
    day, index = divmod(minute, 1440)
    yesterday, today = latent.day(day - 1).minute_vol, latent.day(day).minute_vol
    vols = [*yesterday[index:], *today[:index]]
    assert len(vols) == 1440
    assert latent.day_variance(1, minute) == pytest.approx(sum((0.030 * vol) ** 2 for vol in vols))


def test_the_same_seed_and_time_give_the_same_chain() -> None:
    late = Derivatives(LatentPrices(7, SYMBOLS)).options
    late.chain("BTC", NOON + 2 * NS_DAY)
    assert late.chain("BTC", NOON) == options().chain("BTC", NOON)
    assert options(8).chain("BTC", NOON) != options().chain("BTC", NOON)
    assert options().chain("BTC", NOON + NS_PER_MS) != options().chain("BTC", NOON)
    assert options().chain("BTC", NOON + NS_PER_MS - 1) is options().chain("BTC", NOON)


def test_one_option_is_that_of_the_chain() -> None:
    before = options().values_before("BTC", NOON)
    for option in options().chain("BTC", NOON)[::37]:
        assert options().option(option.contract, NOON) == option
        assert options().value_before(option.contract, NOON) == before[option.contract.name]
        past = options().surface("BTC", NOON - NS_DAY).quote(option.contract).value
        assert before[option.contract.name] == past


def test_a_row_of_an_option_that_is_worth_nothing_is_of_a_tick() -> None:
    row = summary(replace(options().chain("BTC", NOON)[0], volume=1.0), 60_000.0, 0.0, NOON)
    assert row["low"] == 0.0001
    assert row["price_change"] == pytest.approx((row["last"] / 0.0001 - 1.0) * 100.0)  # type: ignore[operator]  # a float


def test_a_market_without_the_coin_has_no_options() -> None:
    derivatives = Derivatives(LatentPrices(7, ("SOL-USDT",)))
    assert derivatives.options.coins == ()
    assert derivatives.symbols_at("deribit") == ()
    assert derivatives.symbols_at("binance-usdm") == ("SOL-USDT",)
