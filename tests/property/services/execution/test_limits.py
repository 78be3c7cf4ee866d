"""Counts and exposures against a derivation from all orders, one by one."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events import BOOK, LimitName
from libs.common.limit_uses import COUNTED
from services.execution.kept import ExecutionState
from services.execution.limits.counters import counts_of, note_ended, note_order
from services.execution.limits.pre_trade import WishedOrder, order_fault
from tests.execution_market import NOW, a_position, a_risk_budget
from tests.execution_world import ExecutionWorld

S = 1_000_000_000
quantities = st.integers(-400, 400).map(lambda n: Decimal(n) / 100)


@given(st.lists(st.integers(0, 20 * S), min_size=1, max_size=80))
def test_an_order_counts_for_a_minute_at_least_and_five_seconds_more_at_most(pauses: list[int]) -> None:
    state, now, sent = ExecutionState(), NOW, []
    for pause in pauses:
        now += pause
        note_order(state, "BTC-USDT", now)
        sent.append(now)
        counted = counts_of(state, "BTC-USDT").sent(now)
        assert sum(now - ts < 60 * S for ts in sent) <= counted <= sum(now - ts < 65 * S for ts in sent)
        assert len(counts_of(state, "BTC-USDT").orders) <= 14


@given(st.lists(st.booleans(), max_size=150))
def test_the_newest_fifty_ends_count(ends: list[bool]) -> None:
    state = ExecutionState()
    for failed in ends:
        note_ended(state, "BTC-USDT", failed, NOW)
    counts, newest = counts_of(state, "BTC-USDT"), ends[-COUNTED:]
    assert (counts.ended, counts.failed) == (len(newest), sum(newest))


@given(held=quantities, other=quantities, signed=quantities.filter(bool))
def test_an_order_is_refused_for_exposure_exactly_where_the_definition_says(
    held: Decimal, other: Decimal, signed: Decimal
) -> None:
    world = ExecutionWorld(limit_symbol_exposure=0.1, limit_gross_exposure=0.15)
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=Decimal(100_000)))
    world.fold(world.market.positions, b"BTC-USDT", a_position(held, mark=10_000.0))
    world.fold(world.market.positions, b"ETH-USDT", a_position(other, symbol="ETH-USDT", mark=2_000.0))
    order = WishedOrder("BTC-USDT", "binance", "buy" if signed > 0 else "sell", abs(signed), Decimal(10_000))
    use = order_fault(world.state, world.market, order, world.now)
    after = abs(Fraction(held) + Fraction(signed)) * 10_000
    reduces = abs(held + signed) <= abs(held)
    if reduces:
        wanted = None
    elif after > 10_000:
        wanted = LimitName.SYMBOL_EXPOSURE
    elif after + abs(Fraction(other)) * 2_000 > 15_000:
        wanted = LimitName.GROSS_EXPOSURE
    else:
        wanted = None
    assert (None if use is None else use.limit) is wanted
