from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from msgspec.structs import replace

from libs.common.codec import decode, encode
from libs.common.events import (
    AssessRisk,
    BookState,
    CommandRejected,
    InstrumentTerms,
    OptimizePortfolio,
    PortfolioOptimized,
    Position,
    Refusal,
    RiskBudget,
)
from libs.common.time_units import DAY_NS
from libs.common.topics import PORTFOLIO_ALLOCATIONS
from services.portfolio.certificate import utility
from services.portfolio.handlers import ASSESS, GROWING_NS
from services.portfolio.measures import cautious_cvar, day_weights, volatility
from services.portfolio.positions import flat
from services.portfolio.remembered import KEEP_ANSWERS
from services.portfolio.returns import History
from services.portfolio.risk import assess
from tests.fills import a_fill
from tests.unit.services.portfolio.world import NOW, TODAY, World

TWO = ("BTC-USDT", "ETH-USDT")


def a_wish(number: int = 1, **changes: Any) -> OptimizePortfolio:
    fields: dict[str, Any] = {
        "command_id": str(UUID(int=number)),
        "symbols": TWO,
        "cvar_budget": 0.05,
        "vol_target": 0.02,
    }
    return OptimizePortfolio(**fields | changes)


def a_world(days: int = 400) -> World:
    world = World()
    for n, symbol in enumerate(TWO):
        world.history(symbol, days, seed=n + 1)
    return world


def optimized(world: World, **changes: Any) -> PortfolioOptimized:
    (answer,) = world.tell(a_wish(**changes))
    assert isinstance(answer, PortfolioOptimized)
    return answer


def assessed(events: list[Any]) -> RiskBudget:
    (budget,) = (event for event in events if isinstance(event, RiskBudget))
    return budget


def assessments(world: World) -> list[int]:
    return [wish.ts for wish in world.wishes if wish.key.startswith(ASSESS)]


@pytest.mark.parametrize("mode", ["sum_cvar", "portfolio_cvar"])
def test_the_answer_can_be_computed_again_from_itself(mode: str) -> None:
    answer = optimized(a_world(), mode=mode)
    assert answer.status == "optimal"
    assert answer.observations == 400
    w = np.array([answer.weights[symbol] for symbol in answer.mean])
    mu, Sigma = np.array(list(answer.mean.values())), np.array(answer.covariance)
    assert answer.utility == pytest.approx(utility(mu, Sigma, w, answer.risk_aversion), abs=1e-15)
    assert answer.vol == pytest.approx(float(np.sqrt(w @ Sigma @ w)))
    assert answer.vol <= 0.02 + 1e-9
    assert answer.cash == pytest.approx(1.0 - w.sum())
    assert answer.cvar_portfolio <= answer.cvar_sum + 1e-12
    counted = answer.cvar_limits if mode == "sum_cvar" else None
    cost = (
        sum(answer.weights[s] * counted[s] for s in counted)
        if counted
        else answer.caution * answer.cvar_portfolio
    )
    assert cost <= 0.05 + 1e-9
    assert answer.binding == tuple(name for name, price in answer.shadow_prices.items() if price > 1e-12)
    assert decode(PORTFOLIO_ALLOCATIONS, encode(answer)) == answer


def test_only_closed_days_of_the_reference_venue_count() -> None:
    world = a_world(60)
    world.history("BTC-USDT", 300, seed=9, venue="kraken")
    answer = optimized(world)
    assert answer.observations == 60
    assert answer.venue == "binance"
    assert answer.last_day_ts == (TODAY - 1) * DAY_NS


def test_days_of_other_venues_are_not_even_decoded() -> None:
    history = History("binance")
    assert history.wants(b"1d:60000:binance:BTC-USDT")
    assert not history.wants(b"1d:60000:kraken:BTC-USDT")


