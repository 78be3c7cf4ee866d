from __future__ import annotations

import pytest

from libs.common.events import BookHealth, BookTop, ContextInput, Subscribed
from libs.common.topics import CONTEXT_INPUTS, L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS
from libs.common.views import MOST_BYTES, MOST_KEYS, BoundedView, OffsetRegressionError, View
from tests.execution_market import a_book_health, a_book_top


def a_view(ends: dict[int, int] | None = None) -> View[Subscribed]:
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    if ends is not None:
        view.begin(ends)
    return view


def a_subscription(venue: str = "binance") -> Subscribed:
    return Subscribed(venue=venue, symbol="BTC-USDT", requested_ts=1)


def test_the_newest_message_of_a_key_wins() -> None:
    view = a_view()
    view.fold(0, 0, b"a", a_subscription("binance"))
    view.fold(0, 1, b"a", a_subscription("kraken"))
    assert view.items == {b"a": a_subscription("kraken")}


def test_a_tombstone_removes_its_key_and_an_unknown_one_is_harmless() -> None:
    view = a_view()
    view.fold(0, 0, b"a", a_subscription())
    view.fold(0, 1, b"a", None)
    view.fold(0, 2, b"never seen", None)
    assert not view.items
    assert view.position(0) == 3


def test_items_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        a_view().items[b"a"] = a_subscription()  # type: ignore[index]  # what the test is about


def test_nothing_is_ready_before_the_ends_are_known() -> None:
    assert not a_view().ready


def test_empty_topics_are_ready_at_once() -> None:
    assert a_view({0: 0, 1: 0}).ready
    assert a_view({}).ready


def test_a_view_is_ready_when_every_partition_has_reached_its_end() -> None:
    view = a_view({0: 2, 1: 1})
    view.fold(0, 0, b"a", a_subscription())
    view.fold(0, 1, b"b", a_subscription())
    assert not view.ready
    view.fold(1, 0, b"c", a_subscription())
    assert view.ready


def test_readiness_stays_while_the_topic_grows() -> None:
    view = a_view({0: 1})
    view.fold(0, 0, b"a", a_subscription())
    assert view.ready
    view.extend(0, 100)
    assert view.lag() == 99
    assert view.ready


def test_holes_of_markers_and_compaction_count_as_read() -> None:
    view = a_view({0: 10})
    view.fold(0, 4, b"a", a_subscription())
    assert view.lag() == 5
    view.advance(0, 10)
    assert view.lag() == 0
    assert view.ready


def test_lag_can_be_measured_against_other_ends() -> None:
    view = a_view({0: 0})
    view.advance(0, 7)
    assert view.lag({0: 10, 3: 4}) == 3 + 4


def test_an_end_never_shrinks() -> None:
    view = a_view({0: 10})
    view.extend(0, 5)
    assert view.lag() == 10


@pytest.mark.parametrize("offset", [0, 4])
def test_an_offset_that_goes_backwards_is_refused_and_changes_nothing(offset: int) -> None:
    view = a_view()
    view.fold(0, 4, b"a", a_subscription())
    with pytest.raises(OffsetRegressionError, match="went back from position 5"):
        view.fold(0, offset, b"a", None)
    with pytest.raises(OffsetRegressionError):
        view.advance(0, offset)
    assert view.items == {b"a": a_subscription()}
    assert view.position(0) == 5


def test_partitions_have_positions_of_their_own() -> None:
    view = a_view()
    view.fold(0, 9, b"a", a_subscription())
    view.fold(1, 0, b"b", a_subscription())
    assert (view.position(0), view.position(1), view.position(2)) == (10, 1, 0)


@pytest.mark.parametrize("by_ns", [-86_400_000_000_000, 7_000_000_000])
def test_a_book_is_as_old_as_it_was_after_the_clock_was_set(by_ns: int) -> None:
    tops: View[BookTop] = View(L2_BOOK_TOPS)
    healths: View[BookHealth] = View(L2_BOOK_HEALTH)
    top, health = a_book_top(), a_book_health()
    tops.fold(0, 0, b"a", top)
    healths.fold(0, 0, b"a", health)
    tops.step_clock(by_ns)
    healths.step_clock(by_ns)
    assert tops.items[b"a"].received_ts == top.received_ts + by_ns
    assert (healths.items[b"a"].ts, healths.items[b"a"].since_ts) == (
        health.ts + by_ns,
        health.since_ts + by_ns,
    )
    assert (tops.items[b"a"].venue_ts, healths.items[b"a"].epoch) == (top.venue_ts, health.epoch)
    view = a_view()
    view.fold(0, 0, b"a", a_subscription())
    view.step_clock(by_ns)
    assert view.items == {b"a": a_subscription()}


def an_input(source: str = "") -> ContextInput:
    return ContextInput(symbol="*", name="vix", value=1.0, source=source, ts=1, valid_until_ts=2)


def test_of_what_anybody_may_write_the_keys_that_were_told_last_are_kept() -> None:
    view: BoundedView[ContextInput] = BoundedView(CONTEXT_INPUTS)
    for n in range(MOST_KEYS):
        view.fold(0, n, b"%d" % n, an_input())
    view.fold(0, MOST_KEYS, b"0", an_input("again"))
    view.fold(0, MOST_KEYS + 1, b"one more", an_input())
    assert len(view.items) == MOST_KEYS
    assert b"1" not in view.items
    assert view.items[b"0"] == an_input("again")
    for n in range(MOST_KEYS):
        view.fold(0, MOST_KEYS + 2 + n, b"%d" % n, None)
    assert view.items.keys() == {b"one more"}


def test_of_what_anybody_may_write_no_more_bytes_are_kept_than_are_bounded() -> None:
    view: BoundedView[ContextInput] = BoundedView(CONTEXT_INPUTS)
    size = MOST_BYTES // 4
    for n in range(9):
        view.fold(0, n, b"%d" % n, an_input("x" * size))
    assert view.items.keys() == {b"6", b"7", b"8"}
    view.fold(0, 9, b"7", an_input())
    view.fold(0, 10, b"9", an_input("x" * size))
    assert view.items.keys() == {b"6", b"7", b"8", b"9"}, "what was replaced counts no more"
    view.fold(0, 11, b"large", an_input("x" * (2 * MOST_BYTES)))
    assert not view.items
