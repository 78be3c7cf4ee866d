from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import BookState
from libs.common.live_books import (
    EARLY_NS,
    PATIENCE,
    Patience,
    holds_until,
    missing_side,
    proven_ts,
    usable,
    vouches,
)
from services.l2.rhythm import DOUBT_NS
from tests.execution_market import EPOCH, NOW, a_book_health, a_book_top

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop
    from libs.common.live_books import BookFault

S = 1_000_000_000
PATIENT = Patience.of_seconds(5, 30)
TOP = a_book_top()
MID = TOP.features
assert MID is not None


def top(**changes: Any) -> BookTop:
    return replace(TOP, **changes)


def health(**changes: Any) -> BookHealth:
    return a_book_health(**changes)


def fault(**health: object) -> BookFault | None:
    return usable(TOP, a_book_health(**health), NOW, PATIENT)


USABLE = {
    "fresh": (TOP, health()),
    "its owner spoke 5 s ago": (TOP, health(ts=NOW - 5 * S)),
    "unchanged for ten minutes on a line that lives": (top(received_ts=NOW - 600 * S), health()),
    "in doubt, and proven 30 s ago": (top(received_ts=NOW - 30 * S), health(in_doubt=True)),
    "renewed, its health on its way": (TOP, health(epoch=EPOCH - 1, told_seq=8)),
    "its newest top": (TOP, health(told_seq=7, seq=16)),
    "by a clock that is a second ahead": (top(received_ts=NOW + EARLY_NS), health(ts=NOW + EARLY_NS)),
}
LATE = "the l2 process is silent: its heartbeat is overdue"
FAULTS = {
    "nothing is known": (None, None, "SYNCING", "there is no book"),
    "no top yet": (None, health(), "SYNCING", "there is no book yet: its first top is on its way"),
    "a top that nobody speaks of": (TOP, None, "STALE", LATE),
    "a silent owner": (TOP, health(ts=NOW - 5 * S - 1), "STALE", LATE),
    "a silent owner of no top": (None, health(ts=NOW - 6 * S), "STALE", LATE),
    "a silent owner's last word": (TOP, health(ts=NOW - 6 * S, state=BookState.GAP), "STALE", LATE),
    "an owner ahead": (
        TOP,
        health(ts=NOW + 2 * S),
        "STALE",
        "the book's owner speaks from 2.0 s ahead: a clock is wrong",
    ),
    "a top ahead": (
        top(received_ts=NOW + 2 * S),
        health(),
        "STALE",
        "the book is from 2.0 s ahead: a clock is wrong",
    ),
    "an earlier epoch": (TOP, health(epoch=EPOCH + 1), "STALE", "the book was synchronised anew"),
    "held up": (
        TOP,
        health(told_seq=8),
        "STALE",
        "the book stands at seq 7 here, and 8 was told: its log is held up",
    ),
    "in doubt for 40 s": (
        top(received_ts=NOW - 40 * S),
        health(in_doubt=True),
        "STALE",
        "stale: the book is 40000 ms old, over 30000 ms",
    ),
    "an epoch not yet vouched for": (
        top(received_ts=NOW - 40 * S),
        health(epoch=EPOCH - 1),
        "STALE",
        "stale: the book is 40000 ms old, over 30000 ms",
    ),
    "no asks": (top(asks=()), health(), "ONE_SIDED", missing_side(TOP.bids, ())),
    "no bids": (top(bids=(), features=None), health(), "ONE_SIDED", missing_side((), TOP.asks)),
    "empty": (top(bids=(), asks=(), features=None), health(), "ONE_SIDED", missing_side((), ())),
    "crossed": (
        top(bids=((60_000.5, 1.0),)),
        health(),
        "GAP",
        "crossed: the best bid 60000.5 is not below the best ask 60000.5",
    ),
    "without features": (top(features=None), health(), "GAP", "the book was told without its features"),
    "no mid": (
        top(features=replace(MID, mid=nan)),
        health(),
        "GAP",
        "the book was told without its features",
    ),
    "no price": (
        top(asks=(*TOP.asks, (nan, 1.0))),
        health(),
        "GAP",
        "(nan, 1.0) is no price and size",
    ),
    "no size": (
        top(bids=(*TOP.bids, (1.0, inf))),
        health(),
        "GAP",
        "(1.0, inf) is no price and size",
    ),
    "nothing of a level": (
        top(bids=(*TOP.bids, (1.0, 0.0))),
        health(),
        "GAP",
        "(1.0, 0.0) is no price and size",
    ),
}


