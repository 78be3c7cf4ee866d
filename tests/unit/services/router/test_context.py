from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import Generator, Philox

from libs.common.context_fields import BY_NAME, FIELDS, unknown_fault, unknown_keys, value_faults
from services.router.context import Statistics, layout_of

PLAIN = layout_of()


def test_a_regime_alone_is_a_context_and_what_is_missing_is_flagged_at_a_quarter() -> None:
    x = dict(zip(PLAIN.names, PLAIN.vector({"regime": "bull"}, Statistics()).tolist(), strict=True))
    assert x["bias"] == x["regime.bull"] == 1
    assert x["regime.bear"] == x["obi"] == x["bull*obi"] == 0
    assert {x[f"{field.name}.missing"] for field in FIELDS} == {0.25}
    assert len(x) == PLAIN.dimension == 34


def test_no_regime_is_four_zeros() -> None:
    x = dict(zip(PLAIN.names, PLAIN.vector({"obi": 0.2}, Statistics()).tolist(), strict=True))
    assert [x[f"regime.{name}"] for name in ("bull", "bear", "sideways", "volatile")] == [0, 0, 0, 0]
    assert PLAIN.missing({"obi": 0.2})[0] == "regime"


def test_positive_numbers_are_seen_by_their_logarithm_and_all_are_clipped() -> None:
    statistics = Statistics()
    x = dict(
        zip(PLAIN.names, PLAIN.vector({"sigmaHAR": 0.02, "rr25": 5.0}, statistics).tolist(), strict=True)
    )
    field = BY_NAME["sigmaHAR"]
    assert x["sigmaHAR"] == pytest.approx((math.log(0.02) - field.mean) / field.sd)
    assert x["rr25"] == 4


def test_only_bull_and_bear_are_crossed_with_volatility_and_imbalance() -> None:
    x = dict(
        zip(PLAIN.names, PLAIN.vector({"regime": "bear", "obi": 0.4}, Statistics()).tolist(), strict=True)
    )
    assert x["bear*obi"] == x["obi"] != 0
    assert x["bull*obi"] == 0


def test_the_order_of_keys_does_not_matter() -> None:
    one: dict[str, float | str] = {"obi": 0.1, "regime": "bull", "rr25": 0.2}
    two = dict(reversed(list(one.items())))
    np.testing.assert_array_equal(PLAIN.vector(one, Statistics()), PLAIN.vector(two, Statistics()))
    assert PLAIN.after(Statistics(), one) == PLAIN.after(Statistics(), two)


def test_running_statistics_are_the_two_pass_ones_with_twenty_declared_observations() -> None:
    field = next(j for j, f in enumerate(FIELDS) if f.name == "obi")
    declared = FIELDS[field]
    values = Generator(Philox(key=1)).uniform(-0.6, 0.6, 500)
    statistics = Statistics()
    for value in values:
        statistics = PLAIN.after(statistics, {"obi": float(value)})
    n = 20 + len(values)
    mean = (20 * declared.mean + values.sum()) / n
    second = (20 * (declared.sd**2 + declared.mean**2) + (values**2).sum()) / n
    assert statistics.means[field] == pytest.approx(mean, abs=1e-12)
    assert statistics.variances[field] == pytest.approx(second - mean**2, abs=1e-12)
    assert statistics.counts[field] == n


def test_an_outlier_moves_the_statistics_only_as_far_as_it_is_clipped() -> None:
    j = next(j for j, f in enumerate(FIELDS) if f.name == "basisBps")
    moved = PLAIN.after(Statistics(), {"basisBps": 9_000.0}).means[j]
    assert moved == pytest.approx(4 * FIELDS[j].sd / 21)


def test_a_missing_number_moves_nothing() -> None:
    assert PLAIN.after(Statistics(), {"regime": "bull"}) == Statistics()


def test_an_unknown_key_names_the_known_ones_and_the_nearest() -> None:
    assert unknown_keys({"regime": "bull", "sigmaHar": 1.0}) == ("sigmaHar",)
    message = unknown_fault("sigmaHar").message
    assert "did you mean sigmaHAR?" in message
    assert "spreadBps" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("obi", math.nan), ("obi", 1.5), ("sigmaHAR", 0.0), ("regime", "bul"), ("regime", 1.0), ("symbol", "?")],
)
def test_a_bad_value_is_a_fault_of_its_field(key: str, value: float | str) -> None:
    assert [fault.field for fault in value_faults({key: value})] == [f"context.{key}"]


def test_every_declared_mean_lies_in_the_range_of_its_field() -> None:
    for field in FIELDS:
        mean = math.exp(field.mean) if field.positive else field.mean
        assert field.low < mean < field.high
        assert field.least_sd < field.sd
