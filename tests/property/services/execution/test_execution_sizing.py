from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.execution.decide.sizing import size
from tests.unit.services.execution.builders import sizing_inputs

cases = st.fixed_dictionaries(
    {
        "signal": st.floats(-1, 1),
        "uncertainty_width": st.floats(0, 10),
        "prior_width": st.floats(1e-6, 10),
        "s_max": st.floats(0, 1),
        "forecast_vol": st.floats(0, 1),
        "vol_target": st.floats(0, 0.2),
        "cvar_budget": st.floats(0, 0.2),
        "cvar_of_others": st.floats(0, 0.2),
        "cvar_of_one": st.floats(0, 0.2),
        "position_cap": st.floats(0, 1),
        "cash": st.integers(0, 200_000).map(Decimal),
        "held": st.integers(-100_000, 200_000).map(lambda n: n * Decimal("0.00001")),
        "taker_bps": st.floats(0, 100),
        "allow_short": st.booleans(),
    }
)


@given(case=cases)
def test_a_target_is_never_above_a_cap_nor_its_rounding_above_itself(case: dict[str, Any]) -> None:
    inputs = sizing_inputs(**case)
    sized = size(inputs)
    assert all(abs(sized.size) <= cap for cap in sized.caps.values())
    assert abs(sized.size) <= sized.s_max * (1 + 1e-12)
    assert abs(sized.target) * inputs.price <= Decimal(abs(sized.size)) * inputs.equity
    assert sized.target % inputs.lot == 0
    assert sized.target * Decimal(inputs.signal) >= 0
    if case["cvar_of_one"] * abs(sized.size) > 0:
        used = case["cvar_of_others"] + case["cvar_of_one"] * abs(sized.size)
        assert used <= case["cvar_budget"] * (1 + 1e-9) + 1e-12


@given(case=cases)
def test_the_order_leads_from_what_is_held_to_the_target(case: dict[str, Any]) -> None:
    inputs = sizing_inputs(**case)
    sized = size(inputs)
    if sized.side is None:
        assert sized.qty == 0
        gap = abs(sized.target - inputs.held)
        assert gap < inputs.min_qty or gap * inputs.price < inputs.min_notional
    else:
        assert inputs.held + (sized.qty if sized.side == "buy" else -sized.qty) == sized.target
    if sized.side == "buy" and inputs.signal > 0 and inputs.held >= 0:  # covering a short is never refused
        assert sized.qty * inputs.price * (1 + Decimal(inputs.taker_bps) / 10_000) <= inputs.cash + Decimal(
            "1e-6"
        )


@given(case=cases, wider=st.floats(1, 100), wilder=st.floats(1, 100))
def test_less_certainty_or_more_volatility_never_means_more(
    case: dict[str, Any], wider: float, wilder: float
) -> None:
    before = size(sizing_inputs(**case))
    less_sure = size(sizing_inputs(**case | {"uncertainty_width": case["uncertainty_width"] * wider}))
    riskier = size(sizing_inputs(**case | {"forecast_vol": case["forecast_vol"] * wilder}))
    for after in (less_sure, riskier):
        assert abs(after.size) <= abs(before.size)
        assert abs(after.target) <= abs(before.target)


@given(case=cases)
def test_the_size_is_the_formula_written_out(case: dict[str, Any]) -> None:
    inputs = sizing_inputs(**case)
    sized = size(inputs)
    w, w_star = case["uncertainty_width"], case["prior_width"] / 2
    ratio = min(w / w_star, 700.0)  # math.exp overflows beyond
    raw = abs(case["signal"]) * case["s_max"] / (1 + math.exp(ratio))
    raw *= min(2.0, case["vol_target"] / max(case["forecast_vol"], 1e-4))
    assert math.isclose(sized.raw, raw, rel_tol=1e-9, abs_tol=1e-290)
    if case["signal"] >= 0 or case["allow_short"]:
        assert math.isclose(abs(sized.size), min(raw, *sized.caps.values()), rel_tol=1e-9, abs_tol=1e-290)