def test_no_return_spans_a_missing_day_and_each_symbol_has_the_days_of_its_own() -> None:
    world = World()
    for day in range(TODAY - 100, TODAY):
        if day != TODAY - 50:
            world.candle("BTC-USDT", day, 100.0 + day % 7)
        if day != TODAY - 20:
            world.candle("ETH-USDT", day, 50.0 + day % 5)
    assert len(world.desk.history.returns("BTC-USDT").days) == 97
    answer = optimized(world)
    assert answer.observations_by_symbol == {"BTC-USDT": 97, "ETH-USDT": 97}
    assert answer.filled_days == {"BTC-USDT": 2, "ETH-USDT": 2}
    assert (answer.last_day_ts or 0) - (answer.first_day_ts or 0) == 98 * DAY_NS


def test_too_little_history_is_cash_and_says_how_many_days_there_are_and_are_needed() -> None:
    answer = optimized(a_world(12))
    assert answer.status == "insufficient_history"
    assert (answer.observations, answer.needed) == (12, 20)
    assert answer.cash == 1.0
    assert answer.weights == dict.fromkeys(TWO, 0.0)
    assert "12 days" in answer.reason


def test_a_symbol_of_fewer_days_than_needed_is_dropped_by_name_and_takes_none_from_the_others() -> None:
    world = a_world(300)
    world.history("SOL-USDT", 5, seed=3)
    answer = optimized(world, symbols=(*TWO, "SOL-USDT"))
    assert answer.dropped == ("SOL-USDT",)
    assert answer.weights["SOL-USDT"] == 0.0
    assert answer.observations == 300


def with_a_dead_coin(days: int = 300, since: int = 700) -> World:
    """Return two symbols of so many days, and one of 800 that was delisted long before them."""
    world = a_world(days)
    for n in range(800):
        world.candle("DEAD-USDT", TODAY - since - 800 + n, 100.0 * 1.01**n * (1 + 0.02 * (n % 2)))
    return world


def test_a_series_that_has_ended_is_dropped_by_name_with_its_last_day_and_drops_nobody_else() -> None:
    world = with_a_dead_coin()
    answer = optimized(world, symbols=("DEAD-USDT", *TWO))
    assert answer.dropped == ("DEAD-USDT",)
    assert answer.weights["DEAD-USDT"] == 0.0
    assert answer.observations == 300
    last_day = datetime.fromtimestamp((TODAY - 701) * 86_400, UTC)
    assert f"DEAD-USDT ended on {last_day:%Y-%m-%d}" in answer.reason
    without = optimized(with_a_dead_coin(), symbols=TWO)
    assert {symbol: answer.weights[symbol] for symbol in TWO} == without.weights


def test_with_nothing_but_what_has_ended_all_is_cash_and_the_answer_says_so() -> None:
    answer = optimized(with_a_dead_coin(), symbols=("DEAD-USDT",))
    assert (answer.status, answer.cash) == ("insufficient_history", 1.0)
    assert answer.reason.startswith("DEAD-USDT ended on ")


def test_the_risk_of_what_is_held_of_an_ended_series_is_assumed_and_no_other_is_told() -> None:
    world = with_a_dead_coin()
    assert world.desk.history.ended("DEAD-USDT", NOW) == TODAY - 701
    budget = assess({}, world.desk.history, world.rules, NOW)
    assert set(budget.by_symbol) == set(TWO)
    held = replace(flat("DEAD-USDT", NOW), quantity=Decimal(1), mark=100.0)
    risk = assess({"DEAD-USDT": held}, world.desk.history, world.rules, NOW).by_symbol["DEAD-USDT"]
    assert risk.assumed
    assert risk.cvar == 1.0


def of_old_days(age: int, **settings: Any) -> World:
    """Return two symbols whose last closed day was so many days before yesterday."""
    world = World(**settings)
    for n, symbol in enumerate(TWO):
        for day in range(300):
            world.candle(
                symbol, TODAY - 1 - age - 299 + day, 100.0 * 1.003**day * (1 + 0.02 * ((day + n) % 2))
            )
    return world


