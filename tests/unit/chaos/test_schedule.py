"""The faults of a run follow from its seed, and leave nothing out."""

from __future__ import annotations

from tests.chaos.schedule import CLOCK_SET, FAULT_KINDS, MARKET_QUIET, SYSTEM_KINDS, schedule

BOOKS = [(venue, symbol) for venue in ("binance", "kraken") for symbol in ("BTC-USDT", "ETH-USDT")]


def test_a_seed_gives_the_same_faults_again_and_another_seed_others() -> None:
    assert schedule(1, 60, BOOKS, 2) == schedule(1, 60, BOOKS, 2)
    assert schedule(1, 60, BOOKS, 2) != schedule(2, 60, BOOKS, 2)


def test_every_kind_meets_every_venue_within_the_time() -> None:
    actions = schedule(1, 120, BOOKS, 2)
    assert {(action.kind, action.books[0][0]) for action in actions if action.kind in FAULT_KINDS} == {
        (kind, venue) for kind in FAULT_KINDS for venue in ("binance", "kraken")
    }
    assert {action.kind for action in actions} == {*FAULT_KINDS, *SYSTEM_KINDS, MARKET_QUIET}
    assert [action.at_s for action in actions] == sorted(action.at_s for action in actions)
    assert all(action.at_s < 120 for action in actions)


def test_a_rest_fault_comes_with_one_that_needs_rest() -> None:
    for action in schedule(1, 120, BOOKS, 2):
        if action.kind in {"rate_limit", "server_error"}:
            refusal, provocation = action.requests
            assert refusal["kind"] == action.kind
            assert provocation["kind"] in {"drop", "disconnect"}


def test_a_clock_that_is_set_is_set_back_the_next_time() -> None:
    steps_s = [action.by_s for action in schedule(1, 300, BOOKS, 2) if action.kind == CLOCK_SET]
    assert len(steps_s) >= 4
    assert [round(steps_s[n] + steps_s[n + 1], 9) for n in range(0, len(steps_s) - 1, 2)] == [0.0] * (
        len(steps_s) // 2
    )
