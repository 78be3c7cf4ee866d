"""The paper broker against a naive twin: what is left, walked one lot at a time, and a list of what went."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.events import OrdStatus, PaperOrder
from services.execution.broker import paper_broker
from services.execution.broker.depletion import Depleted, deplete, taken_of
from services.execution.broker.paper_broker import Terms
from tests.execution_market import a_book_top, an_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import BookTop, TakerSide
    from services.execution.broker.self_impact import SelfImpact

LOT = Decimal("0.1")
HALF_LIFE_NS = 1_000
TERMS = Terms(lot=LOT, taker_bps=Decimal(10), maker_bps=Decimal(2), half_life_ns=HALF_LIFE_NS)
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
    """What our orders may still take: by takers of a side, by those that rest of a level; lot by lot."""

    def __init__(self) -> None:
        self.went: list[tuple[str, int, Decimal]] = []  # side, when, how much
        self.epoch = self.now = 0
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

    def meet(self, side: TakerSide, qty: Decimal, limit: Decimal | None) -> list[tuple[Decimal, Decimal]]:
        """Fill a resting order with what is left of each level, and lies beyond what went."""
        beyond = self._beyond(side, self.now)
        left = {price: min(size, self.left[side, price]) for price, size in beyond.items()}
        return self._fill(side, qty, limit, left, self.now)

    def take(
        self, side: TakerSide, qty: Decimal, limit: Decimal | None, now: int
    ) -> list[tuple[Decimal, Decimal]]:
        """Fill a taker with what is shown beyond what went and has not come back."""
        return self._fill(side, qty, limit, self._beyond(side, now), now)

    def _beyond(self, side: TakerSide, now: int) -> dict[Decimal, Decimal]:
        """Return what each level shows beyond what went of the side."""
        gone = sum(
            (went / 2 ** ((now - ts) // HALF_LIFE_NS) for s, ts, went in self.went if s == side), Decimal(0)
        )
        left: dict[Decimal, Decimal] = {}
        for price in _best_first(side, [price for s, price in self.shown if s == side]):
            shown = self.shown[side, price]
            left[price], gone = max(Decimal(0), shown - gone), max(Decimal(0), gone - shown)
        return left

    def _fill(
        self,
        side: TakerSide,
        qty: Decimal,
        limit: Decimal | None,
        left: dict[Decimal, Decimal],
        now: int,
    ) -> list[tuple[Decimal, Decimal]]:
        taken: dict[Decimal, Decimal] = {}
        for price in _best_first(side, left):
            while (
                qty > 0
                and left[price] >= LOT
                and (limit is None or (price <= limit if side == "buy" else price >= limit))
            ):
                left[price] -= LOT
                self.left[side, price] = max(Decimal(0), self.left[side, price] - LOT)
                taken[price] = taken.get(price, Decimal(0)) + LOT
                qty -= LOT
        self.went.append((side, now, sum(taken.values(), Decimal(0))))
        return list(taken.items())


def _best_first(side: TakerSide, prices: Iterable[Decimal]) -> list[Decimal]:
    return sorted(prices, reverse=side == "sell")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fills_are_those_of_a_venue_walked_lot_by_lot_to_which_what_we_took_comes_back_by_half_lives(
    data: st.DataObject,
) -> None:
    naive = NaiveVenue()
    impact: SelfImpact | None = None
    top = data.draw(tops())
    resting: list[PaperOrder] = []
    for number in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            top = data.draw(tops())
        naive.now += data.draw(st.integers(0, 2)) * HALF_LIFE_NS  # whole ones, so that halves are exact
        now = naive.now
        naive.see(top)
        for place, order in enumerate(resting):
            worked = paper_broker.check(order, top, impact, TERMS, now)
            expected = naive.meet(order.side, order.leaves_qty, order.price)
            assert [fill.last_qty for fill in worked.fills] == [qty for _, qty in expected]
            assert {fill.last_px for fill in worked.fills} <= {order.price}
            assert_consistent(order, worked)
            impact, resting[place] = worked.impact, worked.order
        order = data.draw(orders(number))
        worked = paper_broker.arrive(order, top, impact, TERMS, now)
        expected = naive.take(order.side, order.order_qty, order.price, now)
        assert [(fill.last_px, fill.last_qty) for fill in worked.fills] == expected
        assert_consistent(order, worked)
        impact = worked.impact
        if worked.order.time_in_force == "ioc":
            assert not worked.order.ord_status.open
        resting = [o for o in (*resting, worked.order) if o.ord_status.open]


FINE = replace(TERMS, lot=Decimal("0.01"))
ASKS = st.dictionaries(st.integers(1, 4), st.integers(1, 120), min_size=1)  # price: hundredths shown


def taken_at_once(books: list[dict[int, int]]) -> list[Decimal]:
    """Return what orders for all of each book up to 104 are filled with, within one moment."""
    impact: SelfImpact | None = None
    filled = []
    for number, shown in enumerate(books):
        top = a_book_top(
            bids=((99.0, 1.0),), asks=tuple((100.0 + p, shown[p] / 100) for p in sorted(shown)), epoch=number
        )
        order = an_order(
            cl_ord_id=f"o{number}",
            side="buy",
            order_qty=Decimal(10),
            ord_type="limit",
            price=Decimal(104),
            time_in_force="ioc",
        )
        worked = paper_broker.arrive(order, top, impact, FINE, now=0)
        impact = worked.impact
        filled.append(worked.order.cum_qty)
    return filled


@settings(max_examples=300, deadline=None)
@given(st.lists(ASKS, min_size=1, max_size=12))
def test_in_a_moment_no_more_is_taken_than_the_most_that_a_book_showed_however_its_levels_go_and_come(
    books: list[dict[int, int]],
) -> None:
    most = max(Decimal(sum(shown.values())) / 100 for shown in books)
    assert sum(taken_at_once(books)) == most


@pytest.mark.parametrize(
    "books",
    [
        [{1: 100}, {1: 101}, {1: 100}, {1: 101}],
        [{1: 100}, {2: 100}, {1: 100}, {3: 101}],  # it comes back beside its price
    ],
)
def test_a_level_that_flickers_or_moves_by_a_tick_hands_out_only_what_exceeds_the_most_it_was(
    books: list[dict[int, int]],
) -> None:
    assert sum(taken_at_once(books)) == Decimal("1.01")


def test_what_comes_back_is_the_solution_of_the_equation_of_a_book_that_refills() -> None:
    """Integrate ``dE = -E ln2/h dt``, with what three takings add, in small steps (midpoint rule)."""
    half_life_ns, a_second = 20_000_000_000, 500  # steps
    takings = {0: Decimal(3), 5: Decimal("0.5"), 17: Decimal(2)}  # by second
    depleted: tuple[Depleted, ...] = ()
    E, rate = 0.0, math.log(2) / 20
    for step in range(60 * a_second):
        second, rest = divmod(step, a_second)
        if rest == 0 and second in takings:
            E += float(takings[second])
            depleted = deplete(depleted, "buy", takings[second], second * 1_000_000_000, half_life_ns)
        half = E * (1 - rate / a_second / 2)
        E -= half * rate / a_second
    assert len(depleted) == 1
    assert float(taken_of(depleted, "buy", 60_000_000_000)) == pytest.approx(E, rel=1e-6)
    assert taken_of(depleted, "sell", 60_000_000_000) == 0
    assert taken_of(depleted, "buy", 17_000_000_000 + 20 * half_life_ns) == 0


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
