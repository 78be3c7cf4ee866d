"""The faults of a run follow from its seed, and leave nothing out."""

from __future__ import annotations

import json
from itertools import product

from simulator.fault_requests import parse_fault
from tests.chaos.conditions import ONLY_AT, conditions
from tests.chaos.schedule import (
    CLOCK_SET,
    CONDITION_KINDS,
    DRIFT,
    MARKET_QUIET,
    SYSTEM_KINDS,
    WIRE_KINDS,
    schedule,
)

BOOKS = [(venue, symbol) for venue in ("binance", "kraken") for symbol in ("BTC-USDT", "ETH-USDT")]


def test_a_seed_gives_the_same_faults_again_and_another_seed_others() -> None:
    assert schedule(1, 60, BOOKS, 2) == schedule(1, 60, BOOKS, 2)
    assert schedule(1, 60, BOOKS, 2) != schedule(2, 60, BOOKS, 2)


def test_every_kind_meets_every_venue_within_the_time() -> None:
    actions = schedule(1, 120, BOOKS, 2)
    assert {(action.kind, action.books[0][0]) for action in actions if action.kind in WIRE_KINDS} == {
        (kind, venue) for kind in WIRE_KINDS for venue in ("binance", "kraken")
    }
    assert {action.kind for action in actions} == {*WIRE_KINDS, *SYSTEM_KINDS, MARKET_QUIET}
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


def test_every_condition_meets_every_venue_that_can_have_it_within_the_time() -> None:
    actions = list(conditions(1, 60, BOOKS))
    assert {(action.kind, action.books[0][0]) for action in actions} == {
        (kind, venue)
        for kind, venue in product(CONDITION_KINDS, ("binance", "kraken"))
        if venue in ONLY_AT.get(kind, (venue,))
    }
    assert [action.at_s for action in actions] == sorted(action.at_s for action in actions)
    assert actions == list(conditions(1, 60, BOOKS))
    assert actions != list(conditions(2, 60, BOOKS))


def test_the_simulator_takes_every_condition_that_is_drawn() -> None:
    for seed in range(5):
        for action in conditions(seed, 120, BOOKS):
            for request in action.requests:
                parse_fault(json.dumps(request).encode(), BOOKS, str)
            first, *_ = action.requests
            assert first["kind"] == action.kind
            assert {first.get("symbol", symbol) for _, symbol in action.books} == {s for _, s in action.books}


def test_a_price_that_drifted_drifts_back_the_next_time() -> None:
    moved: dict[object, float] = {}
    for action in conditions(1, 600, BOOKS):
        if action.kind == DRIFT:
            book, bps = action.books[0], float(str(action.requests[0]["bps"]))
            moved[book] = moved.get(book, 0.0) + bps
            assert abs(moved[book]) <= 150.0