@pytest.mark.parametrize("symbols", [TWO, TWO[:1]])
def test_where_the_whole_venue_ended_long_ago_there_are_no_weights_and_no_kelly(
    symbols: tuple[str, ...],
) -> None:
    answer = optimized(of_old_days(700), symbols=symbols)
    assert (answer.status, answer.cash) == ("insufficient_history", 1.0)
    assert set(answer.weights.values()) == set(answer.kelly.values()) == {0.0}
    last_day = datetime.fromtimestamp((TODAY - 701) * 86_400, UTC)
    assert answer.reason == "; ".join(f"{symbol} ended on {last_day:%Y-%m-%d}" for symbol in symbols)
    assert answer.last_day_ts == (TODAY - 701) * DAY_NS


def test_the_risk_of_what_is_held_where_the_whole_venue_ended_is_assumed() -> None:
    world = of_old_days(700)
    held = replace(flat("BTC-USDT", NOW), quantity=Decimal(1), mark=100.0)
    by_symbol = assess({"BTC-USDT": held}, world.desk.history, world.rules, NOW).by_symbol
    assert set(by_symbol) == {"BTC-USDT"}
    assert by_symbol["BTC-USDT"].assumed


@pytest.mark.parametrize(("age", "status"), [(0, "optimal"), (3, "optimal"), (4, "insufficient_history")])
def test_history_may_be_three_days_older_than_yesterday(age: int, status: str) -> None:
    assert optimized(of_old_days(age)).status == status
    assert bool(assess({}, of_old_days(age).desk.history, World().rules, NOW).by_symbol) is (age <= 3)


def test_history_ages_while_the_system_runs_on_it() -> None:
    world = of_old_days(0)
    world.now += 3 * DAY_NS
    assert optimized(world).status == "optimal"
    world.now += DAY_NS
    assert optimized(world, command_id=str(UUID(int=2))).status == "insufficient_history"


def test_a_recording_counts_where_the_setting_allows_its_age_and_what_ended_in_it_does_not() -> None:
    world = of_old_days(700, history_age_days=700)
    for day in range(300):
        world.candle("DEAD-USDT", TODAY - 1 - 704 - 299 + day, 100.0 + day % 3)
    answer = optimized(world, symbols=(*TWO, "DEAD-USDT"))
    assert (answer.status, answer.dropped) == ("optimal", ("DEAD-USDT",))


def test_a_short_history_is_budgeted_with_more_caution_than_it_reports() -> None:
    answer = optimized(a_world(40))
    assert all(answer.cvar_limits[s] >= answer.cvar_by_symbol[s] for s in TWO)
    assert any(answer.cvar_limits[s] > answer.cvar_by_symbol[s] for s in TWO)


def test_an_unknown_symbol_is_refused_as_unknown() -> None:
    (answer,) = a_world().tell(a_wish(symbols=("BTC-USDT", "NOPE-USDT")))
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.UNKNOWN
    assert "NOPE-USDT" in answer.detail


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"symbols": ()}, "symbols"),
        ({"symbols": ("BTC-USDT", "BTC-USDT")}, "symbols"),
        ({"cvar_budget": -0.1}, "cvarBudget"),
        ({"cvar_budget": float("nan")}, "cvarBudget"),
        ({"vol_target": float("inf")}, "volTarget"),
        ({"confidence": 1.0}, "confidence"),
        ({"lookback": 19}, "lookback"),
    ],
)
def test_a_wrong_field_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    (answer,) = a_world().tell(a_wish(**changes))
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.INVALID
    assert [fault.field for fault in answer.faults] == [field]


def test_a_repeated_command_is_answered_again_and_not_done_again() -> None:
    world = a_world()
    first = optimized(world)
    world.candle("BTC-USDT", TODAY, 1.0)  # would change everything
    assert optimized(world) == first
    assert optimized(world, number=2) != first


def test_the_oldest_answers_are_forgotten() -> None:
    world = a_world(30)
    for number in range(KEEP_ANSWERS + 5):
        optimized(world, number=number, cvar_budget=0.0)
    kept = [key for key in world.state if key.startswith(b"done/")]
    assert len(kept) == KEEP_ANSWERS
    assert f"done/commands/{UUID(int=4)}".encode() not in world.state


