from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.alerts.cause import Moment
from services.gateway.alerts.ledger import MOST_KEYS, Ledger
from tests.unit.services.gateway.alerts.causes import NOW, S, a_cause, at

if TYPE_CHECKING:
    from services.gateway.alerts.ledger import Alert

HELD = a_cause("binance:BTC-USDT", "book-not-live")  # held for 30 s


def told(alerts: list[Alert]) -> list[tuple[str, str, int]]:
    return [(alert.cause.place, alert.state, alert.suppressed) for alert in alerts]


def test_a_cause_is_told_once_while_it_stands_and_once_more_when_it_is_gone() -> None:
    ledger = Ledger()
    assert told(ledger.judge([a_cause()], at(0))) == [("all", "firing", 0)]
    assert all(ledger.judge([a_cause()], at(second)) == [] for second in range(1, 400))
    (over,) = ledger.judge([], at(400))
    assert told([over]) == [("all", "resolved", 0)]
    assert (over.since, over.ts, over.lasted_ns) == (NOW, NOW + 400 * S, 400 * S)
    assert all(ledger.judge([], at(second)) == [] for second in range(401, 600))


def test_what_goes_within_its_hold_time_is_never_told_and_not_counted() -> None:
    ledger = Ledger()
    for second in range(0, 300, 31):
        assert ledger.judge([HELD], at(second)) == []
        assert ledger.judge([HELD], at(second + 29.5)) == []
        assert ledger.judge([], at(second + 30)) == []
    assert ledger.suppressed == 0


def test_what_stands_for_its_hold_time_is_told_then_with_the_time_at_which_it_began() -> None:
    ledger = Ledger()
    assert ledger.judge([HELD], at(0)) == []
    (alert,) = ledger.judge([HELD], at(30))
    assert (alert.since, alert.ts) == (NOW, NOW + 30 * S)


def test_what_began_before_it_was_first_seen_is_held_from_its_beginning() -> None:
    ledger = Ledger()
    (alert,) = ledger.judge([a_cause("x", "book-not-live", since=NOW - 600 * S)], at(0))
    assert alert.since == NOW - 600 * S
    (over,) = ledger.judge([], at(10))
    assert over.lasted_ns == 610 * S


def test_a_beginning_in_the_future_is_now() -> None:
    ledger = Ledger()
    (alert,) = ledger.judge([a_cause(since=NOW + 600 * S)], at(0))
    assert alert.since == NOW


def test_what_is_back_within_the_minute_waits_for_it_and_what_goes_meanwhile_is_counted() -> None:
    ledger = Ledger()
    assert told(ledger.judge([a_cause()], at(0))) == [("all", "firing", 0)]
    assert told(ledger.judge([], at(1))) == [("all", "resolved", 0)]
    for second in range(2, 40, 2):  # nineteen times it comes and goes
        assert ledger.judge([a_cause()], at(second)) == []
        assert ledger.judge([], at(second + 1)) == []
    assert ledger.judge([a_cause()], at(50)) == []
    assert ledger.judge([a_cause()], at(59.9)) == []
    (alert,) = ledger.judge([a_cause()], at(60))
    assert told([alert]) == [("all", "firing", 19)]
    assert alert.since == NOW + 50 * S
    assert ledger.suppressed == 19


def test_a_recovery_within_a_minute_of_the_last_waits_and_is_forgotten_if_the_cause_is_back() -> None:
    ledger = Ledger()
    ledger.judge([a_cause()], at(0))
    assert told(ledger.judge([], at(59))) == [("all", "resolved", 0)]
    assert told(ledger.judge([a_cause()], at(60))) == [("all", "firing", 0)]
    assert ledger.judge([], at(61)) == []
    assert ledger.judge([a_cause()], at(62)) == []
    assert ledger.judge([], at(63)) == []
    (over,) = ledger.judge([], at(119))
    assert told([over]) == [("all", "resolved", 1)]
    assert (over.ts, over.lasted_ns) == (NOW + 63 * S, 3 * S)


def test_what_happens_again_is_told_again_once_a_minute_with_the_number_of_those_between() -> None:
    ledger = Ledger()
    failures = [a_cause("BTC-USDT", "execution-failed", occurrences=count) for count in (1, 4, 9)]
    assert told(ledger.judge([failures[0]], at(0))) == [("BTC-USDT", "firing", 0)]
    assert ledger.judge([failures[1]], at(30)) == []
    assert told(ledger.judge([failures[2]], at(60))) == [("BTC-USDT", "firing", 7)]
    assert ledger.judge([failures[2]], at(130)) == []


def test_the_clock_that_is_shown_may_be_set_without_a_message_more_or_less() -> None:
    ledger = Ledger()
    ledger.judge([HELD], at(0))
    assert ledger.judge([HELD], Moment(NOW + 10**6 * S, at(10).monotonic_ns)) == []
    assert len(ledger.judge([HELD], Moment(NOW - 10**6 * S, at(30).monotonic_ns))) == 1


def test_after_a_restart_what_stands_is_told_once_again() -> None:
    Ledger().judge([a_cause()], at(0))
    assert told(Ledger().judge([a_cause()], at(5))) == [("all", "firing", 0)]


def test_what_is_over_takes_no_memory_for_longer_than_its_minute() -> None:
    ledger = Ledger()
    at_once = 100
    for number in range(0, 2 * MOST_KEYS, at_once):
        ledger.judge([a_cause(str(number + n)) for n in range(at_once)], at(number / 1000))
    ledger.judge([], at(20))
    assert len(ledger._tracks) <= MOST_KEYS  # noqa: SLF001 -- what nobody sees from outside
    ledger.judge([], at(200))
    assert not ledger._tracks  # noqa: SLF001 -- as above
