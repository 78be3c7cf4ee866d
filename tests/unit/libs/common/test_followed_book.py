"""`FollowedBook` says of each message what it did, and gives its book to nobody while it may be wrong."""

from __future__ import annotations

from libs.common.events import BookState
from libs.common.followed_book import FollowedBook, Step
from libs.common.live_books import PATIENCE
from libs.common.time_units import NS_PER_S
from tests.unit.libs.cli.builders import ASKS, BIDS, EPOCH, NOW, a_delta, a_health, a_keyframe

TRADING = PATIENCE["trading"]


def reason(followed: FollowedBook, now: int = NOW) -> str:
    fault = followed.fault(now, TRADING)
    return "" if fault is None else fault.reason


def a_live_book(seq: int = 1) -> FollowedBook:
    followed = FollowedBook()
    followed.follow(a_keyframe(seq))
    followed.hear(a_health())
    assert reason(followed) == ""
    return followed


def test_each_message_is_what_it_did_to_the_book() -> None:
    followed = FollowedBook()
    steps = [
        followed.follow(message)
        for message in (
            a_delta(1),
            a_keyframe(1),
            a_delta(2, bids=((99.5, 0.0),)),
            a_keyframe(2, bids=(BIDS[0], BIDS[2])),
            a_delta(2),
            a_delta(4),
            a_delta(5),
            a_keyframe(5),
            a_keyframe(5, bids=BIDS[:1]),
            a_keyframe(7),
            a_keyframe(1, epoch=EPOCH + 1),
            a_keyframe(8),
        )
    ]
    assert steps == [
        Step.OLD,
        Step.RENEWED,
        Step.FOLLOWED,
        Step.CONFIRMED,
        Step.OLD,
        Step.HOLE,
        Step.HOLE,
        Step.HEALED,
        Step.REBUILT,
        Step.FOLLOWED,
        Step.RENEWED,
        Step.OLD,
    ]
    assert (followed.book.epoch, followed.book.seq) == (EPOCH + 1, 1)
    assert (followed.book.bids(), followed.book.asks()) == (BIDS, ASKS)


def test_a_book_is_faulty_from_a_hole_to_the_next_keyframe_and_the_first_hole_is_told() -> None:
    followed = a_live_book()
    followed.follow(a_delta(3))
    followed.follow(a_delta(7))
    assert "the delta is seq 3" in reason(followed)
    assert followed.fault(NOW, TRADING) == (BookState.GAP, reason(followed), False)
    followed.follow(a_keyframe(7))
    assert reason(followed) == ""


def test_a_message_that_cannot_be_read_is_a_hole_though_the_next_one_follows() -> None:
    followed = a_live_book()
    followed.lose("l2.book-deltas.v1/0/7 cannot be read")
    assert followed.follow(a_delta(2)) is Step.FOLLOWED
    assert reason(followed) == "l2.book-deltas.v1/0/7 cannot be read; its next keyframe heals it, within 10 s"


def test_what_its_owner_says_goes_before_what_is_seen_here() -> None:
    followed = a_live_book()
    followed.follow(a_delta(3))
    followed.hear(a_health(BookState.CHECKSUM_FAILED, reason="line 4 differs"))
    assert reason(followed) == "line 4 differs"
    assert "silent" in reason(followed, NOW + 6 * NS_PER_S)
    followed.hear(None)
    assert (followed.dropped, reason(followed)) == (True, "nobody subscribes to this book")


def test_before_its_first_keyframe_and_before_any_word_of_its_owner_it_is_awaited() -> None:
    followed = FollowedBook()
    assert reason(followed) == "there is no book"
    followed.hear(a_health())
    assert reason(followed) == "its first keyframe is on its way, within 10 s"
    followed.follow(a_keyframe(1))
    assert reason(followed) == ""


def test_a_book_that_crosses_or_lacks_a_side_is_no_market() -> None:
    followed = a_live_book()
    followed.follow(a_delta(2, bids=((100.5, 1.0),)))
    assert reason(followed).startswith("crossed: the best bid 100.5")
    followed.follow(a_delta(3, bids=tuple((price, 0.0) for price, _ in (*BIDS, (100.5, 1.0)))))
    assert reason(followed) == "no bids: nobody to sell to, and no price"
