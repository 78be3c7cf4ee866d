from __future__ import annotations

from typing import Any

import pytest

from libs.common.events import ContextInput
from libs.common.time_units import DAY_NS
from libs.common.topics import input_key
from libs.common.views import MOST_KEYS
from services.context.offers import Offers
from services.context.standing import Standing


def said(source: str, value: float, name: str = "fundingRate", until_ts: int = 100) -> ContextInput:
    return ContextInput(
        symbol="BTC-USDT", name=name, value=value, source=source, ts=0, valid_until_ts=until_ts
    )


def offered_by(*order: str) -> Offers:
    return Offers(order, Standing(order))


class World:
    """Offers beside a topic that says at once what is written to it."""

    def __init__(self) -> None:
        self.standing = Standing(("a", "stub"))
        self.offers = Offers(("a", "stub"), self.standing)

    def write(self, *inputs: ContextInput) -> None:
        for each in inputs:
            key = input_key(each.symbol, each.name)
            self.standing.fold(0, self.standing.position(0), key, each)

    def renew(self, source: str, now: int) -> None:
        self.write(*self.offers.renew(source, [said(source, 1.0, until_ts=1000)], now))

    @property
    def stands(self) -> str:
        here = self.standing.here("BTC-USDT", "fundingRate")
        return "" if here is None else here.source


def test_the_first_source_in_order_is_told_whoever_spoke_last() -> None:
    offers = offered_by("a", "b")
    assert offers.renew("b", [said("b", 2.0)], 1) == [said("b", 2.0)]
    assert offers.renew("a", [said("a", 1.0)], 2) == [said("a", 1.0)]
    assert offers.renew("b", [said("b", 3.0)], 3) == []


def test_what_the_first_has_no_more_is_told_of_the_next_at_once() -> None:
    offers = offered_by("a", "b", "c")
    for source in ("c", "b", "a"):
        offers.renew(source, [said(source, 1.0)], 1)
    assert offers.renew("a", [], 2) == [said("b", 1.0)]
    assert offers.renew("b", [], 3) == [said("c", 1.0)]
    assert offers.renew("c", [], 4) == []


def test_an_offer_that_ended_holds_nobody_back() -> None:
    offers = offered_by("a", "b")
    offers.renew("a", [said("a", 1.0, until_ts=10)], 1)
    assert offers.renew("b", [said("b", 2.0)], 10) == []
    assert offers.renew("b", [said("b", 2.0)], 11) == [said("b", 2.0)]


def test_sources_share_a_symbol_by_name() -> None:
    offers = offered_by("a", "b")
    offers.renew("a", [said("a", 1.0)], 1)
    both = [said("b", 2.0), said("b", 3.0, "basisBps")]
    assert offers.renew("b", both, 2) == [said("b", 3.0, "basisBps")]


# --- what others say ---


def test_what_somebody_else_says_stays_while_it_may_be_used_and_ours_comes_back_at_once() -> None:
    world = World()
    for source in ("stub", "a"):
        world.renew(source, 1)
        world.write(said("desk", 0.5, until_ts=50))
        world.renew(source, 20)
        assert world.offers.amend(50) == []
        assert world.stands == "desk"
        world.write(*world.offers.amend(51))
        assert world.stands == source
        assert world.offers.amend(52) == []


def test_what_somebody_else_said_and_ours_wrote_over_is_told_again() -> None:
    world = World()
    world.renew("a", 1)
    theirs, ours = said("desk", 0.5), said("a", 2.0, until_ts=1000)
    world.write(theirs, ours)  # both were on their way
    assert world.offers.amend(5) == [theirs]
    world.write(*world.offers.amend(5))
    assert (world.stands, world.offers.amend(6)) == ("desk", [])


def test_what_somebody_else_ended_leaves_the_word_to_ours_at_once() -> None:
    world = World()
    world.renew("a", 1)
    world.write(said("desk", 0.5))
    world.standing.fold(0, world.standing.position(0), b"BTC-USDT:fundingRate", None)
    assert world.offers.amend(5) == [said("a", 1.0, until_ts=1000)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "stub"},
        {"source": "a"},
        {"value": 2.0},
        {"value": float("nan")},
        {"ts": 2 * 10**9},
        {"valid_until_ts": 8 * DAY_NS},
        {"valid_until_ts": 4},
        {"name": "basisBps"},
    ],
    ids=["stub", "our own", "range", "nan", "future", "too long", "expired", "another's name"],
)
def test_what_may_not_be_used_or_is_our_own_holds_nobody_back(wrong: dict[str, Any]) -> None:
    world = World()
    fields: dict[str, Any] = {"symbol": "BTC-USDT", "name": "fundingRate", "value": 0.5, "source": "desk"}
    told = ContextInput(**fields | {"ts": 0, "valid_until_ts": 100} | wrong)
    world.standing.fold(0, 0, b"BTC-USDT:fundingRate", told)
    assert world.offers.renew("a", [said("a", 1.0)], 5) == [said("a", 1.0)]


def test_what_others_said_is_kept_of_no_more_keys_than_anybody_may_fill() -> None:
    world = World()
    world.write(said("desk", 0.001))
    world.renew("a", 1)
    assert world.standing.of_others("BTC-USDT", "fundingRate", 1) == said("desk", 0.001)
    world.write(*(said("desk", 1.0, f"n{n}") for n in range(MOST_KEYS)))
    assert len(world.standing.items) == MOST_KEYS
    assert world.standing.of_others("BTC-USDT", "fundingRate", 1) is None
    assert world.stands == ""
    assert world.offers.amend(2) == [said("a", 1.0, until_ts=1000)], "its own is told again"
