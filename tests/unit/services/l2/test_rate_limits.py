import pytest

from libs.common.time_units import NS_PER_S
from libs.common.venues import VENUES
from services.l2.feeds import FEEDS
from services.l2.rate_limits import Share, VenueBucket, VenueBudget


def test_a_spent_budget_names_the_moment_at_which_it_suffices_again() -> None:
    bucket = VenueBucket(capacity=10, period_s=5)
    assert [bucket.take(4, 0) for _ in range(2)] == [0, 0]
    again = bucket.take(4, 0)  # 2 are left, 2 more take 1 s
    assert again == NS_PER_S
    assert bucket.take(4, again) == 0
    assert bucket.take(1, again) > again


def test_no_second_of_any_length_grants_more_than_the_capacity() -> None:
    bucket = VenueBucket(capacity=10, period_s=5)
    assert bucket.take(10, 1_000_000 * NS_PER_S) == 0
    assert bucket.take(1, 1_000_000 * NS_PER_S) > 0


def test_a_blocked_budget_grants_nothing_before_its_time() -> None:
    bucket = VenueBucket(capacity=10, period_s=5)
    bucket.block(7 * NS_PER_S)
    bucket.block(3 * NS_PER_S)
    assert bucket.take(1, 6 * NS_PER_S) == 7 * NS_PER_S
    assert bucket.take(1, 7 * NS_PER_S) == 0


def test_every_feed_has_limits_that_grant_a_snapshot_and_a_page_of_candles() -> None:
    assert set(FEEDS) == set(VENUES)
    for venue in FEEDS:
        budget = VenueBudget.of(venue)
        assert budget.rest.take(budget.limits.snapshot_cost, 0) == 0
        assert budget.rest.take(budget.limits.candles_cost, 0) == 0
        assert budget.sockets.take(1, 0) == 0


def test_what_is_left_of_a_budget_refills_with_time_and_is_nothing_while_blocked() -> None:
    bucket = VenueBucket(capacity=10, period_s=5)
    assert bucket.left(0) == 1.0
    assert bucket.take(8, 0) == 0
    assert bucket.left(0) == 0.2
    assert bucket.left(NS_PER_S) == 0.4
    assert bucket.left(60 * NS_PER_S) == 1.0
    bucket.block(9 * NS_PER_S)
    assert bucket.left(8 * NS_PER_S) == 0.0
    assert bucket.left(9 * NS_PER_S) == 1.0


@pytest.mark.parametrize("by_ns", [-86_400 * NS_PER_S, -600_000_000, 600_000_000, 86_400 * NS_PER_S])
def test_a_clock_that_is_set_refills_nothing_and_ends_no_ban(by_ns: int) -> None:
    now = 1_800_000_000 * NS_PER_S
    budget = VenueBudget.of("binance")
    share = Share(budget.rest)
    while share.take(250, now) == 0:
        pass
    left = budget.rest.left(now)
    assert left < 0.5
    due = share.take(250, now)
    budget.step_clock(by_ns)
    share.step_clock(by_ns)
    assert budget.rest.left(now + by_ns) == left
    assert share.take(250, now + by_ns) == due + by_ns
    budget.rest.block(now + by_ns + 120 * NS_PER_S)
    budget.step_clock(-by_ns)
    assert budget.rest.take(1, now + 119 * NS_PER_S) == now + 120 * NS_PER_S
    assert budget.rest.take(1, now + 120 * NS_PER_S) == 0
