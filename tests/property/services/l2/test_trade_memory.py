"""Random streams of trades against a set of all that ever was; random shares of a budget against a count."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from libs.common.time_units import NS_PER_S
from services.l2.feeds.venue_messages import VenueTrade
from services.l2.rate_limits import RESERVE, SHARE_NS, Share, VenueBucket
from services.l2.trade_memory import MOST, TradeMemory

START = 1_790_000_000 * NS_PER_S


def a_trade(number: int) -> VenueTrade:
    return VenueTrade(
        trade_id=str(number),
        price=100.0 + number % 7,
        size=1.0,
        side="buy",
        venue_ts=START + number * NS_PER_S,
    )


@given(st.lists(st.integers(1, 300), max_size=400), st.booleans())
def test_each_trade_is_news_exactly_once_in_whatever_order(numbers: list[int], contiguous: bool) -> None:  # noqa: FBT001
    memory = TradeMemory(contiguous=contiguous)
    seen: set[int] = set()
    for number in numbers:
        assert memory.is_news(a_trade(number)) is (number not in seen)
        seen.add(number)
    assert len(memory) == len(seen)


@given(st.sets(st.integers(1, 300), min_size=1), st.data())
def test_what_is_missing_of_rising_ids_is_told_exactly(kept: set[int], data: st.DataObject) -> None:
    memory = TradeMemory(contiguous=True)
    missing = 0
    for number in sorted(kept):
        for _ in range(data.draw(st.integers(1, 3))):  # each may come more than once
            trade = a_trade(number)
            if memory.is_news(trade):
                missing += memory.hole_before(trade)
    assert missing == max(kept) - min(kept) + 1 - len(kept)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_no_run_of_ids_makes_the_memory_grow(starts: list[int]) -> None:
    memory = TradeMemory(contiguous=True)
    for start in starts:
        for number in range(start, start + MOST // 8):
            trade = a_trade(number)
            if memory.is_news(trade):
                memory.hole_before(trade)
        assert len(memory) <= MOST


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 5)), max_size=200),
    st.sampled_from(((3000, 60, 250), (10, 20, 1), (1.5, 1, 1), (1, 0.75, 1))),
)
def test_whatever_troubled_books_ask_another_one_has_its_snapshot_or_a_moment_to_wait(
    asked: list[tuple[int, float]], limits: tuple[float, float, float]
) -> None:
    capacity, period_s, cost = limits
    bucket = VenueBucket(capacity, period_s)
    shares = [Share(bucket) for _ in range(5)]
    drawn: dict[int, list[int]] = {number: [] for number in range(5)}
    now = START
    for number, pause_s in asked:
        now += int(pause_s * NS_PER_S)
        before = bucket.left(now) * capacity
        if (
            shares[number].take(cost, now) == 0
            and before - cost < min(RESERVE * capacity, capacity - cost) - 1e-6
        ):
            drawn[number].append(now)
    for times in drawn.values():
        assert all(after - before >= SHARE_NS for before, after in pairwise(times))
    again = Share(bucket).take(cost, now)
    assert again == 0 or again <= now + int(cost / (capacity / period_s) * NS_PER_S) + 1
