"""The fast book against a dict of Fractions, under any sequence of messages."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libs.common.events import BookDelta, BookSnapshot
from libs.common.order_book import MANY_LEVELS, OrderBook

if TYPE_CHECKING:
    from libs.common.events import Level

# A small grid of exact binary fractions: collisions of prices are frequent and sums carry no rounding.
prices = st.integers(1, 60).map(lambda ticks: ticks / 4)
sizes = st.integers(0, 32).map(lambda lots: lots / 8)
changes = st.lists(st.tuples(prices, sizes), max_size=12)
some_levels = st.lists(st.tuples(prices, sizes.filter(bool)), max_size=30)


def deleted(side: dict[float, float], levels: list[Level]) -> int:
    """Apply the definition; return how many deletes met nothing."""
    orphans = 0
    for price, size in levels:
        if size:
            side[price] = size
        elif side.pop(price, None) is None:
            orphans += 1
    return orphans


class FastBookIsDictBook(RuleBasedStateMachine):
    """One stream of messages eaten by both; readers on the topic follow."""

    def __init__(self) -> None:
        super().__init__()
        self.depth: int | None = None
        self.book = OrderBook()
        self.reader = OrderBook()
        self.naive: tuple[dict[float, float], dict[float, float]] = ({}, {})
        self.seq = 0

    @property
    def both(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        bids, asks = self.naive
        return tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items()))

    @rule(bids=some_levels, asks=some_levels, depth=st.none() | st.integers(1, 10))
    def load(self, bids: list[Level], asks: list[Level], depth: int | None) -> None:
        self.depth = depth
        self.book.load(bids, asks)
        self.truncate()
        self.naive = dict(bids), dict(asks)
        self.cut()
        self.seq = 1
        self.epoch = (self.reader.epoch or 0) + 1
        assert self.reader.follow(self.keyframe("resync"))

    @precondition(lambda self: self.seq > 0)
    @rule(bids=changes, asks=changes)
    def apply(self, bids: list[Level], asks: list[Level]) -> None:
        expected = deleted(self.naive[0], bids) + deleted(self.naive[1], asks)
        assert self.book.apply(bids, asks) == expected
        self.truncate()
        before = self.both
        self.cut()
        gone = [
            tuple((price, 0.0) for price, _ in old if price not in kept)
            for old, kept in zip(before, self.naive, strict=True)
        ]
        self.seq += 1
        delta = BookDelta(
            venue="v",
            symbol="A-B",
            epoch=self.epoch,
            seq=self.seq,
            venue_seq=None,
            bids=(*bids, *gone[0]),
            asks=(*asks, *gone[1]),
            venue_ts=None,
            received_ts=0,
        )
        assert self.reader.follow(delta)
        assert not self.reader.follow(delta), "a redelivered delta is skipped"

    @precondition(lambda self: self.seq > 0)
    @rule()
    def repeat_the_keyframe(self) -> None:
        assert self.reader.follow(self.keyframe("keyframe"))

    @invariant()
    def all_books_agree(self) -> None:
        bids, asks = self.both
        assert (self.book.bids(), self.book.asks()) == (bids, asks)
        assert (self.reader.bids(), self.reader.asks()) == (bids, asks)
        assert self.book.best_bid == (bids[0] if bids else None)
        assert self.book.best_ask == (asks[0] if asks else None)
        assert self.book.crossed == bool(bids and asks and bids[0][0] >= asks[0][0])

    def truncate(self) -> None:
        if self.depth is not None:
            self.book.truncate(self.depth)

    def cut(self) -> None:
        if self.depth is not None:
            bids, asks = self.both
            self.naive = dict(bids[: self.depth]), dict(asks[: self.depth])

    def keyframe(self, reason: str) -> BookSnapshot:
        bids, asks = self.both
        return BookSnapshot(
            venue="v",
            symbol="A-B",
            epoch=self.epoch,
            seq=self.seq,
            venue_seq=None,
            bids=bids,
            asks=asks,
            venue_ts=None,
            received_ts=0,
            reason="resync" if reason == "resync" else "keyframe",
        )


TestFastBookIsDictBook = FastBookIsDictBook.TestCase
TestFastBookIsDictBook.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@given(some_levels.filter(bool), some_levels.filter(bool), st.integers(0, 20_000))
def test_depth_within_is_the_sum_by_definition(bids: list[Level], above: list[Level], bps: int) -> None:
    asks = [(price + max(p for p, _ in bids), size) for price, size in above]  # uncrossed
    book = OrderBook()
    book.load(bids, asks)
    mid = (Fraction(max(p for p, _ in bids)) + Fraction(min(p for p, _ in asks))) / 2
    for side, levels in (("bid", dict(bids)), ("ask", dict(asks))):
        depth = book.depth_within("bid" if side == "bid" else "ask", bps)
        assert depth is not None
        near = {p: q for p, q in levels.items() if abs(Fraction(p) - mid) <= mid * bps / 10_000}
        on_edge = any(
            abs(abs(Fraction(p) - mid) - mid * bps / 10_000) < Fraction(1, 10**9) for p in levels
        )  # where rounding may decide either way
        assert on_edge or depth.size == sum(near.values())
        last = min(levels) if side == "bid" else max(levels)
        assert on_edge or depth.truncated == (last in near)


many_prices = st.integers(1, 2000).map(lambda ticks: ticks / 4)
many_changes = st.lists(st.tuples(many_prices, sizes), min_size=MANY_LEVELS - 20, max_size=MANY_LEVELS + 20)


@given(many_changes, many_changes, many_changes)
@settings(max_examples=30)
def test_a_message_of_many_levels_is_its_levels_one_by_one(
    bids: list[Level], asks: list[Level], more: list[Level]
) -> None:
    whole, single = OrderBook(), OrderBook()
    for changed in ((bids, asks), (more, bids), (asks, more)):
        orphans = whole.apply(*changed)
        assert orphans == sum(single.apply([bid], []) for bid in changed[0]) + sum(
            single.apply([], [ask]) for ask in changed[1]
        )
        assert (whole.bids(), whole.asks()) == (single.bids(), single.asks())
