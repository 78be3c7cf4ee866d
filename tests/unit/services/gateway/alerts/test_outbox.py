from __future__ import annotations

from services.gateway.alerts.ledger import Alert
from services.gateway.alerts.outbox import LONGEST_PAUSE_NS, MOST_REFUSALS, Outbox
from tests.unit.services.gateway.alerts.causes import NOW, S, a_cause


def an_alert(place: str = "all", state: str = "firing", suppressed: int = 0) -> Alert:
    lasted = None if state == "firing" else 5 * S
    return Alert(a_cause(place), state, NOW, NOW, suppressed, lasted)  # type: ignore[arg-type]  # one of two


def test_alerts_leave_in_the_order_in_which_they_came() -> None:
    outbox = Outbox()
    assert outbox.wait_ns(0) is None
    first, second = an_alert("a"), an_alert("b")
    outbox.put(first)
    outbox.put(second)
    assert outbox.wait_ns(0) == 0
    assert outbox.head() is first
    outbox.taken(first)
    assert outbox.head() is second
    outbox.taken(second)
    assert outbox.wait_ns(0) is None
    assert outbox.sent == 2


def test_a_newer_alert_takes_the_place_of_one_of_its_key_and_tells_of_it() -> None:
    outbox = Outbox()
    outbox.put(an_alert("a", suppressed=2))
    outbox.put(an_alert("a", "resolved"))
    assert len(outbox) == 1
    assert (outbox.head().state, outbox.head().suppressed, outbox.replaced) == ("resolved", 3, 1)


def test_an_alert_that_was_replaced_while_it_was_posted_leaves_its_successor() -> None:
    outbox = Outbox()
    outbox.put(an_alert("a"))
    posted = outbox.head()
    outbox.put(an_alert("a", "resolved"))
    outbox.taken(posted)
    assert outbox.head().state == "resolved"


def test_after_failures_it_waits_twice_as_long_each_time_up_to_a_minute_and_not_at_all_after_success() -> (
    None
):
    outbox = Outbox()
    outbox.put(an_alert())
    waits = []
    for _ in range(9):
        outbox.not_taken(outbox.head(), 0, refused=False)
        waits.append(outbox.wait_ns(0))
    assert waits == [S, 2 * S, 4 * S, 8 * S, 16 * S, 32 * S, 60 * S, 60 * S, 60 * S]
    outbox.taken(outbox.head())
    outbox.put(an_alert("b"))
    assert outbox.wait_ns(0) == 0
    assert (outbox.failed, outbox.dropped) == (9, 0)


def test_a_receiver_that_says_how_long_to_wait_is_left_alone_so_long_but_no_longer_than_a_minute() -> None:
    outbox = Outbox()
    outbox.put(an_alert())
    outbox.not_taken(outbox.head(), 0, refused=False, pause_ns=20 * S)
    assert outbox.wait_ns(0) == 20 * S
    outbox.not_taken(outbox.head(), 0, refused=False, pause_ns=10**6 * S)
    assert outbox.wait_ns(0) == LONGEST_PAUSE_NS


def test_an_alert_that_is_refused_lets_the_others_pass_and_is_given_up_in_the_end() -> None:
    outbox = Outbox()
    outbox.put(an_alert("bad"))
    outbox.put(an_alert("good"))
    outbox.not_taken(outbox.head(), 0, refused=True)
    assert outbox.head().cause.place == "good"
    outbox.taken(outbox.head())
    for _ in range(MOST_REFUSALS - 1):
        assert outbox.dropped == 0
        outbox.not_taken(outbox.head(), 0, refused=True)
    assert (len(outbox), outbox.dropped) == (0, 1)


def test_without_a_place_the_oldest_recovery_goes_and_only_then_the_oldest_alert() -> None:
    outbox = Outbox(most=2)
    outbox.put(an_alert("a"))
    outbox.put(an_alert("b", "resolved"))
    outbox.put(an_alert("c"))
    assert [each.alert.cause.place for each in outbox._waiting.values()] == ["a", "c"]  # noqa: SLF001 -- the order
    outbox.put(an_alert("d"))
    assert [each.alert.cause.place for each in outbox._waiting.values()] == ["c", "d"]  # noqa: SLF001 -- the order
    assert outbox.dropped == 2
