from __future__ import annotations

from services.venues.catching_up import PATIENCE_S, QUIET_S, caught_up

ENDS = {0: 10, 1: 0, 2: 7}


def test_it_has_caught_up_once_the_last_record_of_each_partition_was_handled() -> None:
    positions = {0: 10, 1: 0, 2: 7}  # all of it was fetched
    assert not caught_up(ENDS, {}, positions, 0.0)
    assert not caught_up(ENDS, {0: 9}, positions, 0.1)
    assert not caught_up(ENDS, {0: 9, 2: 5}, positions, QUIET_S)
    assert caught_up(ENDS, {0: 9, 2: 6}, positions, 0.1)
    assert caught_up(ENDS, {0: 12, 2: 6}, positions, 0.1)  # the market moved on


def test_what_a_former_owner_handled_is_not_waited_for() -> None:
    assert not caught_up(ENDS, {0: 9}, {0: 10, 1: 0, 2: 7}, QUIET_S / 2)  # it may be on its way
    assert caught_up(ENDS, {0: 9}, {0: 10, 1: 0, 2: 7}, QUIET_S)
    assert not caught_up(ENDS, {0: 9}, {0: 10, 1: 0, 2: 3}, QUIET_S)


def test_an_empty_topic_has_nothing_to_wait_for() -> None:
    assert caught_up({0: 0, 1: 0}, {}, {0: 0, 1: 0}, 0.0)


def test_it_gives_up_after_its_patience() -> None:
    assert not caught_up(ENDS, {0: 1}, {0: 2, 1: 0, 2: 0}, PATIENCE_S)
    assert caught_up(ENDS, {0: 1}, {0: 2, 1: 0, 2: 0}, PATIENCE_S + 0.1)
