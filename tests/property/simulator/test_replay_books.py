"""Whoever joins a replay late ends with the book of those who were there from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from simulator.replay_binance import BinanceReplay
from simulator.replay_kraken_v1 import KrakenV1Replay
from simulator.replay_kraken_v2 import KrakenV2Replay
from simulator.replay_venue import HttpReply
from tests.unit.simulator.replay_builders import (
    a_binance_diff,
    a_binance_snapshot,
    a_kraken_v1_frame,
    a_kraken_v2_book,
    a_session,
    text,
)

if TYPE_CHECKING:
    from simulator.recordings import Frame, RestReply
    from simulator.replay_venue import ReplayVenue

Rows: TypeAlias = list[tuple[str, str]]
Change: TypeAlias = tuple[Rows, Rows]  # bids, asks

DEPTH = 10


def rows(low: int, high: int) -> st.SearchStrategy[Rows]:
    """Return levels of distinct prices; every third size is zero."""
    sizes = st.sampled_from(["0.00", "1.50", "2.00"])
    levels = st.tuples(st.integers(low, high).map(lambda price: f"{price}.0"), sizes)
    return st.lists(levels, max_size=6, unique_by=lambda row: row[0])


changes = st.lists(st.tuples(rows(80, 99), rows(101, 120)), min_size=1, max_size=25)


class Naive:
    """A client that keeps what it is told in two dicts and truncates by sorting."""

    def __init__(self, depth: int | None = None) -> None:
        self.depth = depth
        self.bids: dict[float, str] = {}
        self.asks: dict[float, str] = {}

    def apply(self, bids: Rows, asks: Rows) -> None:
        for side, changed in ((self.bids, bids), (self.asks, asks)):
            for price, size in changed:
                side[float(price)] = size
        self.bids = dict(sorted(self._alive(self.bids), reverse=True)[: self.depth])
        self.asks = dict(sorted(self._alive(self.asks))[: self.depth])

    @staticmethod
    def _alive(side: dict[float, str]) -> list[tuple[float, str]]:
        return [(price, size) for price, size in side.items() if float(size)]

    def book(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        return list(self.bids.items()), list(self.asks.items())


@given(before=changes, after=changes, early=st.integers(0, 3), ahead=st.integers(0, 3))
def test_a_late_binance_client_meets_the_early_one(
    before: list[Change], after: list[Change], early: int, ahead: int
) -> None:
    diffs = [a_binance_diff(10 * n + 1, 10 * n + 10, *change) for n, change in enumerate(before + after)]
    taken = min(early, len(before))  # diffs inside the snapshot
    sent = min(taken + ahead, len(before))  # diffs that overtook the snapshot
    snapshot = Naive()
    for change in before[:taken]:
        snapshot.apply(*change)
    bids, asks = ([(str(price), size) for price, size in side] for side in snapshot.book())
    reply = a_binance_snapshot(10 * taken, bids, asks)
    venue = BinanceReplay()
    records: list[Frame | RestReply] = [*diffs[:sent], reply, *diffs[sent : len(before)]]
    for record in records:
        venue.learn(record)
    for record in records:
        venue.play(record)

    answer = venue.rest("/binance/api/v3/depth", {"symbol": "BTCUSDT", "limit": "5000"}, 0)
    assert isinstance(answer, HttpReply)
    late_snapshot = msgspec.json.decode(answer.body)
    assert late_snapshot["lastUpdateId"] == 10 * len(before)
    late, from_the_start = Naive(), Naive()
    late.apply(late_snapshot["bids"], late_snapshot["asks"])
    for change in before:
        from_the_start.apply(*change)
    for change in after:
        late.apply(*change)
        from_the_start.apply(*change)
    assert late.book() == from_the_start.book()


def late_snapshot_of(venue: ReplayVenue, frames: list[Frame], subscribe: str) -> str:
    for frame in frames:
        venue.learn(frame)
    for frame in frames:
        venue.play(frame)
    return venue.request(a_session(), subscribe, 0).frames[1]


def meet(bids: Rows, asks: Rows, before: list[Change], after: list[Change]) -> None:
    late, from_the_start = Naive(DEPTH), Naive(DEPTH)
    for change in before:
        from_the_start.apply(*change)
    late.apply(bids, asks)
    assert late.book() == from_the_start.book()
    for change in after:
        late.apply(*change)
        from_the_start.apply(*change)
    assert late.book() == from_the_start.book()


@given(before=changes, after=changes)
def test_a_late_kraken_v1_client_meets_the_early_one(before: list[Change], after: list[Change]) -> None:
    def stamped(side: Rows) -> list[tuple[str, str, str]]:
        return [(*row, "1.5") for row in side]

    first, *rest = before
    frames = [
        a_kraken_v1_frame({"as": stamped(first[1]), "bs": stamped(first[0])}),
        *(a_kraken_v1_frame({"a": stamped(asks), "b": stamped(bids), "c": "0"}) for bids, asks in rest),
    ]
    subscription = {"name": "book", "depth": DEPTH}
    subscribe = text({"event": "subscribe", "pair": ["XBT/CHF"], "subscription": subscription})
    sides = msgspec.json.decode(late_snapshot_of(KrakenV1Replay(), frames, subscribe))[1]
    meet([row[:2] for row in sides["bs"]], [row[:2] for row in sides["as"]], before, after)


@given(before=changes, after=changes)
def test_a_late_kraken_v2_client_meets_the_early_one(before: list[Change], after: list[Change]) -> None:
    kinds = ["snapshot", *["update"] * (len(before) - 1)]
    frames = [a_kraken_v2_book(kind, *change) for kind, change in zip(kinds, before, strict=True)]
    params = {"channel": "book", "symbol": ["BTC/USD"], "depth": DEPTH}
    late = late_snapshot_of(KrakenV2Replay(), frames, text({"method": "subscribe", "params": params}))
    # Sizes are numbers on this wire; all of these have two decimals.
    (data,) = msgspec.json.decode(late)["data"]
    bids, asks = (
        [(str(row["price"]), f"{row['qty']:.2f}") for row in data[side]] for side in ("bids", "asks")
    )
    meet(bids, asks, before, after)
