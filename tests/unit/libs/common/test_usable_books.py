from __future__ import annotations

import pytest
from msgspec.structs import replace

from libs.common.events import BookState
from libs.common.usable_books import EARLY_NS, book_age_ns, book_fault, missing_side
from tests.execution_market import NOW, a_book_health, a_book_top

S = 1_000_000_000
SILENCE = 5 * S


def fault(now: int = NOW, top: dict[str, int] | None = None, **health: object) -> str | None:
    return book_fault(a_book_top(**(top or {})), a_book_health(**health), now, SILENCE)


def test_a_live_book_of_a_speaking_owner_may_be_used() -> None:
    assert fault() is None
    assert fault(NOW + SILENCE) is None
    assert fault(NOW - EARLY_NS) is None, "clocks of machines differ"


@pytest.mark.parametrize("back_s", [2, 60, 3600])
def test_a_book_from_before_the_clock_stepped_back_is_not_fresh(back_s: int) -> None:
    assert "a clock is wrong" in str(fault(NOW - back_s * S))
    assert "a clock is wrong" in str(fault(NOW - back_s * S, ts=NOW - back_s * S))


def test_a_top_older_than_what_its_owner_had_told_is_held_up() -> None:
    seq = a_book_top().seq
    assert fault(told_seq=seq, seq=seq + 9) is None, "what came since may be on its way"
    assert "its log is held up" in str(fault(told_seq=seq + 1, seq=seq + 9))


def test_what_is_not_live_silent_of_another_epoch_or_absent_is_named() -> None:
    assert fault(state=BookState.GAP, reason="a hole") == "the book is GAP: a hole"
    assert "silent" in str(fault(NOW + SILENCE + 1))
    assert "synchronised anew" in str(fault(epoch=a_book_top().epoch + 1))
    assert book_fault(None, a_book_health(), NOW, SILENCE) == "there is no book"
    assert book_fault(a_book_top(), None, NOW, SILENCE) == "there is no book"


def test_a_renewed_book_whose_health_is_on_its_way_is_usable() -> None:
    top = a_book_top()
    assert fault(epoch=top.epoch - 1) is None
    assert fault(epoch=top.epoch - 1, told_seq=top.seq + 1) is None, "a seq is of its epoch"


def test_a_top_of_an_epoch_that_its_owner_has_not_spoken_of_is_as_old_as_its_last_message() -> None:
    top = a_book_top(received_ts=NOW - 600 * S)
    health = a_book_health(ts=NOW)
    assert book_age_ns(top, health, NOW) == 0
    assert book_age_ns(replace(top, epoch=health.epoch + 1), health, NOW) == 600 * S


@pytest.mark.parametrize(("bids", "asks"), [((), ((2.0, 1.0),)), (((1.0, 1.0),), ()), ((), ())])
def test_a_book_with_an_empty_side_is_no_market_whatever_its_health_says(
    bids: tuple[tuple[float, float], ...], asks: tuple[tuple[float, float], ...]
) -> None:
    top = replace(a_book_top(), bids=bids, asks=asks, features=None)
    said = book_fault(top, a_book_health(), NOW, SILENCE)
    assert said == missing_side(bids, asks)
    assert said is not None
    assert said.startswith("no ")
    assert ("no bids" in said, "no asks" in said) == (not bids, not asks)


def test_a_quiet_live_book_is_as_old_as_its_owners_last_word() -> None:
    top = a_book_top(received_ts=NOW - 600 * S)
    assert book_age_ns(top, a_book_health(ts=NOW - S), NOW) == S
    assert book_age_ns(a_book_top(received_ts=NOW), a_book_health(ts=NOW - S), NOW) == 0
    assert book_age_ns(top, None, NOW) == 600 * S


@pytest.mark.parametrize(
    "health", [{"in_doubt": True}, *({"state": each} for each in BookState if each != "LIVE")]
)
def test_a_heartbeat_proves_no_book_that_is_in_doubt_or_not_live(health: dict[str, object]) -> None:
    top = a_book_top(received_ts=NOW - 600 * S)
    assert book_age_ns(top, a_book_health(ts=NOW, **health), NOW) == 600 * S
