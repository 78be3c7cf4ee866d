from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest
from numpy.random import Generator, Philox

from libs.common.codec import decode, encode
from libs.common.events import AssessRisk, BookState, EquityMarked, PortfolioBook, RiskBudget
from libs.common.handling import Tick, WakeAt
from libs.common.time_units import MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import PORTFOLIO_EQUITY
from services.portfolio.handlers import BOOK_KEY, MINUTE, step_clock
from tests.fills import a_fill
from tests.unit.services.portfolio.world import CAPITAL, NOW, World

PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


def marked(events: list[Any]) -> EquityMarked:
    (found,) = (event for event in events if isinstance(event, EquityMarked))
    return found


def started(**settings: Any) -> World:
    world = World(**settings)
    world.tell(AssessRisk(command_id=str(UUID(int=1))))
    return world


def due(world: World) -> list[int]:
    return sorted(wish.ts for wish in world.wishes if wish.key.startswith(MINUTE))


def until_minute(world: World, late_ns: int = 0) -> list[Any]:
    """Let the pending minute come, the other wishes aside."""
    (ts,) = due(world)
    world.wishes = [wish for wish in world.wishes if not wish.key.startswith(MINUTE)]
    world.now = max(world.now, ts + late_ns)
    return world.tell(Tick(due_ts=ts, key=MINUTE + b"default", causation_id="", correlation_id=""))


def filled(world: World, number: int, **changes: Any) -> list[Any]:
    position, told = world.tell(a_fill(f"e-{number}", ts=world.now, **changes))
    found = world.tell(told)
    world.see([position])
    return found


def test_what_a_book_is_worth_is_its_capital_its_cash_and_what_it_holds_at_the_marks() -> None:
    world, draw = started(), Generator(Philox(key=11))
    cash, held, fees = Decimal(CAPITAL), dict.fromkeys(PAIRS, Decimal(0)), Decimal(0)
    with localcontext(Context(prec=60)):
        for number in range(300):
            symbol = PAIRS[int(draw.integers(3))]
            price, mid = Decimal(int(draw.integers(90_000, 110_000))).scaleb(-3), float(draw.uniform(90, 110))
            quantity, fee = (
                Decimal(int(draw.integers(1, 5_000_000))).scaleb(-6),
                Decimal(int(draw.integers(99))),
            )
            side = "buy" if draw.random() < 0.5 else "sell"
            world.book(symbol, mid)
            mark = marked(
                filled(world, number, symbol=symbol, side=side, last_qty=quantity, last_px=price, fee=fee)
            )
            signed = quantity if side == "buy" else -quantity
            cash, fees = cash - signed * price - fee, fees + fee
            held[symbol] += signed
            # Each symbol is marked when it is filled, so what it is worth is at its own newest mid.
            worth = sum((mark.values.get(each, Decimal(0)) for each in PAIRS), start=Decimal(0))
            assert mark.values.get(symbol, Decimal(0)) == held[symbol] * Decimal(repr(mid))
            assert mark.equity == cash + worth
            assert mark.equity == mark.capital + mark.realized_pnl + mark.unrealized_pnl - mark.fees
            assert (mark.fees, mark.fills, mark.cause) == (fees, number + 1, "fill")
            assert decode(PORTFOLIO_EQUITY, encode(mark)) == mark


@pytest.mark.parametrize("seen", [True, False])
def test_a_fill_is_in_the_mark_whether_the_view_has_seen_it_or_not_and_the_budget_says_the_same(
    seen: bool,  # noqa: FBT001 -- a parameter of a test
) -> None:
    world = started()
    world.book("BTC-USDT", 101.25)
    position, told = world.tell(a_fill(last_qty=Decimal(10), ts=world.now))
    if seen:
        world.see([position])
    events = world.tell(told)
    (budget,) = (event for event in events if isinstance(event, RiskBudget))
    mark = marked(events)
    assert mark.equity == budget.equity == Decimal(CAPITAL) + Decimal("12.5") - Decimal("0.1")
    assert (mark.ts, mark.cause, mark.fills) == (budget.ts, "fill", 1)
    later = marked(until_minute(world))
    assert (later.equity, later.cause) == (mark.equity, "minute")