def test_a_fill_told_again_changes_nothing() -> None:
    world = World()
    first = world.tell(a_fill())
    assert [type(event) for event in first] == [Position, AssessRisk]
    before = dict(world.state)
    assert world.tell(a_fill()) == []
    assert dict(world.state) == before


def test_a_position_is_marked_to_the_live_mid_while_it_is_held() -> None:
    world = World()
    world.book("BTC-USDT", 110.0)
    (position, _) = world.tell(a_fill())
    assert isinstance(position, Position)
    assert position.unrealized_pnl == 10
    world.now += 1
    world.book("BTC-USDT", 120.0)
    world.now = world.wishes[0].ts
    world.book("BTC-USDT", 120.0)
    (position,) = world.tick()
    assert isinstance(position, Position)
    assert position.unrealized_pnl == 20
    assert len(world.wishes) == 1
    world.tell(a_fill("e-2", side="sell"))
    assert world.tick() == []
    assert world.wishes == [], "flat: nothing to mark any more"


def test_a_book_that_is_not_live_leaves_the_last_mark_with_its_time() -> None:
    world = World()
    world.book("BTC-USDT", 110.0)
    seen = world.now
    world.tell(a_fill())
    world.now = world.wishes[0].ts
    world.book("BTC-USDT", 10.0, BookState.GAP)
    assert world.tick() == []
    world.tell(a_fill("e-2", ts=1))
    held: Any = world.state[b"position/BTC-USDT"]
    assert (held.position.mark, held.position.mark_ts) == (110.0, seen)


def test_without_any_book_the_mark_is_the_mid_the_fill_saw() -> None:
    (position, _) = World().tell(a_fill(mid=101.5, ts=77))
    assert isinstance(position, Position)
    assert (position.mark, position.mark_ts) == (101.5, 77)


def test_a_symbol_of_no_table_is_marked_and_assessed_where_its_venue_says_what_it_demands() -> None:
    terms = InstrumentTerms(
        tick=Decimal("0.001"), lot=Decimal("0.1"), min_qty=Decimal("0.1"), min_notional=Decimal(1)
    )
    world = a_world(200)
    world.book("RUNE-EUR", 2.0, venue="okx")
    (position, told) = world.tell(a_fill(symbol="RUNE-EUR", mid=1.5, ts=77))
    assert isinstance(position, Position)
    assert position.mark == 1.5, "nobody is known to list it"
    (answer,) = world.tell(told)
    assert isinstance(answer, CommandRejected)
    world.book("RUNE-EUR", 2.0, venue="okx", terms=terms)
    (position, told) = world.tell(a_fill("e-2", symbol="RUNE-EUR", mid=1.5, ts=78))
    assert isinstance(position, Position)
    assert position.mark == 2.0
    assert assessed(world.tell(told)).by_symbol["RUNE-EUR"].weight > 0


def test_a_position_of_no_table_is_assessed_while_its_books_next_owner_has_not_asked_yet() -> None:
    terms = InstrumentTerms(
        tick=Decimal("0.001"), lot=Decimal("0.1"), min_qty=Decimal("0.1"), min_notional=Decimal(1)
    )
    world = a_world(200)
    world.book("RUNE-EUR", 2.0, venue="okx", terms=terms)
    world.see(world.tell(a_fill(symbol="RUNE-EUR", mid=1.5, ts=77)))
    world.book("RUNE-EUR", 2.0, venue="okx")
    (_, told) = world.tell(a_fill("e-2", symbol="RUNE-EUR", mid=1.5, ts=78))
    assert assessed(world.tell(told)).by_symbol["RUNE-EUR"].weight > 0


def test_fills_between_two_marks_ask_for_one_tick_only() -> None:
    world = World()
    for n in range(5):
        world.tell(a_fill(str(n)))
    assert len(world.wishes) == 1


