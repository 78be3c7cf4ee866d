"""The bucket against its sentences, with fractions over the whole past."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import given

from libs.common.time_units import NS_PER_S
from libs.common.token_bucket import AddressBuckets, Rate, TokenBucket

PERIODS = st.sampled_from([1, 750_000_000, NS_PER_S, 3_600 * NS_PER_S])
rates = st.builds(Rate, st.integers(1, 10_000), st.integers(1, 20), PERIODS)
# From the same moment to far apart, and all that lies close to a whole token at these rates.
gaps = st.lists(st.one_of(st.just(0), st.integers(1, 10**6), st.integers(1, 30 * NS_PER_S)), max_size=80)


def moments(steps: list[int]) -> list[int]:
    now, found = 1_000, []
    for step in steps:
        now += step
        found.append(now)
    return found


def by_the_curve(rate: Rate, passed: list[int], now: int) -> bool:
    """Whether every window that begins with a passed take, or now, has room for one more."""
    windows = (
        (sum(then >= start for then in passed) + 1, Fraction(now - start, rate.period_ns))
        for start in {*passed, now}
    )
    return all(count <= rate.burst + rate.tokens * periods for count, periods in windows)


@given(rates, gaps)
def test_a_take_passes_exactly_if_no_window_holds_more_than_burst_and_rate_allow(
    rate: Rate, steps: list[int]
) -> None:
    bucket, passed = TokenBucket(rate, 0), list[int]()
    for now in moments(steps):
        allowed = by_the_curve(rate, passed, now)
        assert (bucket.take(now) == 0) == allowed
        if allowed:
            passed.append(now)


@given(rates, gaps)
def test_who_waits_as_told_passes_and_who_comes_one_nanosecond_early_does_not(
    rate: Rate, steps: list[int]
) -> None:
    passed: list[int] = []
    bucket = TokenBucket(rate, 0)
    for now in moments(steps):
        wait = bucket.take(now)
        if wait == 0:
            passed.append(now)
        else:
            assert by_the_curve(rate, passed, now + wait)
            assert not by_the_curve(rate, passed, now + wait - 1)


@given(rates, st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, NS_PER_S)), max_size=60))
def test_no_address_takes_from_another(rate: Rate, asked: list[tuple[str, int]]) -> None:
    together = AddressBuckets(rate, 5)
    alone = {address: TokenBucket(rate, 0) for address in "abcde"}
    for (address, _), now in zip(asked, moments([step for _, step in asked]), strict=True):
        assert together.take(address, now) == alone[address].take(now)


@given(rates, st.integers(1, 8), st.lists(st.integers(0, 40), max_size=200))
def test_no_more_addresses_are_remembered_than_were_allowed_and_those_are_the_last(
    rate: Rate, capacity: int, asked: list[int]
) -> None:
    buckets = AddressBuckets(rate, capacity)
    alone: dict[int, TokenBucket] = {}
    for now, address in enumerate(asked):
        latest = list(dict.fromkeys(reversed(asked[:now])))[:capacity]
        if address not in latest:  # never seen, or forgotten: begins full
            alone[address] = TokenBucket(rate, now)
        assert buckets.take(str(address), now) == alone[address].take(now)
        assert len(buckets) == min(capacity, len(set(asked[: now + 1])))


@given(
    rates, st.lists(st.tuples(st.integers(0, NS_PER_S), st.integers(1, 12), st.integers(0, 9)), max_size=40)
)
def test_a_take_of_several_leaves_what_is_to_be_spared_and_costs_nothing_where_it_does_not_pass(
    rate: Rate, asked: list[tuple[int, int, int]]
) -> None:
    bucket, level, now = TokenBucket(rate, 0), Fraction(rate.burst), 0
    for after, count, spare in asked:
        now += after
        level = min(Fraction(rate.burst), level + Fraction(rate.tokens * after, rate.period_ns))
        wait = bucket.take(now, count, spare)
        assert (wait == 0) == (level >= count + spare)
        if wait == 0:
            level -= count
        else:
            assert level + Fraction(rate.tokens * wait, rate.period_ns) >= count + spare
            assert level + Fraction(rate.tokens * (wait - 1), rate.period_ns) < count + spare
        assert bucket.left(now) == float(level / rate.burst)


@given(rates, gaps, st.integers(-(10**15), 10**15))
def test_a_clock_that_is_set_brings_nothing_back(rate: Rate, steps: list[int], by_ns: int) -> None:
    bucket, set_one = TokenBucket(rate, 0), TokenBucket(rate, 0)
    for now in moments(steps):
        assert set_one.take(now) == bucket.take(now)
    set_one.step_clock(by_ns)
    for now in moments([sum(steps), *steps]):
        assert set_one.take(now + by_ns) == bucket.take(now)


SPENDS = st.lists(
    st.tuples(st.integers(0, 5 * NS_PER_S), st.integers(0, 50_000)), min_size=1, max_size=30
)  # after how many ns, how many bytes


@given(per_s=st.integers(1, 20_000), burst=st.integers(1, 20_000), spends=SPENDS)
def test_a_spend_waits_until_all_that_was_spent_has_come_back_and_not_longer(
    per_s: int, burst: int, spends: list[tuple[int, int]]
) -> None:
    budget, now, level = TokenBucket(Rate(per_s, burst), 0), 0, Fraction(burst)
    for after, count in spends:
        now += after
        level = min(Fraction(burst), level + Fraction(per_s * after, NS_PER_S)) - count
        wait = budget.spend(now, count)
        at_end = level + Fraction(per_s * wait, NS_PER_S)
        assert at_end >= 0
        assert wait == 0 or level + Fraction(per_s * (wait - 1), NS_PER_S) < 0


@given(
    per_s=st.integers(1, 20_000),
    burst=st.integers(1, 20_000),
    pieces=st.lists(st.lists(st.integers(1, 5_000), min_size=1, max_size=8), min_size=1, max_size=5),
)
def test_whoever_waits_until_a_piece_is_paid_for_spends_no_more_than_the_rate_and_the_last_pieces(
    per_s: int, burst: int, pieces: list[list[int]]
) -> None:
    """Several readers, each with one piece under way: what is spent up to t is at most b + r t + the last."""
    budget, spent = TokenBucket(Rate(per_s, burst), 0), 0
    ready = [(0, number) for number in range(len(pieces))]
    last = max(max(each) for each in pieces)
    while ready:
        now, number = min(ready)
        ready.remove((now, number))
        piece = pieces[number].pop(0)
        spent += piece
        assert spent <= burst + Fraction(per_s * now, NS_PER_S) + len(pieces) * last
        wait = budget.spend(now, piece)
        if pieces[number]:
            ready.append((now + wait, number))
