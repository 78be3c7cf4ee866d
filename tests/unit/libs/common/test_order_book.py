from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import pytest

from libs.common.events import BookDelta, BookSnapshot
from libs.common.order_book import Depth, KeyframeMismatchError, OrderBook, SequenceGapError

if TYPE_CHECKING:
    from libs.common.events import Level

BIDS: tuple[Level, ...] = ((99.0, 1.0), (98.0, 2.0), (97.0, 4.0))
ASKS: tuple[Level, ...] = ((101.0, 1.5), (102.0, 2.5), (104.0, 4.0))


def a_book(bids: tuple[Level, ...] = BIDS, asks: tuple[Level, ...] = ASKS) -> OrderBook:
    book = OrderBook()
    book.load(bids, asks)
    return book


def a_keyframe(
    seq: int = 1,
    epoch: int = 5,
    bids: tuple[Level, ...] = BIDS,
    asks: tuple[Level, ...] = ASKS,
    reason: Literal["resync", "keyframe"] = "resync",
) -> BookSnapshot:
    return BookSnapshot(
        venue="binance",
        symbol="BTC-USDT",
        epoch=epoch,
        seq=seq,
        venue_seq=100 + seq,
        bids=bids,
        asks=asks,
        venue_ts=None,
        received_ts=1,
        reason=reason,
    )


def a_delta(
    seq: int, epoch: int = 5, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = ()
) -> BookDelta:
    return BookDelta(
        venue="binance",
        symbol="BTC-USDT",
        epoch=epoch,
        seq=seq,
        venue_seq=100 + seq,
        bids=bids,
        asks=asks,
        venue_ts=None,
        received_ts=1,
    )


def test_levels_come_best_first_whatever_their_order_was() -> None:
    book = a_book(bids=BIDS[::-1], asks=(ASKS[1], ASKS[2], ASKS[0]))
    assert book.bids() == BIDS
    assert book.asks() == ASKS
    assert book.best_bid == BIDS[0]
    assert book.best_ask == ASKS[0]
    assert book.mid == 100.0


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 50])
def test_the_best_n_are_the_first_n_of_all(n: int) -> None:
    book = a_book()
    assert book.bids(n) == BIDS[:n]
    assert book.asks(n) == ASKS[:n]


def test_an_empty_side_has_no_best_and_no_mid() -> None:
    book = a_book(bids=())
    assert book.best_bid is None
    assert book.mid is None
    assert not book.crossed
    assert book.depth_within("ask", 10.0) is None


def test_a_size_replaces_and_zero_deletes() -> None:
    book = a_book()
    assert book.apply([(99.0, 7.0), (98.0, 0.0), (99.5, 0.5)], [(101.0, 0.0)]) == 0
    assert book.bids() == ((99.5, 0.5), (99.0, 7.0), (97.0, 4.0))
    assert book.asks() == ASKS[1:]


def test_a_delete_of_an_unknown_level_is_counted_and_changes_nothing() -> None:
    book = a_book()
    assert book.apply([(50.0, 0.0)], [(150.0, 0.0), (101.0, 0.0), (101.0, 0.0)]) == 3
    assert book.bids() == BIDS
    assert book.asks() == ASKS[1:]


def test_loading_forgets_what_was_there() -> None:
    book = a_book()
    book.load([(10.0, 1.0), (10.0, 2.0), (9.0, 0.0)], [])
    assert book.bids() == ((10.0, 2.0),)
    assert book.asks() == ()
    assert book.counts() == (1, 0)


@pytest.mark.parametrize(("bid", "crossed"), [(100.99, False), (101.0, True), (101.5, True)])
def test_a_bid_that_reaches_the_ask_crosses(bid: float, crossed: bool) -> None:  # noqa: FBT001 -- a table's column
    book = a_book()
    book.apply([(bid, 1.0)], [])
    assert book.crossed is crossed


def test_truncating_returns_what_fell_out_as_deletes() -> None:
    book, reader = a_book(), a_book()
    gone_bids, gone_asks = book.truncate(1)
    assert set(gone_bids) == {(98.0, 0.0), (97.0, 0.0)}
    assert set(gone_asks) == {(102.0, 0.0), (104.0, 0.0)}
    assert reader.apply(gone_bids, gone_asks) == 0
    assert (reader.bids(), reader.asks()) == (book.bids(), book.asks())
    assert book.truncate(1) == ((), ())


def test_depth_ends_at_the_band_and_says_when_the_known_book_does() -> None:
    book = a_book()  # mid 100
    assert book.depth_within("bid", 100.0) == Depth(1.0, truncated=False)
    assert book.depth_within("bid", 200.0) == Depth(3.0, truncated=False)
    assert book.depth_within("ask", 400.0) == Depth(8.0, truncated=True)
    assert book.depth_within("ask", 50.0) == Depth(0.0, truncated=False)


