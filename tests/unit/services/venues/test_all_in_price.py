"""Which venue is told to who buys: the one that is cheapest against one fair mid, as far as that is true."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from numpy.random import Generator, Philox

from libs.common.events import BookState, Refusal, VenueMetrics
from libs.common.time_units import NS_PER_S
from libs.common.topics import book_key
from services.venues.basis import Basis, fold_basis
from services.venues.costs import charges, reliability_bps
from services.venues.handlers import offers_of
from services.venues.registry import Measurement, fold_fill, fold_health
from tests.unit.services.venues.test_costs import TERMS
from tests.unit.services.venues.test_handlers import World, a_world
from tests.venue_market import NOW, a_fill, a_health, a_score, a_top

if TYPE_CHECKING:
    from libs.common.events import CostBps, TakerSide, VenueCandidate, VenueScored

ASKS = {"binance": (60_000.0, 0.05), "okx": (59_950.0, 0.06), "bybit": (60_005.0, 0.05)}


def three_venues() -> World:
    world = World()
    for venue, (mid, half_spread) in ASKS.items():
        world.tell(a_top(venue, mid=mid, half_spread=half_spread))
        world.tell(a_health(venue))
    return world


def judged(scored: VenueScored, venue: str) -> VenueCandidate:
    return next(each for each in scored.candidates if each.venue == venue)


def cost_of(scored: VenueScored, venue: str) -> CostBps:
    found = judged(scored, venue).cost_bps
    assert found is not None
    return found


@pytest.mark.parametrize(("side", "venue"), [("buy", "okx"), ("sell", "bybit")])
def test_of_equal_fees_the_best_price_is_chosen(side: TakerSide, venue: str) -> None:
    scored = three_venues().score(a_score(side=side))
    assert scored.venue == venue
    assert [share.venue for share in scored.allocation] == [venue]
    assert scored.fair_mid == 60_000.0
    buys = three_venues().score(a_score())
    saved = cost_of(buys, "binance").total - cost_of(buys, "okx").total
    paid = 1e4 * (60_000.05 - 59_950.06) / 60_000 * 1.001
    assert saved == pytest.approx(paid, abs=0.1), "but for the gap that closes in the order's 50 ms"


def a_lasting(bps: float, seconds: int = 7200) -> Basis:
    found = Basis()
    for at in range(seconds):
        found = fold_basis(found, bps, NOW - (seconds - at) * NS_PER_S)
    return found


def test_what_is_always_five_bps_cheap_is_no_bargain_and_no_dear_venue_to_sell_at() -> None:
    world = three_venues()
    world.tell(a_top("okx", mid=59_970.0, half_spread=0.06))
    fresh = world.score(a_score())
    assert fresh.venue == "okx"
    for venue, bps in (("okx", -5.0), ("bybit", 10 / 12)):
        key = book_key(venue, "BTC-USDT")
        world.measurements[key] = replace(world.measurements[key], basis=a_lasting(bps))
    scored = world.score(a_score(2))
    okx = judged(scored, "okx")
    assert okx.basis_bps == pytest.approx(-5.0)
    assert okx.lasting_basis_bps == pytest.approx(-5.0, abs=0.2)
    assert abs(cost_of(scored, "okx").basis) < 0.2
    assert cost_of(fresh, "okx").basis == pytest.approx(-5.0)
    sold = world.score(a_score(3, side="sell"))
    assert abs(cost_of(sold, "okx").basis) < 0.2


def test_a_basis_that_lasts_as_long_as_the_position_is_no_bargain() -> None:
    world = three_venues()
    key = book_key("okx", "BTC-USDT")
    slow = Basis(ts=NOW, samples=3600.0, squares=36_000.0, products=36_000.0 * math.exp(-1 / 36_000))
    world.measurements[key] = replace(world.measurements[key], basis=slow)
    basis = cost_of(world.score(a_score()), "okx").basis
    phi = min(slow.persistence, 1.0) ** 3600
    assert basis == pytest.approx(-25 / 3 * (1 - phi), abs=0.01)
    assert phi > 0.25


def test_the_basis_is_measured_with_each_health_against_the_books_of_several_venues() -> None:
    world, alone = three_venues(), World()
    for at in range(1, 11):
        now = NOW + at * NS_PER_S
        for each, venues in ((world, ASKS), (alone, {"okx": ASKS["okx"]})):
            for venue, (mid, half_spread) in venues.items():
                each.tell(a_top(venue, mid=mid, half_spread=half_spread, now=now), now)
                each.tell(a_health(venue, now=now), now)
    key = book_key("okx", "BTC-USDT")
    assert world.measurements[key].basis.bps == pytest.approx(-25 / 3)
    assert world.measurements[key].basis.samples > 8
    assert alone.measurements[key].basis == Basis()


def test_a_book_that_lags_is_not_chased() -> None:
    """The real book of a late venue is where the others are: who takes its old price pays what is there."""
    lag_s, dearer_bps, seconds = 3, 1.0, 3000
    rng = Generator(Philox(key=21))
    fair = 60_000 * (1 + rng.normal(0, 1e-4, seconds + lag_s).cumsum())  # 1 bps a second: 2.9 % a day
    noise = rng.normal(0, 0.3e-4, (2, seconds))
    basis, chased, believed = Basis(), 0, 0
    for at in range(seconds):
        now = NOW + at * NS_PER_S
        mids = sorted(
            (fair[at + lag_s] * (1 + noise[0, at]), fair[at + lag_s] * (1 + noise[1, at]), fair[at])
        )
        gap = 1e4 * (fair[at] / mids[1] - 1)
        basis = fold_basis(basis, gap, now)
        known = charges(dataclasses.replace(TERMS, basis=basis, delay_s=lag_s + 0.05))
        if at > 300:
            believed += gap + dearer_bps < 0
            chased += gap * known.at_arrival + dearer_bps < 0
    assert believed > 500, "as often it looks cheaper by more than its fee"
    assert chased < 0.15 * believed


@pytest.mark.parametrize("what", ["in doubt", "silent", "off market"])
def test_the_stalest_book_is_behind_a_gate_however_cheap(what: str) -> None:
    world = three_venues()
    later = NOW + 2 * NS_PER_S
    for venue in ("binance", "bybit"):
        world.tell(a_top(venue, mid=60_050.0, half_spread=0.05, now=later), later)
        world.tell(a_health(venue, now=later), later)
    if what == "silent":
        later += 3 * NS_PER_S + 1
        for venue in ("binance", "bybit"):
            world.tell(a_health(venue, now=later), later)
    else:
        world.tell(a_health("okx", now=later, in_doubt=what == "in doubt"), later)
    scored = world.score(a_score(), later)
    assert not judged(scored, "okx").eligible
    assert scored.venue != "okx"


def thin(*, at: dict[str, float]) -> World:
    world = World()
    for venue, size in at.items():
        world.tell(a_top(venue, size=size / 50, step=0.01))
        world.tell(a_health(venue))
    return world


def test_what_no_venue_takes_alone_is_split_over_what_all_show() -> None:
    scored = thin(at={"binance": 10.0, "okx": 10.0, "bybit": 10.0}).score(a_score(size=12.0))
    assert math.fsum(share.size for share in scored.allocation) == 12.0
    assert all(share.size <= 10.0 for share in scored.allocation)
    assert scored.venue == scored.candidates[0].venue
    for each in scored.candidates:
        assert each.eligible
        assert each.available == 10.0
        assert each.reasons[0] == "takes 10 of 12: its book shows no more"
    assert scored.allocation_bps is not None
    assert 10 < scored.allocation_bps < 11
    assert scored.saving_bps == 0.0


def test_who_takes_the_whole_size_comes_before_who_takes_more_cheaply_a_part() -> None:
    world = thin(at={"binance": 10.0, "kraken": 100.0, "okx": 11.0})
    scored = world.score(a_score(size=12.0))
    assert [each.venue for each in scored.candidates] == ["kraken", "okx", "binance"], (
        "kraken's fee is 40 bps"
    )
    assert [each.available for each in scored.candidates] == [12.0, 11.0, 10.0]
    assert {share.venue for share in scored.allocation} == {"binance", "okx"}
    assert scored.saving_bps > 25


def test_only_what_all_together_do_not_show_is_too_thin() -> None:
    world = thin(at={"binance": 10.0, "okx": 10.0, "bybit": 10.0})
    assert world.score(a_score(size=30.0)).allocation
    refused = world.refusal(a_score(2, size=31.0))
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "30 are visible" in refused.detail
    assert "31 are wanted" in refused.detail
    assert "okx: takes 10 of 31" in refused.detail


def test_a_part_under_the_venues_minimum_is_not_eligible() -> None:
    world = thin(at={"binance": 10.0, "okx": 0.000_05 / 6.1})
    scored = world.score(a_score())
    assert judged(scored, "okx").reasons[0].startswith("too thin: ")


def test_measured_slippage_moves_the_choice() -> None:
    world = a_world()
    assert world.score(a_score()).venue == "binance"
    key = book_key("binance", "BTC-USDT")
    for number in range(40):
        world.measurements[key] = fold_fill(world.measurements[key], a_fill(number, price="60030"))
    scored = world.score(a_score(2))
    assert scored.venue == "bybit"
    expected = world.measurements[key].expected_slippage_bps
    assert cost_of(scored, "binance").slippage == expected > 2
    assert any("own orders there paid more" in reason for reason in judged(scored, "binance").reasons)


def test_a_venue_that_is_seldom_well_is_not_chosen_over_one_ten_bps_dearer() -> None:
    world = World()
    for venue, mid in (("binance", 59_990.0), ("bybit", 60_000.0), ("okx", 60_000.0)):
        world.tell(a_top(venue, mid=mid))
        world.tell(a_health(venue))
    ill = Measurement()
    for at in range(4 * 3600):  # well 10 s of each 200
        state = BookState.LIVE if at % 200 < 10 else BookState.STALE
        now = NOW - (4 * 3600 - at) * NS_PER_S
        ill = fold_health(ill, a_health(state=state, now=now), None, at)
    key = book_key("binance", "BTC-USDT")
    world.measurements[key] = replace(ill, failures_in_a_row=0)
    told = cost_of(world.score(a_score()), "binance")
    assert told.reliability > 10.0
    assert world.score(a_score(2)).venue != "binance"


def test_metrics_tell_the_terms_by_which_a_venue_is_scored() -> None:
    world = three_venues()
    later = NOW + NS_PER_S
    for venue, (mid, half_spread) in ASKS.items():
        world.tell(a_top(venue, mid=mid, half_spread=half_spread, now=later), later)
    (told,) = world.tell(a_health("okx", now=later), later)
    assert isinstance(told, VenueMetrics)
    (offer,) = [each for each in offers_of(world.state, "BTC-USDT", later) if each.venue == "okx"]
    assert told.basis_bps == pytest.approx(-25 / 3)
    known = charges(offer.terms)
    assert (told.lasting_basis_bps, told.basis_at_arrival, told.basis_at_exit) == (
        known.lasting_bps,
        known.at_arrival,
        known.at_exit,
    )
    assert told.reliability_bps == reliability_bps(offer.terms)
    assert told.outage_s == 10.0
