"""A market whose edge is known by its own law: it is earned where it is, and nothing where it is not.

What is evidence is that the gain lies within the interval of the law: that is to hold whatever the seed. The
signs of what is left after costs are those of this seed: three days are too few for more than chance.
"""

from __future__ import annotations

import math
import os
import statistics
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from backtest.profile import Profile
from backtest.sources.bars import Bars
from backtest.world import Trading, World
from libs.common.events import OrderFilled, PolicyRewarded
from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.common.topics import EXECUTION_FILLS, ROUTER_CHOICES
from simulator.latent import GENESIS_DAY, MINUTES, LatentPrices
from tests.backtest_candles import LatentCandles, law_of

if TYPE_CHECKING:
    from backtest.bus import Record

DAYS = int(os.environ.get("BOOKRUNNER_EDGE_DAYS", "3"))
FIRST_DAY = GENESIS_DAY + 800
SYMBOL = "BTC-USDT"
EVERY_NS = 45 * MINUTE_NS
Z = 3.0  # in one run of 370 a right system is found wrong by one of these intervals
ECHO = 2.0  # at most so many times is the variance of sums raised by what a minute remembers of the last one


class Earned(NamedTuple):
    """What a run earned, quote units, beside what its positions earn by the market's own law."""

    gross: float
    expected: float
    sd: float
    cost: float
    rewards: list[float]


def earned(edge: float) -> Earned:
    begin = FIRST_DAY * DAY_NS
    latent = LatentPrices(7, (SYMBOL,), edge)
    source = Bars(LatentCandles(latent, ("binance",), begin), begin, begin + DAYS * DAY_NS)
    fills: list[OrderFilled] = []
    rewards: list[float] = []

    def keep(record: Record) -> None:
        nonlocal rewards
        if record.topic is EXECUTION_FILLS and isinstance(record.event, OrderFilled):
            fills.append(record.event)
        elif record.topic is ROUTER_CHOICES and isinstance(record.event, PolicyRewarded):
            rewards += [record.event.reward] if record.event.counted else []

    trading = Trading((SYMBOL,), EVERY_NS, policies=("p_sma",))
    with World(source, trading, Profile.of({"PORTFOLIO_PERIOD_S": "3600"}), seed=1) as world:
        world.bus.tap(keep)
        world.run()
    assert len(fills) > 10 * DAYS
    return earned_by(fills, rewards, latent, edge)


def earned_by(fills: list[OrderFilled], rewards: list[float], latent: LatentPrices, edge: float) -> Earned:
    """Hold what the fills left at each minute's start, and compare its gain with that of the law."""
    held = np.zeros(DAYS * MINUTES)
    cost = 0.0
    prices = np.concatenate(
        [np.exp(latent.day(FIRST_DAY + day).log_price[:-1, 0]) for day in range(DAYS)]
        + [np.exp(latent.day(FIRST_DAY + DAYS - 1).log_price[-1:, 0])]
    )
    for fill in fills:
        minute = (fill.ts - FIRST_DAY * DAY_NS) // MINUTE_NS
        signed = float(fill.last_qty) * (1 if fill.side == "buy" else -1)
        held[minute + 1 :] += signed
        # Until the next minute begins the book stands at the close of the last one.
        cost += signed * (float(fill.last_px) - prices[minute]) + float(fill.fee)
        if minute + 1 < len(prices):
            cost -= signed * (prices[minute + 1] - prices[minute])
    laws = [law_of(latent, edge, FIRST_DAY + day, 0) for day in range(DAYS)]
    mean, sd = (np.concatenate(parts) for parts in zip(*laws, strict=True))
    value = held * prices[:-1]
    return Earned(
        gross=float(held @ np.diff(prices)),
        expected=float(value @ (mean + sd**2 / 2)),
        sd=math.sqrt(ECHO * float((value * sd) @ (value * sd))),
        cost=cost,
        rewards=rewards,
    )


def test_a_stated_edge_is_earned_within_its_interval() -> None:
    got = earned(edge=6.0)
    assert_rewards_are_what_was_earned(got)
    assert got.expected > 1.5 * got.sd  # there is something to be earned, by the law alone
    assert abs(got.gross - got.expected) < Z * got.sd
    assert statistics.mean(got.rewards) > 0


def test_without_an_edge_nothing_is_earned_after_costs() -> None:
    got = earned(edge=0.0)
    assert_rewards_are_what_was_earned(got)
    assert abs(got.expected) < got.sd  # the law has but a pull of a basis point an hour
    assert abs(got.gross - got.expected) < Z * got.sd
    mean, error = mean_and_error(got.rewards)
    assert mean - Z * error <= 0
    assert sum(got.rewards) < 0


def assert_rewards_are_what_was_earned(got: Earned) -> None:
    """Allow for decisions that are not rewarded yet when a run ends."""
    told = sum(got.rewards) * float(Profile.of().portfolio.capital)
    assert told == pytest.approx(got.gross - got.cost, abs=0.15 * got.cost)


def mean_and_error(rewards: list[float]) -> tuple[float, float]:
    return statistics.mean(rewards), statistics.stdev(rewards) / math.sqrt(len(rewards))
