from __future__ import annotations

from libs.cli.names import BookId
from libs.cli.watch import BookWatch
from libs.common.events import BookState
from tests.unit.libs.cli.builders import EPOCH, NOW, a_delta, a_health, a_keyframe, a_watch

SECOND = 1_000_000_000


def test_deltas_before_the_first_keyframe_make_no_book() -> None:
    watch = BookWatch(BookId("binance", "BTC-USDT"))
    watch.on_message(a_delta(5, bids=((100.0, 1.0),)))
    assert not watch.has_book
    watch.on_health(a_health())
    assert watch.state(NOW)[0] == "WAITING"


def test_the_book_follows_its_deltas() -> None:
    watch = a_watch()
    watch.on_message(a_delta(2, bids=((100.0, 0.0),), asks=((100.25, 4.0),)))
    assert (watch.book.best_bid, watch.book.best_ask) == ((99.5, 2.0), (100.25, 4.0))
    assert watch.state(NOW) == ("LIVE", "consistent")


def test_a_book_of_one_side_that_is_out_of_step_waits_for_a_keyframe_too() -> None:
    watch = a_watch()
    watch.on_health(a_health(BookState.ONE_SIDED, reason="no bids: x"))
    assert watch.state(NOW) == ("ONE_SIDED", "no bids: x")
    watch.on_message(a_delta(9, bids=((100.0, 0.0),)))
    assert watch.state(NOW)[0] == "WAITING"


def test_a_keyframe_that_shows_the_rebuilt_book_confirms_it() -> None:
    watch = a_watch()
    watch.on_message(a_delta(2, asks=((100.25, 4.0),)))
    watch.on_message(a_keyframe(2, asks=((100.25, 4.0), (100.5, 1.0), (101.0, 1.0))))
    assert watch.confirmed == 1
    assert not watch.notice


def test_a_keyframe_that_shows_another_book_replaces_it_and_says_so() -> None:
    watch = a_watch()
    watch.on_message(a_keyframe(1, bids=((98.0, 7.0),)))
    assert watch.book.best_bid == (98.0, 7.0)
    assert watch.confirmed == 0
    assert watch.notice.startswith("rebuilt: ")


def test_a_hole_stops_the_book_until_a_keyframe_heals_it() -> None:
    watch = a_watch()
    watch.on_message(a_delta(3, bids=((100.0, 9.0),)))
    assert not watch.in_step
    assert watch.book.best_bid == (100.0, 1.0)
    assert watch.state(NOW)[0] == "WAITING"
    assert "hole" in watch.notice
    watch.on_message(a_keyframe(4, bids=((97.0, 1.0),)))
    assert watch.state(NOW)[0] == "LIVE"
    assert watch.book.best_bid == (97.0, 1.0)
    assert watch.notice == "healed by the keyframe at seq 4"


def test_an_undecodable_message_stops_the_book_too() -> None:
    watch = a_watch()
    watch.on_undecodable("no MessagePack")
    assert watch.state(NOW)[0] == "WAITING"


def test_a_new_epoch_starts_over_and_is_noticed() -> None:
    watch = a_watch()
    watch.on_message(a_keyframe(1, epoch=EPOCH + 5000, bids=((90.0, 1.0),), reason="resync"))
    assert (watch.book.epoch, watch.book.best_bid) == (EPOCH + 5000, (90.0, 1.0))
    assert watch.notice.startswith(f"new epoch {EPOCH + 5000}")


def test_a_delta_of_a_past_epoch_changes_nothing() -> None:
    watch = a_watch()
    watch.on_message(a_delta(2, epoch=EPOCH - 1, bids=((100.0, 9.0),)))
    assert watch.book.best_bid == (100.0, 1.0)
    assert watch.in_step


def test_a_change_of_state_is_noticed_with_its_reason() -> None:
    watch = a_watch()
    watch.on_health(a_health(BookState.GAP, reason="7 follows 5"))
    assert watch.state(NOW) == ("GAP", "7 follows 5")
    assert watch.notice == "LIVE → GAP: 7 follows 5"


def test_a_health_tombstone_means_dropped_until_a_health_comes_again() -> None:
    watch = a_watch()
    watch.on_health(None)
    assert watch.state(NOW)[0] == "DROPPED"
    watch.on_health(a_health())
    assert watch.state(NOW)[0] == "LIVE"


def test_a_live_book_whose_keeper_is_silent_is_stale() -> None:
    watch = a_watch()
    assert watch.state(NOW + 5 * SECOND)[0] == "LIVE"
    assert watch.state(NOW + 6 * SECOND)[0] == "STALE"


def test_the_rate_counts_the_deltas_of_the_last_five_seconds() -> None:
    watch = a_watch()
    for seq in range(2, 52):
        watch.on_message(a_delta(seq, bids=((100.0, float(seq)),), received_ts=NOW + seq * SECOND // 10))
    assert watch.rate(NOW + 51 * SECOND // 10) == 10.0
    assert watch.rate(NOW + 60 * SECOND) == 0.0


def test_a_changed_level_is_touched_for_a_moment() -> None:
    watch = a_watch()
    watch.on_message(a_delta(2, bids=((99.5, 8.0),), asks=((101.0, 0.0),)))
    assert watch.touched(NOW + SECOND // 10) == {99.5, 101.0}
    assert watch.touched(NOW + SECOND) == frozenset()