@pytest.mark.parametrize(("top", "health"), USABLE.values(), ids=USABLE)
def test_a_proven_book_of_a_speaking_owner_may_be_used(top: BookTop, health: BookHealth) -> None:
    assert usable(top, health, NOW, PATIENT) is None


@pytest.mark.parametrize(("top", "health", "state", "reason"), FAULTS.values(), ids=FAULTS)
def test_what_may_not_be_used_counts_as_a_state_and_says_why(
    top: BookTop | None, health: BookHealth | None, state: str, reason: str
) -> None:
    found = usable(top, health, NOW, PATIENT)
    assert found is not None
    assert (found.state, found.reason, str(found)) == (state, reason, reason)


@pytest.mark.parametrize("state", [each for each in BookState if each is not BookState.LIVE])
def test_a_book_that_its_owner_does_not_call_live_is_in_its_words(state: BookState) -> None:
    found = fault(state=state, reason="as the venue says")
    assert found is not None
    assert (found.state, found.reason) == (state, "as the venue says")
    assert str(found) == f"the book is {state}: as the venue says"


def test_of_several_faults_the_one_that_makes_the_others_moot_is_named() -> None:
    assert str(usable(top(asks=()), health(epoch=EPOCH + 1), NOW, PATIENT)).startswith("no asks")
    assert str(usable(None, health(state=BookState.REFUSED, reason="x"), NOW, PATIENT)).startswith(
        "the book is"
    )


@pytest.mark.parametrize("back_s", [2, 60, 3600])
def test_a_book_from_before_the_clock_stepped_back_is_not_fresh(back_s: int) -> None:
    now = NOW - back_s * S
    assert "a clock is wrong" in str(usable(TOP, health(), now, PATIENT))
    assert "a clock is wrong" in str(usable(TOP, health(ts=now), now, PATIENT))


def test_a_quiet_live_book_was_proven_by_its_owners_last_word() -> None:
    old = top(received_ts=NOW - 600 * S)
    assert proven_ts(old, health(ts=NOW - S)) == NOW - S
    assert proven_ts(TOP, health(ts=NOW - S)) == NOW
    assert proven_ts(old, health(epoch=EPOCH + 1)) == NOW - 600 * S


@pytest.mark.parametrize("state", BookState)
def test_a_heartbeat_vouches_for_a_synced_book_that_is_not_in_doubt(state: BookState) -> None:
    assert vouches(health(state=state), EPOCH) == (state in {"LIVE", "ONE_SIDED"})
    assert not vouches(health(state=state), None)
    assert not vouches(health(state=state, in_doubt=True), EPOCH)


def test_an_owner_is_silent_for_every_use_after_the_same_five_seconds() -> None:
    assert {each.silence_ns for each in PATIENCE.values()} == {5 * S}


def test_work_under_way_marks_and_pages_outlast_a_doubt_and_scores_and_signals_do_not() -> None:
    lasting = {use for use, patience in PATIENCE.items() if patience.unproven_ns >= DOUBT_NS}
    assert lasting == {"trading", "marking", "showing"}
    assert PATIENCE["showing"] == PATIENCE["trading"], "a page says LIVE of what an order is filled on"


def test_time_alone_changes_the_answer_when_a_stamp_is_no_more_ahead_and_when_patience_ends() -> None:
    assert holds_until(TOP, None, NOW, PATIENT) == inf
    assert holds_until(TOP, health(), NOW, PATIENT) == NOW + 5 * S
    assert holds_until(top(received_ts=NOW - 28 * S), health(in_doubt=True), NOW, PATIENT) == NOW + 2 * S
    assert holds_until(TOP, health(ts=NOW + 3 * S), NOW, PATIENT) == NOW + 2 * S - 1
    assert holds_until(top(received_ts=NOW + 3 * S), health(), NOW, PATIENT) == NOW + 2 * S - 1
    assert holds_until(top(received_ts=NOW - 60 * S), health(ts=NOW - 60 * S), NOW, PATIENT) == inf
