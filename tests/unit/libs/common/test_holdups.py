from __future__ import annotations

from libs.common.holdups import HELD_S, LOOK_S, Holdups


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


def test_a_reader_that_waits_and_has_no_answer_long_enough_is_told_as_such_until_it_has_one() -> None:
    holdups = Holdups()
    for looked in range(5):
        holdups.note_answer(7, "the last before Kafka went away", float(looked))
        holdups.note_answer(8, looked, float(looked))
        if looked < HELD_S:
            assert holdups.told(looked) == {}
    assert holdups.told(99.0) == {7: "not heard of for 4 s, no fetch is answered"}
    holdups.note_answer(7, "the first after", 5.0)
    assert holdups.told(99.0) == {}


def test_a_reader_that_was_busy_did_not_wait_for_an_answer() -> None:
    holdups = Holdups()
    for looked in range(20):
        now_s = looked * (LOOK_S + 0.1)
        holdups.note_answer(7, "before", now_s)
        assert holdups.told(now_s + LOOK_S) == {}


def test_no_answer_is_told_before_an_open_transaction_of_which_there_is_no_news() -> None:
    holdups = Holdups(patience_s=1.0)
    for now_s in (0.0, 1.0):
        holdups.note(3, stable=5, end=6, now_s=now_s)
        holdups.note_answer(3, None, now_s)
    assert holdups.told(1.0) == {3: "not heard of for 1 s, no fetch is answered"}
    assert holdups.in_transactions(1.0).keys() == {3}


def test_a_kafka_that_is_silent_is_no_open_transaction() -> None:
    holdups = Holdups(patience_s=1.0)
    for now_s in (0.0, 1.0):
        holdups.note_answer(3, None, now_s)
    assert holdups.told(1.0).keys() == {3}
    assert holdups.in_transactions(1.0) == {}
