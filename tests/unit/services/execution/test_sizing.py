from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from scipy.special import expit

from services.execution.decide.sizing import size
from tests.unit.services.execution.builders import sizing_inputs


@pytest.mark.parametrize("vol", [0.011, 0.02, 0.04, 0.3])
@pytest.mark.parametrize("target", [0.01, 0.02])
def test_a_certain_full_signal_has_the_target_volatility_and_says_so(vol: float, target: float) -> None:
    sized = size(
        sizing_inputs(
            s_max=None,
            uncertainty_width=0.0,
            forecast_vol=vol,
            vol_target=target,
            position_cap=2.0,
            cash=Decimal(10**6),
            cvar_budget=1.0,
        )
    )
    assert sized.s_max == 1 / float(expit(0.0))
    assert sized.size * vol == pytest.approx(target)  # x of the equity moves x sigma a day
    assert sized.position_vol == pytest.approx(target)


def test_the_expected_volatility_is_that_of_the_capped_position_and_unknown_without_a_forecast() -> None:
    capped = size(sizing_inputs(s_max=None, uncertainty_width=0.0, position_cap=0.1))
    assert capped.binding == "position"
    assert capped.position_vol == pytest.approx(0.1 * 0.02)
    assert size(sizing_inputs(forecast_vol=None)).position_vol is None


def test_a_certain_full_signal_takes_half_of_the_largest_size() -> None:
    sized = size(sizing_inputs(uncertainty_width=0.0))
    assert (sized.sigmoid, sized.vol_scale, sized.size) == (0.5, 1.0, 0.25)
    assert (sized.side, sized.qty, sized.reason) == ("buy", Decimal("0.41666"), "sized")


@pytest.mark.parametrize(("width", "expected"), [(0.002, 0.268941), (0.004, 0.119203)])
def test_the_sigmoid_falls_with_the_width_over_half_the_prior_one(width: float, expected: float) -> None:
    sized = size(sizing_inputs(uncertainty_width=width))
    assert sized.w_star == 0.002
    assert sized.sigmoid == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("width", [0.0, 1e-9, 0.0005, 0.002, 0.07, 1.0, 1e9])
def test_the_sigmoid_is_that_of_an_independent_library(width: float) -> None:
    assert size(sizing_inputs(uncertainty_width=width)).sigmoid == pytest.approx(
        float(expit(-width / 0.002)), rel=1e-15, abs=0.0
    )


def test_a_declared_w_star_replaces_the_prior_width() -> None:
    assert size(sizing_inputs(w_star=0.001)).sigmoid == pytest.approx(0.119203, abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"signal": 0.0}, "flat"),
        ({"signal": -1.0}, "no_short"),
        ({"forecast_vol": None}, "no_vol"),
        ({"cvar_of_one": None}, "no_cvar"),
        ({"cvar_budget": None}, "no_cvar"),
        ({"equity": Decimal(0)}, "no_equity"),
        ({"cash": Decimal(0)}, "capped"),
        ({"signal": 1e-9}, "below_lot"),
        ({"min_qty": Decimal(10)}, "below_min_qty"),
        ({"min_notional": Decimal(100_000)}, "below_min_notional"),
    ],
)
def test_no_order_has_a_named_reason(fields: dict[str, Any], reason: str) -> None:
    sized = size(sizing_inputs(**fields))
    assert (sized.side, sized.qty, sized.reason) == (None, Decimal(0), reason)


def test_a_target_that_is_held_needs_no_order() -> None:
    held = size(sizing_inputs()).target
    assert size(sizing_inputs(held=held)).reason == "at_target"


@pytest.mark.parametrize(("signal", "reason"), [(0.0, "flat"), (-0.5, "no_short")])
def test_a_signal_that_wants_nothing_sells_what_is_held(signal: float, reason: str) -> None:
    sized = size(sizing_inputs(signal=signal, held=Decimal("0.5")))
    assert (sized.side, sized.qty, sized.target, sized.reason) == ("sell", Decimal("0.5"), Decimal(0), reason)


def test_an_unknown_volatility_sells_nothing() -> None:
    sized = size(sizing_inputs(forecast_vol=None, held=Decimal("0.5")))
    assert (sized.side, sized.size, sized.vol_scale) == (None, 0.0, None)


def test_a_short_is_opened_only_where_allowed() -> None:
    sized = size(sizing_inputs(signal=-1.0, allow_short=True, uncertainty_width=0.0))
    assert (sized.side, sized.size, sized.target) == ("sell", -0.25, Decimal("-0.41666"))


@pytest.mark.parametrize(
    ("fields", "binding", "cap"),
    [
        ({"cvar_budget": 0.01, "cvar_of_others": 0.008}, "cvar", 0.05),
        ({"position_cap": 0.1}, "position", 0.1),
        ({"cash": Decimal(10_010), "taker_bps": 10.0}, "cash", 0.1),
    ],
)
def test_the_binding_cap_is_named_and_is_the_size(fields: dict[str, Any], binding: str, cap: float) -> None:
    sized = size(sizing_inputs(**fields))
    assert sized.binding == binding
    assert sized.size == sized.caps[binding] == pytest.approx(cap)


def test_a_symbol_that_loses_nothing_needs_no_budget() -> None:
    assert "cvar" not in size(sizing_inputs(cvar_of_one=0.0)).caps


def test_a_width_scale_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a positive width"):
        size(sizing_inputs(w_star=0.0))
