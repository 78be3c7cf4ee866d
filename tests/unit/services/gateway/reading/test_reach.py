"""Distances to an order are exact: `size` makes one at them, and none one double beyond."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from services.gateway.reading.reach import MOST_VOL, MOST_WIDTH, Reach
from services.gateway.reading.resized import MODEL, SizingInputs, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRAWN = 250


def inputs(**changes: Any) -> SizingInputs:
    fields: dict[str, Any] = {
        "signal": 0.5,
        "uncertainty_width": 0.01,
        "prior_width": 0.02,
        "w_star": None,
        "s_max": None,
        "forecast_vol": 0.02,
        "vol_target": 0.02,
        "cvar_budget": 0.05,
        "cvar_of_one": 0.05,
        "equity": Decimal(1000),
        "cash": Decimal(1000),
        "price": Decimal("60000.25"),
        "held": Decimal(0),
        "lot": Decimal("0.00001"),
        "min_qty": Decimal("0.00001"),
        "min_notional": Decimal(5),
        "model": MODEL,
    }
    return SizingInputs(**fields | changes)


def drawn() -> Iterator[SizingInputs]:
    """Yield inputs of which many are near one order, and some have none in reach."""
    for seed in range(DRAWN):
        draw = random.Random(seed)
        yield inputs(
            signal=draw.choice((draw.uniform(0, 1), draw.uniform(0, 0.02), draw.uniform(-1, 0), 0.0)),
            uncertainty_width=draw.choice((draw.uniform(0, 0.1), 0.0)),
            prior_width=draw.uniform(0.005, 0.1),
            forecast_vol=draw.choice((draw.uniform(0.001, 0.5), None)),
            equity=Decimal(draw.randint(5, 100_000)),
            cash=Decimal(draw.randint(0, 100_000)),
            price=Decimal(repr(round(draw.uniform(0.5, 90_000), 2))),
            held=draw.choice((Decimal(0), Decimal(draw.randint(0, 10_000_000)) / 10_000_000)),
            lot=Decimal(1).scaleb(-draw.randint(0, 6)),
            min_notional=Decimal(draw.choice((0, 5, 10))),
            min_qty=Decimal(draw.choice((0, 1))).scaleb(-3),
            allow_short=draw.random() < 0.3,
            s_max=draw.choice((None, 0.7)),
            cvar_of_one=draw.choice((0.05, 0.0)),
        )


def without_caps(given: SizingInputs) -> SizingInputs:
    return replace(given, cash=Decimal("1e20"), cvar_budget=1.0, cvar_of_one=0.0)


def added(given: SizingInputs, *, short: bool) -> bool:
    return size(given).side == ("sell" if short else "buy")


@pytest.mark.parametrize(
    ("name", "put", "inward", "outward"),
    [
        ("signal", lambda given, x, s: replace(given, signal=s * x), 1.0, 0.0),
        ("width", lambda given, x, _: replace(given, uncertainty_width=x), 0.0, MOST_WIDTH),
        ("vol", lambda given, x, _: replace(given, forecast_vol=x), 0.0, MOST_VOL),
    ],
)
def test_at_its_distance_a_factor_makes_an_order_and_one_double_beyond_it_makes_none(
    name: str, put: Callable[[SizingInputs, float, int], SizingInputs], inward: float, outward: float
) -> None:
    met = {"some": 0, "none": 0}
    for given in drawn():
        reach, free = Reach(given), without_caps(given)
        short = given.signal < 0 and given.allow_short
        sign = -1 if short else 1
        found: float | None = getattr(reach, name)
        if found is None:
            met["none"] += 1
            if name == "signal" and given.forecast_vol is None:
                continue  # a size needs one
            if name == "signal" or not reach.barred:
                assert not added(put(free, inward, sign), short=short), given
            continue
        met["some"] += 1
        assert added(put(free, found, sign), short=short), (given, found)
        if found != outward:
            assert not added(put(free, math.nextafter(found, outward), sign), short=short), (given, found)
    assert met["some"] > DRAWN / 10, met
    assert met["none"] > 5, met


def test_a_cap_holds_an_order_exactly_where_size_makes_one_under_it() -> None:
    met = {True: 0, False: 0}
    for given in drawn():
        if given.signal <= 0 or given.forecast_vol is None or given.cvar_of_one == 0:
            continue
        wide = replace(
            without_caps(given),
            position_cap=1e12,
            signal=1.0,
            uncertainty_width=0.0,
            forecast_vol=1e-4,
            vol_cap=1e6,
        )
        reach = Reach(given)
        assert reach.fraction is not None
        # beside the last digits, in which the fraction and what the budget makes of it may differ
        for factor in (0.5, 1 - 1e-9, 1 + 1e-9, 2.0):
            cap = reach.fraction * factor
            capped = replace(wide, cvar_budget=cap * 0.05, cvar_of_one=0.05, cvar_of_others=0.0)
            made = size(capped).side == "buy"
            assert reach.holds(size(capped).caps["cvar"]) == made, (given, factor)
            met[made] += 1
    assert min(met.values()) > 50, met


def test_the_least_order_is_the_first_whole_lot_that_the_venue_takes() -> None:
    for given in drawn():
        least = Reach(given).least
        assert least % given.lot == 0
        assert least >= max(given.lot, given.min_qty)
        assert least * given.price >= given.min_notional
        before = least - given.lot
        assert before < given.lot or before < given.min_qty or before * given.price < given.min_notional


def test_a_width_that_is_none_is_refused_as_the_size_refuses_it() -> None:
    with pytest.raises(ValueError, match="must be a positive width"):
        Reach(inputs(prior_width=0.0))
