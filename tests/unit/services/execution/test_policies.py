from __future__ import annotations

import math

import numpy as np
import pytest

from libs.common.events import Candle, Features
from libs.common.policy import Market
from libs.common.time_units import DAY_NS
from services.execution.decide.policies import POLICIES, UnknownPolicyError, signal_of
from tests.unit.services.execution.builders import a_candle, seeded


def _market(
    closes: list[float] | None = None, days: list[Candle] | None = None, obi: float | None = None
) -> Market:
    features = None
    if obi is not None:
        features = Features(
            mid=1.0,
            microprice=1.0,
            spread_bps=1.0,
            obi=obi,
            depth_bid=1.0,
            depth_ask=1.0,
            depth_truncated=False,
        )
    minutes = tuple(a_candle(at, close) for at, close in enumerate(closes or []))
    return Market(minutes=minutes, days=tuple(days or []), features=features)


def _days(closes: list[float]) -> list[Candle]:
    return [
        a_candle(0, close, interval="1d", open_ts=at * DAY_NS, high=close + 1, low=close - 1)
        for at, close in enumerate(closes)
    ]


def test_a_policy_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownPolicyError, match="p_sma, p_breakout, p_meanrev, p_obi, p_flat"):
        signal_of("p_magic", _market())


@pytest.mark.parametrize("policy_id", POLICIES)
def test_without_data_every_policy_is_flat_and_says_why(policy_id: str) -> None:
    signal = signal_of(policy_id, _market())
    assert signal.value == 0.0
    assert signal.reason


@pytest.mark.parametrize("policy_id", ["p_sma", "p_meanrev"])
def test_holes_and_a_price_that_stands_still_mean_flat(policy_id: str) -> None:
    still = signal_of(policy_id, _market([100.0] * 60))
    holed = Market(minutes=tuple(a_candle(2 * at, 100.0 + at) for at in range(60)), days=(), features=None)
    assert (still.value, signal_of(policy_id, holed).value) == (0.0, 0.0)
    assert "not moved" in still.reason
    assert "holes" in signal_of(policy_id, holed).reason


def test_the_crossover_follows_a_trend_and_reversion_opposes_it() -> None:
    rising = [100 * math.exp(0.001 * at + 0.0005 * (-1) ** at) for at in range(60)]
    assert signal_of("p_sma", _market(rising)).value > 0.7
    assert signal_of("p_sma", _market(rising[::-1])).value < -0.7
    assert signal_of("p_meanrev", _market(rising)).value < -0.5
    assert signal_of("p_meanrev", _market(rising[::-1])).value > 0.5


def test_the_crossover_is_in_standard_deviations_of_a_random_walk() -> None:
    """2,000 walks: the sample sd of z is off by 1.6 % (one sd); estimating sigma adds about 1 %."""
    walks = np.cumsum(0.001 * seeded().standard_normal((2000, 60)), axis=1)
    values = [signal_of("p_sma", _market(np.exp(walk).tolist())).value for walk in walks]
    assert float(np.std(np.arctanh(values))) == pytest.approx(1.0, rel=0.08)


def test_the_mean_is_left_by_two_standard_deviations_for_a_full_position() -> None:
    closes = [100.0, 101.0] * 14 + [100.5, 110.0]
    assert signal_of("p_meanrev", _market(closes)).value == -1.0
    z = (math.log(101.0) - float(np.mean(np.log([100.0, 101.0] * 15)))) / float(
        np.std(np.log([100.0, 101.0] * 15), ddof=1)
    )
    assert signal_of("p_meanrev", _market([100.0, 101.0] * 15)).value == pytest.approx(-z / 2)


def test_a_breakout_is_held_until_the_shorter_channel_is_crossed_back() -> None:
    quiet = [100.0] * 21
    assert signal_of("p_breakout", _market(days=_days(quiet))).value == 0.0
    broken = [*quiet, 103.0]
    assert signal_of("p_breakout", _market(days=_days(broken))).value == 1.0
    assert signal_of("p_breakout", _market(days=_days([*broken, 102.5, 102.0]))).value == 1.0
    left = [*broken, *([102.0] * 10), 100.5]  # below the lows of ten days, inside those of twenty
    assert signal_of("p_breakout", _market(days=_days(left))).value == 0.0
    assert signal_of("p_breakout", _market(days=_days([*quiet, 97.0]))).value == -1.0


def test_the_newest_minute_counts_as_the_close_of_today() -> None:
    market = _market([103.0], _days([100.0] * 21))
    assert signal_of("p_breakout", market).value == 1.0


@pytest.mark.parametrize("obi", [-1.0, -0.2, 0.0, 0.7])
def test_the_imbalance_is_the_signal(obi: float) -> None:
    assert signal_of("p_obi", _market(obi=obi)).value == obi
