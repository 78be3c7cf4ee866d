"""The bucket against the arrival curve that defines it, with fractions over the whole past."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import given

from libs.common.time_units import NS_PER_S
from services.gateway.http.token_bucket import AddressBuckets, Rate, TokenBucket

rates = st.builds(Rate, st.integers(1, 10_000), st.integers(1, 20))
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
        (sum(then >= start for then in passed) + 1, Fraction(now - start, NS_PER_S))
        for start in {*passed, now}
    )
    return all(count <= rate.burst + rate.per_s * length_s for count, length_s in windows)


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
