"""What no book may ever say is seen, once."""

from __future__ import annotations

from typing import Any

from libs.common.time_units import NS_PER_S
from tests.chaos.follower import Follower
from tests.chaos.pending import Pending
from tests.chaos.schedule import BLOCKED, Action
from tests.chaos.watch import AFTER_NS, Watch

BOOK = ("kraken", "BTC-USDT")
NOW = 1_000 * NS_PER_S


def a_follower(state: str, bids: list[list[float]], said_s: float) -> Follower:
    follower = Follower("nowhere")
    ts = NOW + int(said_s * NS_PER_S)
    health: dict[str, Any] = {"epoch": 1, "owner": "a", "reason": "451", "resyncs": 0, "since_ts": NOW}
    follower.health(BOOK).take({**health, "state": state, "ts": ts})
    snapshot = {
        "type": "BookSnapshot",
        "epoch": 1,
        "seq": 1,
        "venue_seq": 1,
        "reason": "resync",
        "owner": "a",
    }
    follower.replica(BOOK).take({**snapshot, "bids": bids, "asks": [[2.0, 1.0]]}, 0.0)
    return follower


def test_a_book_that_is_live_without_a_side_is_seen_once() -> None:
    follower = a_follower("LIVE", [], 0.0)
    watch = Watch(follower, [BOOK])
    assert watch.look([], NOW) == []  # it has a moment to notice
    follower.healths = a_follower("LIVE", [], 2.0).healths
    assert watch.look([], NOW + 2 * NS_PER_S) == ["kraken:BTC-USDT is LIVE without bids in epoch 1"]
    assert watch.look([], NOW + 2 * NS_PER_S) == []


def test_a_side_that_is_read_after_the_state_is_no_complaint() -> None:
    follower = a_follower("ONE_SIDED", [], 0.0)
    watch = Watch(follower, [BOOK])
    assert watch.look([], NOW) == []
    live = a_follower("LIVE", [], 5.0)
    follower.healths = live.healths
    assert watch.look([], NOW + 5 * NS_PER_S) == []


def test_one_that_says_so_or_has_both_is_no_complaint() -> None:
    for follower in (a_follower("ONE_SIDED", [], 2.0), a_follower("LIVE", [[1.0, 1.0]], 2.0)):
        watch = Watch(follower, [BOOK])
        assert [watch.look([], NOW + second * NS_PER_S) for second in (0, 2)] == [[], []]


def test_a_book_is_blocked_only_where_its_venue_blocks() -> None:
    follower = a_follower("BLOCKED", [[1.0, 1.0]], 0.0)
    block = Pending(Action(at_s=0.0, kind=BLOCKED, books=(BOOK,)), NOW, (BOOK,))
    watch = Watch(follower, [BOOK])
    assert watch.look([block], NOW) == []
    assert watch.look([], NOW + AFTER_NS) == []
    assert watch.look([], NOW + AFTER_NS + 1) == [
        "kraken:BTC-USDT is BLOCKED (451), and kraken blocks nobody"
    ]
    other = Watch(follower, [BOOK])
    assert other.look([], NOW) == ["kraken:BTC-USDT is BLOCKED (451), and kraken blocks nobody"]
