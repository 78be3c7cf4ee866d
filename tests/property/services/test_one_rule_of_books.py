"""Whatever is known of a book, every service uses it exactly if the one rule finds no fault in it."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.events import BookState
from libs.common.live_books import PATIENCE, holds_until, usable
from tests.book_users import USERS, Seen
from tests.execution_market import EPOCH, NOW, a_book_health, a_book_top

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop

S = 1_000_000_000
EDGES_NS = sorted({0, S, *(each for row in PATIENCE.values() for each in row)})
AGES_NS = st.one_of(
    st.builds(lambda edge, off: edge + off, st.sampled_from(EDGES_NS), st.integers(-1, 1)),
    st.integers(-3 * S, 50 * S),
    st.sampled_from((-S, -S - 1)),
)
NUMBERS = st.one_of(
    st.just(2.0), st.just(2.0), st.sampled_from((nan, inf, -inf, 0.0, -1.0, 1e12, 1e15, 1e16))
)
SEQS = st.integers(5, 9)
EPOCHS = st.sampled_from((EPOCH, EPOCH, EPOCH, EPOCH - 1, EPOCH + 1))


@st.composite
def tops(draw: st.DrawFn) -> BookTop:
    top = a_book_top()
    features = top.features
    assert features is not None
    bids, asks = list(top.bids), list(top.asks)
    if draw(st.integers(0, 3)) == 0:
        bids[draw(st.integers(0, 49))] = (59_000.0, draw(NUMBERS))
    if draw(st.integers(0, 3)) == 0:
        asks[draw(st.integers(1, 49))] = (draw(NUMBERS), 2.0)
    empty = draw(st.sampled_from(("", "", "", "", "", "bids", "asks", "features")))
    mid = draw(st.sampled_from((features.mid, features.mid, features.mid, nan, -1.0, inf)))
    return replace(
        top,
        bids=() if empty == "bids" else tuple(bids),
        asks=() if empty == "asks" else tuple(asks),
        features=None if empty == "features" else replace(features, mid=mid),
        epoch=draw(EPOCHS),
        seq=draw(SEQS),
        received_ts=NOW - draw(AGES_NS),
    )


@st.composite
def healths(draw: st.DrawFn) -> BookHealth:
    return a_book_health(
        state=draw(st.one_of(st.just(BookState.LIVE), st.just(BookState.LIVE), st.sampled_from(BookState))),
        epoch=draw(EPOCHS),
        told_seq=draw(SEQS),
        in_doubt=draw(st.booleans()),
        ts=NOW - draw(AGES_NS),
    )


BOOKS = st.builds(Seen, st.one_of(tops(), st.none()), st.one_of(healths(), st.none()), st.just(NOW))


@pytest.mark.parametrize("user", USERS)
@given(seen=BOOKS)
def test_a_user_uses_a_book_exactly_if_the_one_rule_finds_no_fault_at_its_patience(
    user: str, seen: Seen
) -> None:
    use, uses = USERS[user]
    assert uses(seen) == (usable(*seen, PATIENCE[use]) is None)


@given(top=tops(), health=st.one_of(healths(), st.none()), later_ns=AGES_NS)
def test_what_the_rule_says_holds_for_as_long_as_it_is_said_to(
    top: BookTop, health: BookHealth | None, later_ns: int
) -> None:
    for patience in PATIENCE.values():
        until = holds_until(top, health, NOW, patience)
        before, edge = usable(top, health, NOW, patience), until if until < inf else NOW + 100 * S
        for moment in (min(edge, NOW + abs(later_ns)), edge):
            after = usable(top, health, int(moment), patience)
            assert (after and after.state) == (before and before.state)
