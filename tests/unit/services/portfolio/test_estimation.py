"""What an answer makes of short, young, stale and broken histories, in both modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from libs.common.events import (
    AssessRisk,
    CommandRejected,
    OptimizePortfolio,
    PortfolioOptimized,
    Refusal,
    RiskBudget,
)
from libs.common.time_units import DAY_NS
from libs.common.topic import MIB
from services.portfolio.allocation import MOST_SUSPECTS
from tests.fills import a_fill
from tests.portfolio_problems import BETA, FactorWorld, random_returns
from tests.unit.services.portfolio.world import TODAY, World

if TYPE_CHECKING:
    from collections.abc import Sequence

BTC, ETH, ICP = "BTC-USDT", "ETH-USDT", "ICP-USDT"
MODES: Final = ("sum_cvar", "portfolio_cvar")


def a_wish(symbols: Sequence[str] = (BTC, ETH), **changes: Any) -> OptimizePortfolio:
    fields: dict[str, Any] = {"cvar_budget": 0.02, "vol_target": 1.0} | changes
    return OptimizePortfolio(command_id=str(UUID(int=2)), symbols=tuple(symbols), **fields)


def told(world: World, symbols: Sequence[str], **changes: Any) -> PortfolioOptimized | CommandRejected:
    wish = a_wish(symbols, **changes)
    (answer,) = world.tell(replace(wish, command_id=str(uuid5(NAMESPACE_URL, repr(wish)))))
    assert isinstance(answer, PortfolioOptimized | CommandRejected)
    return answer


def optimized(world: World, symbols: Sequence[str] = (BTC, ETH), **changes: Any) -> PortfolioOptimized:
    answer = told(world, symbols, **changes)
    assert isinstance(answer, PortfolioOptimized)
    return answer


def of_returns(columns: dict[str, Any], **settings: Any) -> World:
    """Return a world whose symbols had these returns up to yesterday."""
    world = World(**settings)
    for symbol, returns in columns.items():
        world.candle(symbol, TODAY - len(returns) - 1, 100.0)
        for n, price in enumerate(100.0 * np.cumprod(1.0 + np.asarray(returns))):
            world.candle(symbol, TODAY - len(returns) + n, float(price))
    return world


def two(days: int = 400) -> dict[str, Any]:
    R = random_returns(5, 2, days)
    return {BTC: R[:, 0], ETH: R[:, 1]}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_realised_is_within_the_budget_on_a_short_history(mode: str) -> None:
    realised = []
    for seed in range(12):
        market = FactorWorld(seed, symbols=10)
        names = [f"C{n}-USDT" for n in range(10)]
        R = market.returns(20)
        answer = optimized(of_returns(dict(zip(names, R.T, strict=True))), names, mode=mode)
        assert answer.status == "optimal"
        realised.append(market.cvar(np.array([answer.weights[name] for name in names])) / 0.02)
    # 12 draws; the medians of 48 are .69 and .76, and the quartiles .5 and 1.0
    assert 0.4 < float(np.median(realised)) <= 1.1


@pytest.mark.parametrize("mode", MODES)
def test_the_caution_has_no_step_in_the_number_of_days(mode: str) -> None:
    steps = []
    for seed in range(8):
        R = random_returns(seed, 2, 130)
        world = of_returns({BTC: R[:, 0], ETH: R[:, 1]})
        for symbol in (BTC, ETH):
            a, b = (optimized(world, mode=mode, lookback=days) for days in (119, 120))
            steps.append(np.log(b.cvar_limits[symbol] / b.cvar_by_symbol[symbol]))
            steps[-1] -= np.log(a.cvar_limits[symbol] / a.cvar_by_symbol[symbol])
    assert abs(float(np.median(steps))) < 0.01
    assert abs(float(np.mean(steps))) < 0.03, "what a new day changes averages out"


def test_the_caution_grows_with_the_symbols_and_falls_with_the_days() -> None:
    cautions: dict[tuple[int, int], list[float]] = {}
    for seed in range(5):
        R = FactorWorld(seed, symbols=20).returns(160)
        columns = {f"C{n}-USDT": r for n, r in enumerate(R.T)}
        world = of_returns(columns)
        for symbols, days in ((3, 160), (20, 160), (20, 40)):
            answer = optimized(world, list(columns)[:symbols], mode="portfolio_cvar", lookback=days)
            cautions.setdefault((symbols, days), []).append(answer.caution)
            assert answer.caution * answer.cvar_portfolio <= 0.02 * (1 + 1e-9)
    few, many, short = (float(np.median(found)) for found in cautions.values())
    assert 1.0 <= few < many < short


def test_the_answer_says_how_cautious_it_is_and_why() -> None:
    answer = optimized(of_returns(two()), mode="portfolio_cvar")
    assert f"{answer.caution:.2f} times" in answer.caution_reason
    assert "symbols: 2; days: 400" in answer.caution_reason
    assert answer.caution > 1.0
    assert answer.effective_days == pytest.approx(169.75, abs=0.01)
    assert answer.half_life_days == 60.0


def test_the_price_of_the_budget_is_that_of_the_budget_as_asked() -> None:
    world = of_returns(two())
    one, more = optimized(world, cvar_budget=0.02), optimized(world, cvar_budget=0.02 + 1e-5)
    assert more.caution == pytest.approx(one.caution, rel=1e-6)
    assert one.shadow_prices["cvar_budget"] == pytest.approx((more.utility - one.utility) / 1e-5, rel=1e-2)


@pytest.mark.parametrize("mode", MODES)
def test_a_young_symbol_takes_no_days_from_the_others(mode: str) -> None:
    columns = two() | {ICP: random_returns(7, 1, 21)[:, 0]}
    with_young = optimized(of_returns(columns), (BTC, ETH, ICP), mode=mode)
    alone = optimized(of_returns(columns), (BTC, ETH), mode=mode)
    for symbol in (BTC, ETH):
        assert with_young.cvar_by_symbol[symbol] == pytest.approx(alone.cvar_by_symbol[symbol], rel=1e-12)
        assert with_young.mean[symbol] == pytest.approx(alone.mean[symbol], rel=1e-12)
    assert np.array(with_young.covariance)[:2, :2] == pytest.approx(np.array(alone.covariance), rel=0.15)
    assert np.linalg.eigvalsh(np.array(with_young.covariance))[0] > 0.0
    assert with_young.dropped == ()
    assert with_young.observations_by_symbol == {BTC: 400, ETH: 400, ICP: 21}
    assert with_young.filled_days == {ICP: 379}
    assert with_young.observations == 21
    assert with_young.status == "optimal"


def test_risk_is_that_of_the_present() -> None:
    calm, wild = random_returns(5, 2, 340) / 3, random_returns(6, 2, 60) * 3
    R = np.vstack((calm, wild))
    answer = optimized(of_returns({BTC: R[:, 0], ETH: R[:, 1]}))
    now, ever = wild.std(axis=0), R.std(axis=0)
    sigma = np.sqrt(np.diag(np.array(answer.covariance)))
    assert (np.abs(np.log(sigma / now)) < np.abs(np.log(ever / now))).all()
    assert (sigma > 1.3 * ever).all()
    fading = optimized(of_returns({BTC: R[:, 0], ETH: R[:, 1]}, half_life_days=36_500), (BTC, ETH))
    assert np.sqrt(np.diag(np.array(fading.covariance))) == pytest.approx(ever, rel=0.01)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [1000.0, 1e-4])
def test_a_bad_print_is_told_and_leaves_the_estimate_as_it_was(mode: str, factor: float) -> None:
    columns = two()
    broken = {symbol: r.copy() for symbol, r in columns.items()}
    broken[BTC][350] = (1 + columns[BTC][350]) * factor - 1
    broken[BTC][351] = (1 + columns[BTC][351]) / factor - 1
    answer, sound = optimized(of_returns(broken), mode=mode), optimized(of_returns(columns), mode=mode)
    assert answer.cvar_by_symbol[BTC] == pytest.approx(sound.cvar_by_symbol[BTC], rel=0.05)
    assert answer.mean[BTC] == pytest.approx(sound.mean[BTC], rel=0.2)
    assert np.array(answer.covariance) == pytest.approx(np.array(sound.covariance), rel=0.05)
    (suspect,) = answer.suspect_days
    assert (suspect.symbol, suspect.kept) == (BTC, False)
    assert suspect.day_ts == (TODAY - 50) * DAY_NS
    assert suspect.change == pytest.approx(broken[BTC][350])
    assert "took it back" in suspect.why
    assert answer.observations_by_symbol[BTC] == 398


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [1000.0, 1e-4])
@pytest.mark.parametrize("day", [0, 399])
def test_a_jump_of_the_newest_or_the_first_day_does_not_end_the_portfolio(
    mode: str, factor: float, day: int
) -> None:
    columns = two()
    columns[BTC][day] = (1 + columns[BTC][day]) * factor - 1
    answer = optimized(of_returns(columns), mode=mode)
    assert answer.caution < 4.0
    assert answer.cvar_limits[BTC] < 2.0
    assert answer.weights[BTC] > 0.01
    (suspect,) = answer.suspect_days
    assert suspect.kept


def test_a_crash_that_stays_is_kept_and_told() -> None:
    columns = two()
    columns[BTC][395] = -0.99
    answer = optimized(of_returns(columns))
    assert answer.cvar_by_symbol[BTC] > 0.2
    (suspect,) = answer.suspect_days
    assert suspect.kept
    assert answer.observations_by_symbol[BTC] == 400


def test_the_newest_suspect_days_of_a_symbol_are_told_so_that_the_answer_can_be() -> None:
    columns = two()
    columns[BTC][:] = 0.0
    columns[BTC][10:390:6], columns[BTC][13:390:6] = 0.5, -1.0 / 3.0
    answer = optimized(of_returns(columns))
    assert [each.day_ts // DAY_NS - TODAY for each in answer.suspect_days] == list(range(-69, -11, 3))
    assert 100 * MOST_SUSPECTS * len(msgspec.msgpack.encode(answer.suspect_days[0])) < MIB / 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("close", [0.0, float("nan"), float("inf"), -3.0, 1e300, 1e-300])
def test_a_close_that_is_no_price_is_refused_by_symbol_and_day(mode: str, close: float) -> None:
    world = of_returns(two())
    world.candle(BTC, TODAY - 30, close)
    answer = told(world, (BTC, ETH), mode=mode)
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.INVALID
    assert f"{BTC} closed at {close:g} on 2024-09-" in answer.faults[0].message
    assert isinstance(told(world, (ETH,), mode=mode), PortfolioOptimized)
    assert isinstance(told(world, (BTC, ETH), mode=mode, lookback=25), PortfolioOptimized)


@pytest.mark.parametrize("close", [0.0, float("nan"), 1e300])
def test_a_close_that_is_no_price_leaves_the_budget_a_number(close: float) -> None:
    world, sound = of_returns(two()), of_returns(two())
    world.candle(BTC, TODAY - 30, close)
    found = []
    for each in (world, sound):
        position, ask = each.tell(a_fill())
        each.see([position])
        found += [event for event in each.tell(ask) if isinstance(event, RiskBudget)]
    broken, whole = (budget.by_symbol[BTC] for budget in found)
    assert (broken.left_out, broken.observations) == (1, 398)
    assert broken.cvar == pytest.approx(whole.cvar, rel=0.05)
    assert broken.vol == pytest.approx(whole.vol, rel=0.05)
    assert not broken.assumed


@pytest.mark.parametrize("mode", MODES)
def test_days_from_before_a_hole_of_years_are_days_still(mode: str) -> None:
    world = World(history_age_days=36_500)
    for n, symbol in enumerate((BTC, ETH)):
        for day in (*range(TODAY - 15_025, TODAY - 15_000), TODAY - 2, TODAY - 1):
            world.candle(symbol, day, 100.0 + 3.0 * ((day + n) % 3))
    answer = optimized(world, mode=mode)
    assert answer.status == "optimal"
    assert all(0.005 < sigma < 0.1 for sigma in np.sqrt(np.diag(np.array(answer.covariance))))
    assert np.isfinite(answer.caution)


def test_the_budget_shows_of_how_many_days_each_risk_is() -> None:
    world = of_returns(two() | {ICP: random_returns(7, 1, 21)[:, 0]})
    (budget, *_) = world.tell(AssessRisk(command_id=str(UUID(int=1))))
    assert isinstance(budget, RiskBudget)
    assert {symbol: risk.observations for symbol, risk in budget.by_symbol.items()} == {
        BTC: 400,
        ETH: 400,
        ICP: 21,
    }
    assert budget.by_symbol[ICP].effective_days == pytest.approx(20.9, abs=0.1)
    assert budget.by_symbol[BTC].effective_days == pytest.approx(169.75, abs=0.01)


def test_an_answer_does_not_depend_on_the_command_s_id() -> None:
    columns = two() | {ICP: random_returns(7, 1, 21)[:, 0]}
    first = optimized(of_returns(columns), (BTC, ETH, ICP), mode="portfolio_cvar")
    (again,) = of_returns(columns).tell(a_wish((BTC, ETH, ICP), mode="portfolio_cvar"))
    assert isinstance(again, PortfolioOptimized)
    assert again.command_id != first.command_id
    assert replace(again, command_id=first.command_id) == first


def test_the_factor_world_s_cvar_is_that_of_its_law() -> None:
    market = FactorWorld(1, symbols=1)
    draws = market.returns(400_000)[:, 0]
    worst = np.sort(draws)[: 400_000 // 20]
    # 20,000 days in the tail, whose standard error is some .5 %
    assert market.cvar(np.ones(1)) == pytest.approx(-worst.mean(), rel=0.03)
    assert BETA == 0.95