def test_a_mark_values_all_that_is_held_at_the_mids_of_its_moment() -> None:
    world = started()
    for number, symbol in enumerate(("BTC-USDT", "ETH-USDT")):
        world.book(symbol, 100.0)
        filled(
            world,
            number,
            symbol=symbol,
            side="buy",
            last_qty=Decimal(2),
            last_px=Decimal(100),
            fee=Decimal(0),
        )
    world.now = NOW + 59 * NS_PER_S
    world.book("BTC-USDT", 103.0)
    world.book("ETH-USDT", 99.5)
    mark = marked(until_minute(world))  # no position was marked meanwhile
    assert mark.values == {"BTC-USDT": Decimal(206), "ETH-USDT": Decimal(199)}
    assert mark.equity == Decimal(CAPITAL) + 6 - 1


def test_it_is_marked_on_each_minute_and_a_command_that_tells_of_no_fill_marks_nothing() -> None:
    world = World()
    world.now += 20 * NS_PER_S
    first = marked(world.tell(AssessRisk(command_id=str(UUID(int=1)))))  # where the curve begins
    assert (first.ts, first.cause, first.equity) == (world.now, "minute", Decimal(CAPITAL))
    again = world.tell(AssessRisk(command_id=str(UUID(int=2))))
    assert not [event for event in again if isinstance(event, EquityMarked)]
    for number in range(1, 4):
        assert due(world) == [NOW + number * MINUTE_NS]
        assert (
            marked(until_minute(world, late_ns=3 * NS_PER_MS)).ts == NOW + number * MINUTE_NS + 3 * NS_PER_MS
        )


def test_every_symbol_with_a_live_book_has_its_mid_held_or_not_and_no_other() -> None:
    world = started()
    world.book("BTC-USDT", 100.5)
    world.book("ETH-USDT", 50.25, venue="kraken")
    world.book("SOL-USDT", 20.0, state=BookState.STALE)
    mark = marked(filled(world, 1))
    assert mark.marks == {"BTC-USDT": 100.5, "ETH-USDT": 50.25}
    assert mark.values == {"BTC-USDT": Decimal("100.5")}
    world.now += 31 * NS_PER_S  # nobody vouched for the books since
    silent = marked(until_minute(world))
    assert silent.marks == {}
    assert silent.values == mark.values  # held at the last marks known


def test_a_restart_marks_no_minute_twice_and_one_that_lasted_marks_once() -> None:
    world = started()
    marked(until_minute(world))
    world.tell(AssessRisk(command_id=str(UUID(int=3))))  # as each start asks, in the same minute
    assert due(world) == [NOW + 2 * MINUTE_NS]
    stale = Tick(due_ts=NOW + MINUTE_NS, key=MINUTE + b"default", causation_id="", correlation_id="")
    assert world.tell(stale) == []
    assert marked(until_minute(world, late_ns=10 * MINUTE_NS)).ts == NOW + 12 * MINUTE_NS
    assert due(world) == [NOW + 13 * MINUTE_NS]


def test_a_book_of_an_older_version_is_marked_from_its_next_start_on() -> None:
    world = World()
    world.state.put(BOOK_KEY, PortfolioBook(next_assessment_ts=NOW + NS_PER_S))
    marked(world.tell(AssessRisk(command_id=str(UUID(int=1)))))
    assert due(world) == [NOW + MINUTE_NS]


@pytest.mark.parametrize(
    ("by_ns", "minutes"),
    [
        (100 * NS_PER_MS, [1, 2, 3, 4]),
        (-100 * NS_PER_MS, [1, 2, 3, 4]),
        (-3 * NS_PER_S, [1, 2, 3, 4]),
        (600 * NS_PER_S, [1, 2, 13, 14]),
        (-120 * NS_PER_S, [1, 2, 1, 2]),
    ],
)
def test_a_clock_that_is_set_leaves_no_minute_out_and_marks_twice_only_those_that_come_twice(
    by_ns: int, minutes: list[int]
) -> None:
    world = started()
    found = [marked(until_minute(world)).ts for _ in range(2)]
    world.now += 5 * NS_PER_MS
    world.now += by_ns
    step_clock(world.state, by_ns)
    world.wishes = [WakeAt(wish.ts + by_ns, wish.key) for wish in world.wishes]
    while len(found) < 4:
        found += [event.ts for event in until_minute(world) if isinstance(event, EquityMarked)]
    assert [ts // MINUTE_NS - NOW // MINUTE_NS for ts in found] == minutes
