"""Snapshots are asked for one at a time, and waited for no longer than the venue may take."""

from __future__ import annotations

from libs.common.time_units import NS_PER_S
from services.l2.feeds import FEEDS
from services.l2.messages import Fetch
from services.l2.rate_limits import VenueBudget
from services.l2.snapshot_requests import FIRST_DELTA_NS, SnapshotRequests
from tests.l2_world import START


def of(venue: str) -> SnapshotRequests:
    return SnapshotRequests(FEEDS[venue], "BTC-USDT", "http://test", VenueBudget.of(venue), START)


def asked(requests: SnapshotRequests, now: int) -> int | None:
    out = requests.fetch(now)
    if not out:
        return None
    (fetch,) = out
    assert isinstance(fetch, Fetch)
    return fetch.request


def test_a_snapshot_is_asked_for_once_the_stream_has_spoken_and_only_once() -> None:
    requests = of("binance")
    requests.on_opened(START)
    assert asked(requests, START) is None
    requests.on_delta(START + NS_PER_S // 10)
    number = asked(requests, START + NS_PER_S // 10)
    assert number is not None
    requests.on_delta(START + NS_PER_S)
    assert asked(requests, START + NS_PER_S) is None
    assert requests.on_reply(number)
    assert not requests.on_reply(number)


def test_a_stream_that_says_nothing_holds_up_its_snapshot_for_a_second() -> None:
    requests = of("binance")
    requests.on_opened(START)
    assert asked(requests, START + FIRST_DELTA_NS - 1) is None
    assert asked(requests, START + FIRST_DELTA_NS) is not None


def test_an_answer_to_what_was_asked_before_a_new_sync_is_not_awaited() -> None:
    requests = of("binance")
    requests.begin(START, START)
    number = asked(requests, START)
    assert number is not None
    requests.begin(START + NS_PER_S, START + 2 * NS_PER_S)
    assert not requests.on_reply(number)
    assert asked(requests, START + 2 * NS_PER_S) == number + 1


def test_our_own_pause_is_no_delay_of_the_venues() -> None:
    requests = of("binance")
    requests.begin(START, START + 60 * NS_PER_S)
    assert not requests.overdue(START + 75 * NS_PER_S, 15 * NS_PER_S)
    assert requests.overdue(START + 75 * NS_PER_S + 1, 15 * NS_PER_S)


def test_a_venue_that_sends_its_snapshots_is_asked_for_none_and_has_the_same_time() -> None:
    requests = of("kraken")
    requests.on_opened(START)
    requests.on_delta(START)
    assert asked(requests, START + 60 * NS_PER_S) is None
    assert not requests.overdue(START + 15 * NS_PER_S, 15 * NS_PER_S)
    assert requests.overdue(START + 15 * NS_PER_S + 1, 15 * NS_PER_S)
