"""What an order of the split bench costs: its fills by the paper broker, against the mid at the decision."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.events import PlannedSlice
from services.execution.broker.paper_broker import Terms
from tests.bench.split_markets import a_top
from tests.bench.split_work import RETRY_NS, Work, WorkingLeg

T = 1_000_000_000
TERMS = {
    venue: Terms(lot=Decimal("0.1"), taker_bps=Decimal(10), maker_bps=Decimal(0), half_life_ns=20 * T)
    for venue in ("a", "b")
}
BIDS = [(99.0, 1.0)]


def a_leg(venue: str, *slices: PlannedSlice) -> WorkingLeg:
    return WorkingLeg(venue, [(each.at_ts, each.size, each.limit) for each in slices])


def test_the_cost_is_what_was_paid_with_fees_against_the_mid_at_the_decision() -> None:
    legs = [
        a_leg("a", PlannedSlice(at_ts=T, size=Decimal(1), limit=Decimal(200))),
        a_leg("b", PlannedSlice(at_ts=2 * T, size=Decimal(1), limit=Decimal(200))),
    ]
    work = Work("buy", legs, 100.0)
    tops = {"a": a_top("a", BIDS, [(101.0, 1.0)], T), "b": a_top("b", BIDS, [(103.0, 1.0)], T)}
    work.to(tops, TERMS, T)
    assert not work.done
    work.to(tops, TERMS, 2 * T)
    assert work.done
    assert work.cost_bps == pytest.approx((101 + 103 - 200) / 200 * 1e4 + 10 * 204 / 200)


def test_what_a_book_does_not_offer_is_tried_again_at_any_price() -> None:
    work = Work("buy", [a_leg("a", PlannedSlice(at_ts=T, size=Decimal(2), limit=Decimal(101)))], 100.0)
    work.to({"a": a_top("a", BIDS, [(101.0, 1.0), (102.0, 5.0)], T)}, TERMS, T)
    assert not work.done
    work.to({"a": a_top("a", BIDS, [(102.0, 5.0)], T)}, TERMS, T + RETRY_NS - 1)
    assert not work.done
    work.to({"a": a_top("a", BIDS, [(102.0, 5.0)], T)}, TERMS, T + RETRY_NS)
    assert work.done
    assert work.cost_bps == pytest.approx(150 + 10 * 203 / 200)
