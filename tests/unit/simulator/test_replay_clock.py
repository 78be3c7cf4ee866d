"""Deadlines and the order of recordings."""

from __future__ import annotations

import pytest

from simulator.replay_clock import MAX_JOIN_GAP_NS, Part, ReplayClock, playlist

S = 1_000_000_000


@pytest.mark.parametrize(
    ("speed", "due"), [(1.0, 107 * S), (50.0, 100 * S + 140_000_000), (0.5, 114 * S), (0.0, 100 * S)]
)
def test_a_deadline_is_the_start_plus_the_position_by_speed(speed: float, due: int) -> None:
    clock = ReplayClock(speed)
    clock.start(100 * S)
    assert clock.due(7 * S) == due


def test_deadlines_do_not_drift_over_a_day() -> None:
    clock = ReplayClock(3.0)
    clock.start(0)
    assert [clock.due(position) for position in range(0, 86_400 * S, 3_600 * S)] == list(
        range(0, 28_800 * S, 1_200 * S)
    )


def test_a_pause_moves_what_is_still_due_by_its_length() -> None:
    clock = ReplayClock(2.0)
    clock.start(10 * S)
    clock.pause(11 * S)
    clock.pause(12 * S)  # paused already: changes nothing
    assert clock.paused
    clock.resume(15 * S)
    clock.resume(99 * S)  # goes on already: changes nothing
    assert not clock.paused
    assert clock.due(8 * S) == 18 * S


def test_a_pause_from_before_the_start_counts_from_the_start() -> None:
    clock = ReplayClock(1.0)
    clock.pause(1 * S)
    clock.start(10 * S)
    clock.resume(14 * S)
    assert clock.due(0) == 14 * S


def test_there_is_no_deadline_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="no deadlines before it is started"):
        ReplayClock(1.0).due(0)


def test_a_recording_that_goes_on_keeps_the_gap() -> None:
    first, second = playlist([Part(100, 200), Part(205, 300)])
    assert (first.start, second.start, second.continues) == (0, 105, True)
    assert second.end == 200


@pytest.mark.parametrize(
    "second",
    [
        Part(200 + MAX_JOIN_GAP_NS + 1, 200 + 2 * MAX_JOIN_GAP_NS),
        Part(150, 300),
        Part(205, 300, absolute=False),
    ],
    ids=["too long after", "overlapping", "without times of receipt"],
)
def test_a_recording_that_does_not_go_on_follows_at_once(second: Part) -> None:
    placed = playlist([Part(100, 200), second])[1]
    assert not placed.continues
    assert placed.position(second.first) == 100
