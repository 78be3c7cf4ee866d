"""The paper broker against a naive twin: a dict of what is left, walked one lot at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.events import OrdStatus, PaperOrder
from services.execution import paper_broker
from services.execution.paper_broker import Terms
from tests.execution_market import a_book_top, an_order

if TYPE_CHECKING:
    from libs.common.events import BookTop, TakerSide
    from services.execution.paper_broker import SelfImpact

LOT = Decimal("0.1")
TERMS = Terms(lot=LOT, taker_bps=Decimal(10), maker_bps=Decimal(2))
PRICES = st.integers(1, 8)
SIZES = st.integers(0, 30).map(lambda lots: lots / 20)  # half lots too
SIDES = st.sampled_from(["buy", "sell"])


@st.composite
def tops(draw: st.DrawFn) -> BookTop:
    bids = draw(st.dictionaries(PRICES, SIZES.filter(bool), min_size=1, max_size=5))
    asks = draw(st.dictionaries(PRICES, SIZES.filter(bool), min_size=1, max_size=5))
    return a_book_top(
        bids=tuple((100.0 - p, bids[p]) for p in sorted(bids)),
        asks=tuple((100.0 + p, asks[p]) for p in sorted(asks)),
        epoch=draw(st.integers(1, 2)),
    )


@st.composite
def orders(draw: st.DrawFn, number: int) -> PaperOrder:
    limited = draw(st.booleans())
    return an_order(
        cl_ord_id=f"o{number}",
        side=draw(SIDES),
        order_qty=LOT * draw(st.integers(1, 40)),
        ord_type="limit" if limited else "market",
        price=Decimal(draw(st.integers(92, 108))) if limited else None,
        time_in_force=draw(st.sampled_from(["ioc", "gtc"])) if limited else "ioc",
    )


class NaiveVenue:
    """What our orders may still take, kept per level and taken lot by lot."""

    def __init__(self) -> None:
        self.epoch = 0
        self.shown: dict[tuple[str, Decimal], Decimal] = {}
        self.left: dict[tuple[str, Decimal], Decimal] = {}
        self.taken: dict[tuple[str, Decimal], Decimal] = {}  # of levels that are gone, or of the epoch before

    def see(self, top: BookTop) -> None:
        shown = {
            (side, Decimal(repr(price))): Decimal(repr(size))
            for side, levels in (("buy", top.asks), ("sell", top.bids))
            for price, size in levels
        }
        back = set(self.left) if top.epoch != self.epoch else self.left.keys() - shown.keys()
        for level in back:  # gone, or of a book synchronised anew
            self.taken[level] = self.shown[level] - self.left.pop(level)
        for level, size in shown.items():
            if level in self.left:
                added = max(Decimal(0), size - self.shown[level])
                self.left[level] = min(self.left[level] + added, size)
            else:
                self.left[level] = max(Decimal(0), size - self.taken.pop(level, Decimal(0)))
        self.shown, self.epoch = shown, top.epoch

    def take(self, side: TakerSide, qty: Decimal, limit: Decimal | None) -> list[tuple[Decimal, Decimal]]:
        taken: dict[Decimal, Decimal] = {}
        prices = sorted((price for s, price in self.left if s == side), reverse=side == "sell")
        for price in prices:
            while (
                qty > 0
                and self.left[side, price] >= LOT
                and (limit is None or (price <= limit if side == "buy" else price >= limit))
            ):
                self.left[side, price] -= LOT
                taken[price] = taken.get(price, Decimal(0)) + LOT
                qty -= LOT
        return list(taken.items())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fills_are_those_of_a_venue_walked_lot_by_lot_and_what_we_took_is_not_offered_again(
    data: st.DataObject,
) -> None:
    naive = NaiveVenue()
    impact: SelfImpact | None = None
    top = data.draw(tops())
    resting: list[PaperOrder] = []
    for number in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            top = data.draw(tops())
        naive.see(top)
        for place, order in enumerate(resting):
            worked = paper_broker.check(order, top, impact, TERMS, now=number)
            expected = naive.take(order.side, order.leaves_qty, order.price)
            assert [fill.last_qty for fill in worked.fills] == [qty for _, qty in expected]
            assert {fill.last_px for fill in worked.fills} <= {order.price}
            assert_consistent(order, worked)
            impact, resting[place] = worked.impact, worked.order
        order = data.draw(orders(number))
        worked = paper_broker.arrive(order, top, impact, TERMS, now=number)
        expected = naive.take(order.side, order.order_qty, order.price)
        assert [(fill.last_px, fill.last_qty) for fill in worked.fills] == expected
        assert_consistent(order, worked)
        impact = worked.impact
        if worked.order.time_in_force == "ioc":
            assert not worked.order.ord_status.open
        resting = [o for o in (*resting, worked.order) if o.ord_status.open]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 120), st.integers(1, 3)), min_size=1, max_size=20))
def test_no_more_is_filled_at_a_price_than_ever_stood_and_was_added_over_any_epochs(
    looks: list[tuple[int, int]],
) -> None:
    impact: SelfImpact | None = None
    filled = added = before = Decimal(0)
    for number, (shown, epoch) in enumerate(looks):
        asks = (*(((100.0, shown / 100),) if shown else ()), (101.0, 1.0))
        top = a_book_top(bids=((99.0, 1.0),), asks=asks, epoch=epoch)
        order = an_order(
            cl_ord_id=f"o{number}",
            side="buy",
            order_qty=Decimal(10),
            ord_type="limit",
            price=Decimal(100),
            time_in_force="ioc",
        )
        fine = replace(TERMS, lot=Decimal("0.01"))
        worked = paper_broker.arrive(order, top, impact, fine, now=number)
        impact = worked.impact
        filled += worked.order.cum_qty
        size = Decimal(shown) / 100
        added += max(Decimal(0), size - before)
        before = size
        assert filled <= Decimal(max(size for size, _ in looks[: number + 1])) / 100 + added
        assert filled <= added  # the first look counts as an increase from nothing


def test_a_level_that_flickers_hands_out_only_what_was_added() -> None:
    impact: SelfImpact | None = None
    filled = []
    fine = replace(TERMS, lot=Decimal("0.01"))
    for number, shown in enumerate((1.0, 1.01, 1.0, 1.01, None, 1.01)):
        asks = (*(((100.0, shown),) if shown else ()), (101.0, 1.0))
        top = a_book_top(bids=((99.0, 1.0),), asks=asks)
        order = an_order(
            cl_ord_id=f"o{number}",
            side="buy",
            order_qty=Decimal(10),
            ord_type="limit",
            price=Decimal(100),
            time_in_force="ioc",
        )
        worked = paper_broker.arrive(order, top, impact, fine, now=number)
        impact = worked.impact
        filled.append(worked.order.cum_qty)
    assert filled == [Decimal(q) for q in ("1", "0.01", "0", "0.01", "0", "0")]


def assert_consistent(before: PaperOrder, worked: Any) -> None:
    """FIX: what is filled and what is left add up, and money is exactly the sum of the fills."""
    after, fills = worked.order, worked.fills
    assert after.cum_qty == before.cum_qty + sum(fill.last_qty for fill in fills)
    assert after.cum_quote == before.cum_quote + sum(fill.last_qty * fill.last_px for fill in fills)
    assert after.fees == before.fees + sum(fill.fee for fill in fills)
    for fill in fills:
        bps = TERMS.taker_bps if fill.liquidity == "taker" else TERMS.maker_bps
        assert fill.fee == fill.last_qty * fill.last_px * bps / 10_000
    if after.ord_status is OrdStatus.CANCELED:
        assert after.leaves_qty == 0
    else:
        assert after.cum_qty + after.leaves_qty == after.order_qty
    assert (after.ord_status is OrdStatus.FILLED) == (after.cum_qty == after.order_qty)
    assert len({fill.exec_id for fill in fills}) == len(fills)
    assert all(fill.last_qty % LOT == 0 for fill in fills)
    assert replace(after, text="").cl_ord_id == before.cl_ord_id
