from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from services.context.sources import deribit
from tests.option_surfaces import (
    EXPIRY,
    FAR,
    NOW,
    NOW_NS,
    answer,
    option_name,
    strike_of_delta,
    summaries,
    years,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.context.source import Reading

F = 60_000.0
STRIKES = tuple(float(K) for K in range(30_000, 100_001, 1_000))
SYMBOLS = ("BTC-USDT", "BTC-USD", "ETH-USDT", "SOL-USDT", "BTC-EUR")


def skewed(K: float) -> float:
    """Return a smile, quadratic in log-moneyness, whose puts are dearer than its calls."""
    k = math.log(K / F)
    return 0.5 - 0.15 * k + 0.4 * k * k


def flat(_K: float) -> float:
    return 0.55


def read(rows: Sequence[dict[str, Any]], symbols: Sequence[str] = ("BTC-USDT",)) -> Reading:
    return deribit.read({deribit.path("BTC"): answer(rows)}, symbols, NOW_NS)


def values(reading: Reading, symbol: str = "BTC-USDT") -> dict[str, float]:
    return {each.name: each.value for each in reading.values if each.symbol == symbol}


def both(smile: Callable[[float], float]) -> list[dict[str, Any]]:
    return summaries(smile, STRIKES) + summaries(smile, STRIKES, expiry=FAR)


def test_the_risk_reversal_is_that_of_strikes_found_by_bumping_integrated_prices() -> None:
    T = years(EXPIRY)
    call, put = (strike_of_delta(phi, phi * 0.25, F, T, skewed) for phi in (1, -1))
    expected = skewed(call) - skewed(put)
    assert expected < -0.01  # there is a skew to be found
    # The smile is a line in delta between strikes 1 000 apart: its error is below 0.0001 here.
    assert values(read(both(skewed)))["rr25"] == pytest.approx(expected, abs=1e-4)


def test_the_volatility_at_the_money_is_that_of_the_delta_neutral_straddle() -> None:
    T = years(EXPIRY)
    K = strike_of_delta(1, 0.5, F, T, skewed)
    assert pytest.approx(F * math.exp(skewed(K) ** 2 * T / 2), rel=1e-4) == K
    assert values(read(both(skewed)))["atmVol"] == pytest.approx(skewed(K), abs=1e-4)


def test_the_slope_is_the_rise_of_volatility_over_the_root_of_time() -> None:
    rows = summaries(flat, STRIKES) + summaries(lambda _K: 0.6, STRIKES, expiry=FAR)
    slope = (0.6 - 0.55) / (math.sqrt(years(FAR)) - math.sqrt(years(EXPIRY)))
    assert values(read(rows))["termSlope"] == pytest.approx(slope, rel=1e-12)


def test_a_flat_surface_has_no_skew() -> None:
    found = values(read(both(flat)))
    assert found["rr25"] == pytest.approx(0.0, abs=1e-12)
    assert found["atmVol"] == pytest.approx(0.55)
    assert found["termSlope"] == pytest.approx(0.0, abs=1e-12)


def test_the_nearest_expiry_beyond_seven_days_is_used() -> None:
    soon = NOW.replace(hour=8) + timedelta(days=7)  # 6 days and 20 hours
    rows = summaries(lambda _K: 3.0, STRIKES, expiry=soon) + both(flat)
    assert values(read(rows))["atmVol"] == pytest.approx(0.55)


def test_every_symbol_of_the_currency_in_a_dollar_gets_the_values() -> None:
    reading = read(both(skewed), SYMBOLS)
    assert {each.symbol for each in reading.values} == {"BTC-USDT", "BTC-USD"}
    assert {get.path for get in deribit.requests(SYMBOLS)} == {deribit.path("BTC"), deribit.path("ETH")}
    assert deribit.requests(("SOL-USDT", "BTC-EUR")) == ()


def test_one_currency_s_fault_leaves_the_other_s_values() -> None:
    replies = {deribit.path("BTC"): answer(both(skewed)), deribit.path("ETH"): b"<html>"}
    reading = deribit.read(replies, SYMBOLS, NOW_NS)
    assert values(reading).keys() == {"rr25", "atmVol", "termSlope"}
    assert reading.faults == ["ETH: the answer is no JSON: JSON is malformed: invalid character (byte 0)"]


@pytest.mark.parametrize(
    ("kinds", "low", "high", "why"),
    [
        ("P", 0, 1e9, "no usable call above the forward"),
        ("C", 0, 1e9, "no usable put below the forward"),
        ("CP", 0, 62_000, "no strike above the call of delta 0.25"),
        ("CP", 58_000, 1e9, "no strike below the call of delta 0.75"),
        ("", 0, 1e9, "no usable option expires 7 days from now or later"),
    ],
)
def test_a_one_sided_surface_is_refused_in_words(kinds: str, low: float, high: float, why: str) -> None:
    kept = [
        row
        for row in both(skewed)
        if row["instrument_name"][-1] in kinds and low <= float(row["instrument_name"].split("-")[2]) <= high
    ]
    reading = read(kept)
    assert reading.values == []
    assert len(reading.faults) == 1
    assert why in reading.faults[0]


@pytest.mark.parametrize(
    "change",
    [
        {"mark_iv": 0.0},
        {"mark_iv": None},
        {"mark_iv": -3.0},
        {"mark_iv": 5_000.0},
        {"bid_price": 0.02, "ask_price": 0.01},
        {"underlying_price": None},
        {"creation_timestamp": int((NOW - timedelta(minutes=5)).timestamp() * 1000)},
        {"instrument_name": "BTC-31FEB26-60000-C"},
        {"instrument_name": "BTC_USDC-27MAR26-60000-C"},
    ],
)
def test_an_unusable_option_is_left_out(change: dict[str, Any]) -> None:
    rows = both(skewed)
    poisoned = [
        row | {"mark_iv": 900.0} | change
        if row["instrument_name"].endswith(("-65000-C", "-54000-P"))
        else row
        for row in rows
    ]
    left = [row for row in rows if not row["instrument_name"].endswith(("-65000-C", "-54000-P"))]
    assert values(read(poisoned)) == values(read(left))


@pytest.mark.parametrize("percent", [65.0, 90.0, 900.0])
def test_an_option_that_is_alone_dear_is_no_surface(percent: float) -> None:
    name = option_name("BTC", EXPIRY, 65_000, "C")
    rows = [row | ({"mark_iv": percent} if row["instrument_name"] == name else {}) for row in both(skewed)]
    assert "deltas of calls do not fall" in read(rows).faults[0]


def test_strikes_so_far_that_their_deltas_are_alike_change_nothing() -> None:
    far = (5_000.0, 10_000.0, 15_000.0, *STRIKES, 300_000.0, 400_000.0, 500_000.0)
    rows = summaries(flat, far) + summaries(flat, far, expiry=FAR)
    assert values(read(rows)) == values(read(both(flat)))


def test_odd_volatilities_far_from_the_money_change_nothing() -> None:
    odd = {option_name("BTC", EXPIRY, K, kind) for K, kind in ((30_000, "P"), (100_000, "C"))}
    rows = [row | ({"mark_iv": 120.0} if row["instrument_name"] in odd else {}) for row in both(skewed)]
    assert values(read(rows)) == values(read(both(skewed)))


def test_forwards_that_disagree_are_refused() -> None:
    rows = both(skewed)
    rows[4]["underlying_price"] = 61_000.0
    assert "more than 1 % apart" in read(rows).faults[0]


def test_a_single_expiry_has_skew_but_no_slope() -> None:
    reading = read(summaries(skewed, STRIKES))
    assert values(reading).keys() == {"rr25", "atmVol"}
    assert reading.faults == ["BTC: there is no second expiry, so no slope"]


def test_values_are_as_old_as_the_oldest_option_of_their_expiry() -> None:
    rows = both(skewed)
    rows[0]["creation_timestamp"] -= 90_000
    reading = read(rows)
    assert {each.ts for each in reading.values} == {NOW_NS - 90_000_000_000}


@pytest.mark.parametrize(
    "body", [b'{"result": [{"instrument_name": 1}]}', b'{"result": NaN}', b"", b"[]", b'{"error": {}}']
)
def test_another_form_is_a_fault_with_words(body: bytes) -> None:
    reading = deribit.read({deribit.path("BTC"): body}, ("BTC-USDT",), NOW_NS)
    assert reading.values == []
    assert "the answer" in reading.faults[0]


def test_a_date_of_a_name_is_at_8_utc() -> None:
    # BTC-27MAR26: https://docs.deribit.com, naming: DMMMYY; expiries are at 08:00 UTC.
    assert deribit.expiry_ts("27", "MAR", "26") == int(EXPIRY.timestamp()) * 1_000_000_000
    assert deribit.expiry_ts("30", "FEB", "26") is None
    assert deribit.expiry_ts("1", "XXX", "26") is None
