from __future__ import annotations

from libs.common.holdups import HELD_S, Holdups


def test_what_stands_behind_its_end_long_enough_is_told_with_place_time_and_count() -> None:
    holdups = Holdups()
    holdups.note(3, stable=5, end=6, now_s=10.0)
    assert holdups.told(10.0 + HELD_S - 0.1) == {}
    holdups.note(3, stable=5, end=9, now_s=12.0)
    assert holdups.told(14.0) == {
        3: "held up at offset 5 for 4 s by an open transaction, 4 records before its end"
    }


def test_a_log_that_moves_or_has_ended_is_not_held_up() -> None:
    holdups = Holdups()
    for now_s in range(20):  # one short transaction after the other
        holdups.note(0, stable=now_s, end=now_s + 1, now_s=now_s)
        assert holdups.told(now_s) == {}
    holdups.note(1, stable=5, end=6, now_s=0.0)
    holdups.note(1, stable=6, end=6, now_s=30.0)
    holdups.note(2, stable=5, end=6, now_s=0.0)
    holdups.note(2, stable=None, end=None, now_s=30.0)
    assert holdups.told(99.0).keys() == {0}
