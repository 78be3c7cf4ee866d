"""What plans see of the volumes of days, before and after a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pytest

from libs.common.codec import encode
from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.common.topics import L2_CANDLES, candle_key
from services.execution.decide.profile import profile_of
from services.execution.decide.volume_days import days_key, keep_days, volume_days
from services.execution.kept import ExecutionState
from services.execution.market_data import MarketData
from services.execution.settings import ExecutionSettings
from tests.execution_world import ExecutionWorld
from tests.unit.services.execution.builders import a_candle

if TYPE_CHECKING:
    from collections.abc import Sequence

BOOK = ("binance", "BTC-USDT")
KEY = days_key(*BOOK)


def told(minutes: Sequence[int]) -> MarketData:
    """Return what a service sees that has read the minutes of these numbers: eight busy hours a day."""
    market = MarketData(ExecutionSettings())
    view = next(view for view in market.candles.views if view.topic is L2_CANDLES)
    for at in minutes:
        candle = a_candle(at, 1.0, 9.0 if 480 <= at % 1440 < 960 else 1.0)
        view.fold(0, view.position(0), candle_key(candle), candle)
    return market


def ratio(v: np.ndarray, now: int) -> float:
    expected = np.array(profile_of(v, now).expected)
    return float(expected[96:192].mean() / np.delete(expected, np.s_[96:192]).mean())


def test_of_two_weeks_that_the_topic_told_a_plan_has_the_busy_hours() -> None:
    now = 14 * DAY_NS
    market = told(range(14 * 1440))
    assert ratio(volume_days(ExecutionState(), market, *BOOK, now), now) > 8.9
    assert len(market.minutes("BTC-USDT", "binance")) == 2880, "of the candles two days are kept"


def test_after_a_start_which_reads_two_days_the_days_before_are_there_again() -> None:
    state, now = ExecutionState(), 14 * DAY_NS + 700 * MINUTE_NS
    market = told(range(14 * 1440 + 700))
    keep_days(state, market, *BOOK, now)
    before = volume_days(ExecutionState(), market, *BOOK, now)
    again = volume_days(state, told(range(12 * 1440 + 701, 14 * 1440 + 700)), *BOOK, now)
    np.testing.assert_array_equal(again, before)
    lost = volume_days(ExecutionState(), told(range(12 * 1440 + 701, 14 * 1440 + 700)), *BOOK, now)
    assert len(lost) == 3


def test_the_state_changes_once_a_day_and_is_of_thirty_days_at_most() -> None:
    state, market = ExecutionState(), told(range(40 * 1440))
    keep_days(state, market, *BOOK, 39 * DAY_NS + 5 * MINUTE_NS)
    held = state[KEY]
    assert (held.first_day, len(held.days)) == (10, 29)
    keep_days(state, market, *BOOK, 39 * DAY_NS + 900 * MINUTE_NS)
    assert state[KEY] is held
    keep_days(state, market, *BOOK, 40 * DAY_NS)
    assert (state[KEY].first_day, len(state[KEY].days)) == (11, 29)
    assert len(encode(state[KEY])) < 36_000


@pytest.mark.parametrize("now", [0, 20 * DAY_NS])
def test_of_a_book_without_a_day_nothing_is_known_and_nothing_kept(now: int) -> None:
    state = ExecutionState()
    keep_days(state, told(range(0)), *BOOK, now)
    assert not np.isfinite(volume_days(state, told(range(0)), *BOOK, now)).any()
    assert KEY not in state
    assert profile_of(volume_days(state, told(range(0)), *BOOK, now), now).days == 0


def test_an_execution_keeps_the_days_that_are_over() -> None:
    world = ExecutionWorld()
    world.ready()
    world.execute()
    world.answer()
    world.answer()
    held = world.state[KEY]
    assert (held.first_day, len(held.days)) == (world.now // DAY_NS - 1, 1), "of the hours before midnight"
    msgpack.unpackb(encode(held))  # as any reader unpacks it: no key of a map is a number


def test_a_day_that_nobody_told_stays_unknown_between_those_that_are_kept() -> None:
    state, market = ExecutionState(), told([*range(1440), *range(2 * 1440, 3 * 1440)])
    keep_days(state, market, *BOOK, 3 * DAY_NS + MINUTE_NS)
    held = state[KEY]
    assert [bool(day) for day in held.days] == [True, False, True]
    again = volume_days(state, told(range(0)), *BOOK, 3 * DAY_NS + MINUTE_NS)
    assert [bool(np.isfinite(day).all()) for day in again[:3]] == [True, False, True]
