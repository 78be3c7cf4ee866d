"""The checker of the chaos run must notice every broken promise of the topic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.replica import Replica, fingerprint

BIDS = [[100.0, 1.0], [99.0, 2.0]]
ASKS = [[101.0, 3.0], [102.0, 4.0]]


def a_snapshot(**fields: Any) -> dict[str, Any]:
    event = {"type": "BookSnapshot", "epoch": 10, "seq": 1, "venue_seq": 70, "reason": "resync", "owner": "a"}
    return {**event, "bids": BIDS, "asks": ASKS, **fields}


def a_delta(seq: int, **fields: Any) -> dict[str, Any]:
    event = {"type": "BookDelta", "epoch": 10, "seq": seq, "venue_seq": 69 + seq}
    return {**event, "bids": [], "asks": [], **fields}


def a_replica(*events: dict[str, Any]) -> Replica:
    replica = Replica("binance:BTC-USDT")
    for at_s, event in enumerate(events):
        replica.take(event, float(at_s))
    return replica


def test_deltas_give_the_book_its_fingerprint_and_its_place_by_id() -> None:
    changed = a_delta(2, bids=[[100.0, 0.0], [99.5, 1.5]], asks=[[101.0, 2.0]])
    replica = a_replica(a_snapshot(), changed)
    assert replica.broken == []
    assert replica.top(1) == ([[99.5, 1.5]], [[101.0, 2.0]])
    expected = fingerprint([[99.5, 1.5], [99.0, 2.0]], [[102.0, 4.0], [101.0, 2.0]])
    assert replica.fingerprint == expected
    moment = replica.at_id(71)
    assert moment is not None
    assert (moment.epoch, moment.seq, moment.fingerprint) == (10, 2, expected)
    assert replica.at_fingerprint(fingerprint(BIDS, ASKS)) is not None


def test_a_side_counts_in_the_fingerprint() -> None:
    assert fingerprint(BIDS, ASKS) != fingerprint(ASKS, BIDS)


def test_what_is_long_past_is_forgotten() -> None:
    replica = a_replica(a_snapshot())
    replica.take(a_delta(2, bids=[[98.0, 1.0]]), 1_000.0)
    assert replica.at_id(70) is None
    assert replica.at_fingerprint(fingerprint(BIDS, ASKS)) is None


def test_an_equal_keyframe_and_a_later_epoch_are_no_complaint() -> None:
    replica = a_replica(
        a_snapshot(),
        a_snapshot(reason="keyframe"),
        a_snapshot(epoch=11, owner="b"),
        a_delta(2, epoch=10),
    )
    assert replica.broken == []
    assert (replica.keyframes_equal, replica.epochs, replica.late) == (1, 2, 1)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (a_delta(3), "seq 3 follows seq 1"),
        (a_delta(1), "seq 1 follows seq 1"),
        (a_delta(2, epoch=11), "epoch 11 begins with a delta"),
        (a_delta(2, bids=[[101.0, 1.0]]), "crossed: bid 101.0"),
        (a_delta(2, bids=[[100.0, 0.0]], asks=[[99.0, 1.0]]), "crossed: bid 99.0"),
        (a_snapshot(reason="keyframe", seq=2), "a keyframe of seq 2 at seq 1"),
        (a_snapshot(reason="keyframe", bids=[[100.0, 1.0]]), "is not the book that its deltas gave"),
        (a_snapshot(reason="keyframe", owner="b"), "published by a and by b"),
        (a_snapshot(reason="keyframe", epoch=11), "a keyframe keyframe of epoch 11"),
        (a_snapshot(owner="b"), "a resync keyframe of epoch 10 in epoch 10"),
        (a_snapshot(epoch=9), "epoch 9 begins after epoch 10"),
    ],
)
def test_a_broken_promise_is_noted(event: dict[str, Any], complaint: str) -> None:
    replica = a_replica(a_snapshot(), event)
    assert len(replica.broken) == 1
    assert complaint in replica.broken[0]