def test_the_budget_exists_before_the_first_fill_for_every_symbol_with_history() -> None:
    world = a_world(200)
    world.history("SOL-USDT", 10)
    budget = assessed(world.tell(AssessRisk(command_id=str(UUID(int=1)))))
    assert set(budget.by_symbol) == set(TWO)
    assert budget.equity == 100_000
    assert budget.cvar_left == budget.cvar_budget == 0.05
    found = world.desk.history.returns("BTC-USDT")
    R, p = found.values[:, None], day_weights(found.days, 60.0)
    assert budget.by_symbol["BTC-USDT"].cvar == cautious_cvar(R, p, 0.95)[0]
    assert budget.by_symbol["BTC-USDT"].vol == volatility(R, p)[0]
    assert budget.half_life_days == 60.0


def test_the_risk_counts_a_fill_before_the_view_has_seen_its_position() -> None:
    world = a_world(200)
    (position, told) = world.tell(a_fill(last_qty=Decimal(100), fee=Decimal(0)))
    budget = assessed(world.tell(told))
    risk = budget.by_symbol["BTC-USDT"]
    assert risk.weight == pytest.approx(0.1)
    assert budget.cvar_used == pytest.approx(risk.weight * risk.cvar)
    assert budget.cvar_left == pytest.approx(0.05 - budget.cvar_used)
    world.see([position])
    assert assessed(world.tell(AssessRisk(command_id=str(UUID(int=2))))).cvar_used == budget.cvar_used
    kept: Any = world.state[b"book/default"]
    assert kept.ahead == {}


def test_a_short_position_is_measured_by_the_losses_of_a_short() -> None:
    world = a_world(200)
    (_, told) = world.tell(a_fill(side="sell", last_qty=Decimal(100)))
    risk = assessed(world.tell(told)).by_symbol["BTC-USDT"]
    found = world.desk.history.returns("BTC-USDT")
    R, p = found.values[:, None], day_weights(found.days, 60.0)
    assert risk.weight < 0
    assert risk.cvar == pytest.approx(cautious_cvar(-R, p, 0.95)[0])
    assert risk.cvar != pytest.approx(cautious_cvar(R, p, 0.95)[0])
    assert risk.used == pytest.approx(-risk.weight * risk.cvar)


def test_what_is_held_without_history_counts_as_a_total_loss() -> None:
    (_, told) = (world := World()).tell(a_fill(last_qty=Decimal(10)))
    budget = assessed(world.tell(told))
    risk = budget.by_symbol["BTC-USDT"]
    assert risk.assumed
    assert budget.cvar_used == abs(risk.weight) == pytest.approx(0.01, rel=1e-3)


def test_the_book_is_assessed_again_every_period() -> None:
    world = a_world(30)
    world.tell(AssessRisk(command_id=str(UUID(int=1))))
    world.tell(AssessRisk(command_id=str(UUID(int=2))))
    assert len(assessments(world)) == 1
    assessed(world.tick())
    (due,) = assessments(world)
    assert due == world.now + 5_000_000_000
    assert assessed(world.tick()).ts == due
    assert len(assessments(world)) == 1


def test_while_candles_come_in_the_book_is_assessed_each_half_second_and_told_once_there_is_news() -> None:
    world = World()
    assert assessed(world.tell(AssessRisk(command_id=str(UUID(int=1))))).by_symbol == {}
    asked = world.now
    assert world.tick() == []
    assert world.now == asked + GROWING_NS
    world.history("BTC-USDT", 30, seed=1)
    assert assessed(world.tick()).by_symbol.keys() == {"BTC-USDT"}
    world.history("ETH-USDT", 30, seed=2)
    assert assessed(world.tick()).by_symbol.keys() == set(TWO)
    assert world.now == asked + 3 * GROWING_NS
    assessed(world.tick())
    assert assessments(world) == [world.now + 5_000_000_000]


def test_a_book_that_does_not_exist_is_refused() -> None:
    (answer,) = World().tell(AssessRisk(command_id=str(UUID(int=1)), book="other"))
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.UNKNOWN