def test_what_is_far_and_large_leaves_no_trace_in_the_depth() -> None:
    book = OrderBook()
    book.load([(1.0, 1e15), *((100.0 - at / 100, 0.1) for at in range(9))], [(101.0, 1.0)])
    assert book.depth_within("bid", 1000.0) == Depth(math.fsum([0.1] * 9), truncated=False)


def test_a_reader_rebuilds_the_book_from_a_keyframe_and_its_deltas() -> None:
    book = OrderBook()
    assert book.follow(a_keyframe(seq=4))
    assert book.follow(a_delta(5, bids=((99.5, 2.0),)))
    assert book.follow(a_delta(6, asks=((101.0, 0.0),)))
    assert (book.epoch, book.seq, book.venue_seq) == (5, 6, 106)
    assert book.best_bid == (99.5, 2.0)
    assert book.best_ask == ASKS[1]


def test_deltas_before_the_first_keyframe_are_ignored() -> None:
    book = OrderBook()
    assert not book.follow(a_delta(9, bids=((1.0, 1.0),)))
    assert book.counts() == (0, 0)
    assert book.epoch is None


def test_older_messages_are_ignored() -> None:
    book = OrderBook()
    book.follow(a_keyframe(seq=4))
    changes: tuple[Level, ...] = ((99.0, 0.0),)
    for old in (a_delta(4, bids=changes), a_delta(3, bids=changes), a_delta(9, epoch=4, bids=changes)):
        assert not book.follow(old)
    assert not book.follow(a_keyframe(seq=3, bids=()))
    assert not book.follow(a_keyframe(seq=99, epoch=4, bids=()))
    assert book.bids() == BIDS
    assert book.seq == 4


def test_a_hole_raises_with_both_numbers_and_leaves_the_book_alone() -> None:
    book = OrderBook()
    book.follow(a_keyframe(seq=4))
    with pytest.raises(SequenceGapError, match=r"seq 4 of epoch 5.*seq 6 of epoch 5"):
        book.follow(a_delta(6, bids=((99.0, 0.0),)))
    assert book.bids() == BIDS
    assert book.follow(a_delta(5))


def test_a_delta_of_an_epoch_whose_keyframe_was_missed_is_a_hole() -> None:
    book = OrderBook()
    book.follow(a_keyframe(seq=4))
    with pytest.raises(SequenceGapError, match="epoch 6"):
        book.follow(a_delta(5, epoch=6))


def test_a_later_keyframe_heals_a_hole_and_a_new_epoch_replaces_the_book() -> None:
    book = OrderBook()
    book.follow(a_keyframe(seq=4))
    assert book.follow(a_keyframe(seq=9, bids=BIDS[:1], reason="keyframe"))
    assert (book.seq, book.bids()) == (9, BIDS[:1])
    assert book.follow(a_keyframe(seq=1, epoch=6))
    assert (book.epoch, book.seq, book.bids()) == (6, 1, BIDS)


def test_a_repeated_keyframe_confirms_the_book_or_exposes_it() -> None:
    book = OrderBook()
    book.follow(a_keyframe(seq=4))
    assert book.follow(a_keyframe(seq=4, reason="keyframe"))
    with pytest.raises(KeyframeMismatchError, match="seq 4 of epoch 5"):
        book.follow(a_keyframe(seq=4, asks=ASKS[:2], reason="keyframe"))
    assert book.asks() == ASKS


def test_the_room_is_the_way_of_the_mid_to_the_nearer_edge() -> None:
    book = OrderBook()
    book.load([(99.0, 1.0), (90.0, 1.0)], [(101.0, 1.0), (140.0, 1.0)])
    assert book.room_bps == math.inf
    book.known = (90.0, 140.0)
    assert book.room_bps == pytest.approx(1_000)
    book.known = (-math.inf, 101.0)
    assert book.room_bps == pytest.approx(100)
    book.apply([], [(101.0, 0.0)])
    assert book.room_bps == -math.inf, "a better ask may stand between the edge and 140"
    book.load([(99.0, 1.0)], [(101.0, 1.0)])
    assert book.room_bps == math.inf, "another book has its own edges"


def test_a_side_that_is_empty_before_its_edge_leaves_no_room() -> None:
    book = OrderBook()
    book.load([(99.0, 1.0)], [(101.0, 1.0)])
    book.known = (99.0, math.inf)
    book.apply([(99.0, 0.0)], [])
    assert book.room_bps == -math.inf
    book.load([], [(101.0, 1.0)])
    assert book.room_bps == math.inf
