from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.execution.decide.shortfall import ShortfallChild, ShortfallFill, ShortfallInputs, shortfall

if TYPE_CHECKING:
    from libs.common.events import ShortfallBps

prices = st.decimals("0.01", "200000", places=2)
quantities = st.decimals("0.00000001", "1000", places=8)
fills = st.lists(
    st.builds(ShortfallFill, qty=quantities, px=prices, mid_px=prices, best_px=prices), max_size=20
)


def amount(found: ShortfallBps, name: str) -> Decimal:
    """Return an amount of the detail, quote units."""
    text = found.detail[name]
    assert isinstance(text, str)
    return Decimal(text)


@st.composite
def parents(draw: Any) -> ShortfallInputs:
    filled = tuple(draw(fills))
    rest = draw(st.decimals("0", "1000", places=8))
    return ShortfallInputs(
        side=draw(st.sampled_from(["buy", "sell"])),
        quantity=sum((fill.qty for fill in filled), Decimal(0)) + rest + Decimal("0.00000001"),
        decision_px=draw(prices),
        arrival_px=draw(prices),
        end_px=draw(prices),
        fills=filled,
        fees=draw(st.decimals("0", "1000", places=8)),
    )


@settings(max_examples=1000)
@given(case=parents())
def test_the_parts_sum_exactly_to_paper_less_real_profit(case: ShortfallInputs) -> None:
    """The oracle trades: a paper account gets all at the decision's mid, a real one what was filled."""
    found = shortfall(case)
    with localcontext(prec=60):
        s = 1 if case.side == "buy" else -1
        paper = s * case.quantity * case.end_px - s * case.quantity * case.decision_px
        cash, held = -case.fees, Decimal(0)
        for fill in case.fills:
            cash -= s * fill.qty * fill.px
            held += s * fill.qty
        real = cash + held * case.end_px
        total = amount(found, "total")
        assert total == paper - real
        assert sum(amount(found, name) for name in ("delay", "impact", "opportunity", "fees")) == total
        assert sum(amount(found, name) for name in ("timing", "spread", "walk")) == amount(found, "impact")
        notional = case.quantity * case.decision_px
        assert found.total_bps == float(total * 10_000 / notional)
    parts = found.delay_bps + found.impact_bps + found.opportunity_bps + found.fees_bps
    size = abs(found.delay_bps) + abs(found.impact_bps) + abs(found.opportunity_bps) + abs(found.fees_bps)
    assert parts == pytest.approx(found.total_bps, abs=1e-9 + 1e-12 * size)


@settings(max_examples=300)
@given(case=parents(), sizes=st.lists(st.integers(1, 5), max_size=20))
def test_the_sums_of_children_say_the_same_as_their_fills_one_by_one(
    case: ShortfallInputs, sizes: list[int]
) -> None:
    rest = list(case.fills)
    one_by_one: list[ShortfallFill] = []
    children: list[ShortfallChild] = []
    for size in (*sizes, *([1] * len(rest))):
        own, rest = rest[:size], rest[size:]
        if own:
            book = {"mid_px": own[0].mid_px, "best_px": own[0].best_px}
            one_by_one += [replace(fill, **book) for fill in own]
            qty = sum((fill.qty for fill in own), Decimal(0))
            paid = sum((fill.qty * fill.px for fill in own), Decimal(0))
            children.append(ShortfallChild(qty=qty, paid=paid, **book))
    summed = shortfall(replace(case, fills=(), children=tuple(children)))
    apart = shortfall(replace(case, fills=tuple(one_by_one)))
    assert replace(summed, detail={}) == replace(apart, detail={})
    assert {name: Decimal(of) for name, of in summed.detail.items()} == {
        name: Decimal(of) for name, of in apart.detail.items()
    }


def test_a_buyer_who_pays_above_arrival_bears_impact_and_one_who_waits_delay() -> None:
    fill = ShortfallFill(qty=Decimal(1), px=Decimal(103), mid_px=Decimal(101), best_px=Decimal(102))
    found = shortfall(
        ShortfallInputs(
            side="buy",
            quantity=Decimal(2),
            decision_px=Decimal(99),
            arrival_px=Decimal(100),
            end_px=Decimal(110),
            fills=(fill,),
            fees=Decimal("0.5"),
        )
    )
    names = ("delay", "impact", "opportunity", "fees", "timing", "spread", "walk")
    told = [found.detail[name] for name in names]
    assert told == ["2", "3", "10", "0.5", "1", "1", "1"]
    assert found.total_bps == pytest.approx(15.5 / 198 * 1e4)


def test_more_filled_than_ordered_is_refused() -> None:
    fill = ShortfallFill(qty=Decimal(3), px=Decimal(1), mid_px=Decimal(1), best_px=Decimal(1))
    one = Decimal(1)
    case = ShortfallInputs(
        side="buy", quantity=one, decision_px=one, arrival_px=one, end_px=one, fills=(fill,), fees=one
    )
    with pytest.raises(ValueError, match="filled 3 of 1"):
        shortfall(case)
