"""When a fault counts as healed, and when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.time_units import NS_PER_S
from tests.chaos.follower import Health
from tests.chaos.pending import NOTICE_NS, PATIENCE_NS, UNMET_NS, Pending
from tests.chaos.schedule import BROKER_KILLED, L2_KILLED, Action, Request

BOOK = ("binance", "BTC-USDT")
BEGAN = 1_000 * NS_PER_S


def a_fault(kind: str = "drop", **fields: Any) -> Pending:
    request: Request = {"kind": kind, "once": True}
    action = Action(at_s=0.0, kind=kind, books=(BOOK,), requests=(request,))
    return Pending(action, BEGAN, (BOOK,), **fields)


def a_health(*said: tuple[str, float, float]) -> Health:
    """Return the health after (state, since, said), seconds after the fault."""
    health = Health()
    for state, since_s, ts_s in said:
        event = {"state": state, "epoch": 1, "owner": "a", "reason": "", "resyncs": 0}
        since_ts, ts = (BEGAN + int(seconds * NS_PER_S) for seconds in (since_s, ts_s))
        health.take({**event, "since_ts": since_ts, "ts": ts})
    return health


def look(pending: Pending, health: Health) -> None:
    pending.look(BOOK, health, health.ts)


def test_a_book_that_left_live_and_came_back_is_healed() -> None:
    pending = a_fault()
    pending.heed(1, is_over=True, now=BEGAN + NS_PER_S)
    look(pending, a_health(("GAP", 0.1, 0.1), ("SYNCING", 0.2, 0.2)))
    assert not pending.is_settled
    look(pending, a_health(("GAP", 0.1, 0.1), ("SYNCING", 0.2, 0.2), ("LIVE", 0.7, 2.7)))
    assert pending.is_settled
    assert pending.detected == {"GAP"}
    assert pending.healed_s == [pytest.approx(0.7)]
    assert (pending.unharmed, pending.failed) == (0, [])


def test_live_is_believed_only_after_the_time_to_notice() -> None:
    pending = a_fault()
    pending.heed(1, is_over=True, now=BEGAN + NS_PER_S)
    look(pending, a_health(("LIVE", -5.0, 0.5 * NOTICE_NS / NS_PER_S)))
    assert not pending.is_settled
    look(pending, a_health(("LIVE", -5.0, 1.1 * NOTICE_NS / NS_PER_S)))
    assert pending.is_settled
    assert pending.unharmed == 1


def test_a_book_that_does_not_come_back_fails() -> None:
    pending = a_fault()
    pending.heed(1, is_over=True, now=BEGAN + NS_PER_S)
    pending.look(BOOK, a_health(("SYNCING", 0.2, 61.0)), BEGAN + PATIENCE_NS + NS_PER_S)
    assert pending.is_settled
    assert "binance:BTC-USDT is SYNCING" in pending.failed[0]


def test_a_live_that_nobody_repeats_is_no_live() -> None:
    pending = a_fault(L2_KILLED, must_leave=frozenset({BOOK}), over_ts=BEGAN, injected=1)
    pending.look(BOOK, a_health(("LIVE", 1.0, 2.0)), BEGAN + 30 * NS_PER_S)
    assert not pending.is_settled


def test_a_book_whose_owner_was_killed_cannot_have_stayed_live() -> None:
    pending = a_fault(L2_KILLED, must_leave=frozenset({BOOK}), over_ts=BEGAN, injected=1)
    look(pending, a_health(("LIVE", -5.0, 3.0)))
    assert not pending.is_settled
    look(pending, a_health(("LIVE", 4.0, 6.0)))
    assert pending.healed_s == [pytest.approx(4.0)]


def test_after_a_broker_a_book_is_live_again_when_that_is_said_on_kafka() -> None:
    pending = a_fault(BROKER_KILLED, injected=1)
    look(pending, a_health(("LIVE", -5.0, 1.0)))
    assert not pending.is_settled
    pending.over_ts = BEGAN + 9 * NS_PER_S
    look(pending, a_health(("LIVE", -5.0, 9.5)))
    look(pending, a_health(("LIVE", -5.0, 11.0)))
    assert pending.healed_s == [pytest.approx(0.5)]


def test_a_fault_that_met_nothing_is_given_up_unmet() -> None:
    pending = a_fault("rate_limit")
    pending.heed(0, is_over=False, now=BEGAN + UNMET_NS // 2)
    assert pending.over_ts is None
    pending.heed(0, is_over=False, now=BEGAN + UNMET_NS + 1)
    assert pending.over_ts is not None
    assert not pending.is_met


def test_a_condition_with_a_state_of_its_own_must_have_been_said() -> None:
    for stirred, failures in ((False, 1), (True, 0)):
        silent = a_fault("one_sided", must_leave=frozenset({BOOK}), is_stirred=stirred)
        silent.heed(1, is_over=True, now=BEGAN)
        look(silent, a_health(("GAP", 0.1, 0.1), ("LIVE", 0.7, 3.7)))
        assert silent.is_settled
        assert len(silent.failed) == failures
    assert "never said ONE_SIDED" in a_told("GAP").failed[0]
    assert a_told("ONE_SIDED").failed == []


def a_told(state: str) -> Pending:
    pending = a_fault("one_sided", must_leave=frozenset({BOOK}))
    pending.heed(1, is_over=True, now=BEGAN)
    look(pending, a_health((state, 0.1, 0.1), ("LIVE", 0.7, 3.7)))
    return pending


def test_what_is_hit_within_a_long_condition_heals_from_leaving_to_coming_back() -> None:
    pending = a_fault("daily_cut")
    pending.heed(1, is_over=True, now=BEGAN + 9 * NS_PER_S)
    went = (("DISCONNECTED", 2.0), ("SYNCING", 2.5), ("LIVE", 3.5), ("DISCONNECTED", 5.0), ("LIVE", 5.25))
    look(pending, a_health(*((state, at_s, 11.0) for state, at_s in went)))
    assert pending.healed_s == [pytest.approx(1.5)]


def test_a_book_without_a_side_cannot_have_stayed_live() -> None:
    pending = a_fault("one_sided", must_leave=frozenset({BOOK}))
    pending.heed(1, is_over=True, now=BEGAN)
    look(pending, a_health(("LIVE", -5.0, 3.0)))
    assert not pending.is_settled
