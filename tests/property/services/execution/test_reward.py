"""Rewards against an accountant: cash, inventory and prices alone, over any path of fills and marks."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.broker import holdings
from services.execution.decide.reward import RewardInputs, fill_cost, reward, signed_qty
from services.execution.kept import ExecutionState
from tests.fills import a_fill

if TYPE_CHECKING:
    from libs.common.handling import State

SYMBOL = "BTC-USDT"
PRICES = st.integers(1_000_000, 10_000_000).map(lambda n: Decimal(n) / 100)
FILL = st.fixed_dictionaries(
    {
        "side": st.sampled_from(("buy", "sell")),
        "last_qty": st.integers(1, 10**7).map(lambda n: Decimal(n) / 10**5),
        "last_px": PRICES,
        "fee": st.integers(-1000, 10**6).map(lambda n: Decimal(n) / 1000),
        "mid": PRICES,
        "owner": st.integers(0, 3),
    }
)
WINDOW = st.tuples(PRICES, st.lists(FILL, max_size=4))  # the mark at its begin, and the fills in it


def inputs(**changes: Any) -> RewardInputs:
    fields: dict[str, Any] = {
        "begin_mid": Decimal(100),
        "end_mid": Decimal(101),
        "held": Decimal(0),
        "traded": Decimal(0),
        "mid_cash": Decimal(0),
        "cost": Decimal(0),
        "equity": Decimal(1000),
    }
    return RewardInputs(**fields | changes)


@given(windows=st.lists(WINDOW, min_size=1, max_size=4), last=PRICES, held=st.integers(-(10**6), 10**6))
def test_rewards_of_abutting_windows_sum_to_the_change_of_equity_whoever_was_filled_late(
    windows: list[tuple[Decimal, list[dict[str, Any]]]], last: Decimal, held: int
) -> None:
    """A fill belongs to the decision `owner`, whose window may be over, and its cost comes with it."""
    state: State[Any] = ExecutionState()
    costs = [Decimal(0)] * 4
    cash, quantity = Decimal(0), Decimal(held) / 1000
    marks = [mark for mark, _ in windows] + [last]
    grosses, before = [], quantity
    for n, (mark, fills) in enumerate(windows):
        begin = holdings.own(state, SYMBOL)
        for given_fill in fills:
            owner, mid = given_fill["owner"], given_fill["mid"]
            fill = a_fill(symbol=SYMBOL, **{k: v for k, v in given_fill.items() if k not in {"owner", "mid"}})
            holdings.note(state, fill, mid)
            costs[owner] += fill_cost(fill, mid)
            signed = fill.last_qty if fill.side == "buy" else -fill.last_qty
            assert signed == signed_qty(fill)
            cash -= signed * fill.last_px + fill.fee
            quantity += signed
        end = holdings.own(state, SYMBOL)
        path = inputs(
            begin_mid=mark,
            end_mid=marks[n + 1],
            held=before,
            traded=end.quantity - begin.quantity,
            mid_cash=end.mid_cash - begin.mid_cash,
        )
        grosses.append(reward(path).gross)
        before = quantity
    first = Decimal(held) / 1000 * marks[0]
    assert sum(grosses, Decimal(0)) - sum(costs, Decimal(0)) == cash + quantity * last - first


@given(fill=FILL, end=PRICES, held=st.integers(-1000, 1000).map(Decimal), other_mid=PRICES)
def test_what_a_decision_earns_does_not_depend_on_the_mid_that_parts_gross_from_cost(
    fill: dict[str, Any], end: Decimal, held: Decimal, other_mid: Decimal
) -> None:
    """So the basis of another venue at a fill moves nothing from one decision to another."""
    told = a_fill(symbol=SYMBOL, **{k: v for k, v in fill.items() if k not in {"owner", "mid"}})
    nets = []
    for mid in (fill["mid"], other_mid):
        signed = signed_qty(told)
        found = reward(
            inputs(end_mid=end, held=held, traded=signed, mid_cash=-signed * mid, cost=fill_cost(told, mid))
        )
        nets.append(found.gross - found.cost)
    assert nets[0] == nets[1]


@given(
    held=st.integers(-1000, 1000).map(Decimal),
    begin=PRICES,
    end=PRICES,
    cost=PRICES,
    equity=st.integers(1, 10**9).map(Decimal),
)
def test_a_decision_that_trades_nothing_earns_what_was_held_and_none_is_beyond_the_equity(
    held: Decimal, begin: Decimal, end: Decimal, cost: Decimal, equity: Decimal
) -> None:
    same = reward(inputs(begin_mid=begin, end_mid=end, held=held, equity=equity))
    assert same.gross == held * (end - begin)
    assert same.cut or same.reward == same.unchanged
    found = reward(inputs(begin_mid=begin, end_mid=end, held=held, cost=cost, equity=equity))
    net = (held * (end - begin) - cost) / equity
    assert found.reward == max(-1.0, min(1.0, float(net)))
    assert found.cut == (abs(float(net)) > 1)


@pytest.mark.parametrize("equity", [Decimal(0), Decimal(-1)])
def test_an_equity_that_is_not_positive_is_refused(equity: Decimal) -> None:
    with pytest.raises(ValueError, match="over 0"):
        reward(inputs(equity=equity))
