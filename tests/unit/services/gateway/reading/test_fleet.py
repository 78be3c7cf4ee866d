from __future__ import annotations

from typing import Any

from libs.common.events import STATUS_SILENCE_NS, ServiceState
from services.gateway.reading.fleet import FORGET_NS, Fleet
from tests.heartbeats import a_status

S = 1_000_000_000


class Ward:
    """A fleet of four partitions, its clock, and processes that tell of themselves."""

    def __init__(self, past: int = 0) -> None:
        self.now = 0
        self.fleet = Fleet(4, lambda: self.now)
        self.fleet.begin({0: past})
        self._offset = 0

    def hear(self, instance: str = "0", *owned: int, **changes: Any) -> None:
        status = a_status("router", instance=instance, partitions_owned=owned, **changes)
        self._fold(instance, status)

    def stop(self, instance: str = "0") -> None:
        self._fold(instance, None)

    def _fold(self, instance: str, status: Any) -> None:
        self.fleet.fold(0, self._offset, f"router:{instance}".encode(), status)
        self._offset += 1


def test_a_service_lacks_nothing_once_its_processes_work_on_every_partition_together() -> None:
    ward = Ward()
    assert ward.fleet.lack_of("router") == "router has not been heard"
    ward.hear("0", 0, 1)
    assert ward.fleet.lack_of("router") == "router leaves partitions 2, 3 to nobody"
    assert ward.fleet.lack_of("router", 1) is None
    assert ward.fleet.lack_of("router", 2) is not None
    ward.hear("1", 2, 3)
    assert ward.fleet.lack_of("router") is None
    assert ward.fleet.lack_of("venues") is not None


def test_a_process_that_starts_says_what_it_waits_for() -> None:
    ward = Ward()
    ward.hear("0", 0, state=ServiceState.STARTING, detail="restoring partitions 1, 2, 3")
    lack = ward.fleet.lack_of("router")
    assert lack == "router is starting since 00:00:00 UTC: restoring partitions 1, 2, 3"


def test_a_stopped_partition_is_named_with_its_reason_while_the_others_go_on() -> None:
    ward = Ward()
    ward.hear("0", 0, 1, 3, partitions_stopped=(2,), state=ServiceState.DEGRADED, detail="a handler raised")
    assert (
        ward.fleet.lack_of("router") == "router has stopped partition 2 since 00:00:00 UTC: a handler raised"
    )
    assert ward.fleet.lack_of("router", 3) is None


def test_of_one_partition_its_own_reason_is_told() -> None:
    ward = Ward()
    ward.hear("0", 0, 3, partitions_stopped=(1,), state=ServiceState.DEGRADED, detail="a handler raised")
    assert "has stopped partition 1 " in (ward.fleet.lack_of("router", 1) or "")
    assert ward.fleet.lack_of("router", 2) == "router leaves partition 2 to nobody"


def test_a_partition_lacks_nothing_exactly_while_it_is_none_that_nobody_works_on() -> None:
    ward = Ward(past=1)

    def check() -> None:
        for service in ("router", "venues"):
            unowned = ward.fleet.unowned(service)
            lacking = {number for number in range(4) if ward.fleet.lack_of(service, number) is not None}
            assert lacking == unowned

    ward.hear("past", 3)  # not heard
    check()
    ward.hear("0", 0, 1)
    check()
    ward.now += STATUS_SILENCE_NS
    ward.hear("1", 1, 2)
    check()
    ward.now += 1  # the first is silent
    check()
    ward.fleet.doubt()
    check()
    ward.hear("0", 0)
    check()
    ward.stop()
    check()


def test_a_service_that_would_refuse_what_it_is_asked_lacks_what_it_says() -> None:
    ward = Ward()
    ward.hear("0", 0, 1, 2, 3, state=ServiceState.DEGRADED, detail="no policy is registered yet")
    assert ward.fleet.lack_of("router") == "router would refuse: no policy is registered yet"
    assert ward.fleet.lack_of("router", 2) is None  # its own refusal says more
    ward.now += STATUS_SILENCE_NS + 1
    assert (ward.fleet.lack_of("router") or "").startswith("router is silent")


def test_a_process_is_believed_for_five_seconds_after_it_was_heard_whatever_its_clock_says() -> None:
    ward = Ward()
    ward.hear("0", 0, 1, 2, 3, ts=0)
    ward.now = STATUS_SILENCE_NS
    assert ward.fleet.lack_of("router") is None
    ward.now += 1
    assert ward.fleet.lack_of("router") == "router is silent for 5 s, since 00:00:00 UTC"
    ward.hear("0", 0, 1, 2, 3, ts=2**62)
    assert ward.fleet.lack_of("router") is None
    ward.now += 6 * S
    assert ward.fleet.lack_of("router") is not None


def test_a_process_that_stopped_as_asked_is_gone_at_once() -> None:
    ward = Ward()
    ward.hear("0", 0, 1, 2, 3)
    ward.stop()
    assert ward.fleet.lack_of("router") == "router has not been heard"


def test_what_is_read_of_the_past_is_not_heard() -> None:
    ward = Ward(past=2)
    ward.hear("0", 0, 1, 2, 3)
    ward.hear("0", 0, 1, 2, 3)
    assert ward.fleet.ready
    assert ward.fleet.lack_of("router") == "router has not been heard"
    ward.hear("0", 0, 1, 2, 3)
    assert ward.fleet.lack_of("router") is None


def test_a_silent_process_is_listed_while_it_is_missed_and_else_for_ten_minutes() -> None:
    ward = Ward()
    ward.hear("0", 0, 1, 2, 3)
    ward.now = FORGET_NS + 1
    assert [each.silent for each in ward.fleet.shown()] == [True]
    ward.hear("1", 0, 1, 2, 3)
    assert [each.status.instance for each in ward.fleet.shown()] == ["1"]


def test_what_was_heard_before_kafka_went_away_is_not_believed() -> None:
    ward = Ward()
    ward.hear("0", 0, 1, 2, 3)
    ward.fleet.doubt()
    lack = "router has not been heard since Kafka is back; before, at 00:00:00 UTC"
    assert ward.fleet.lack_of("router") == lack
    ward.now += 1
    assert ward.fleet.lack_of("router") == lack
    ward.hear("0", 0, 1, 2, 3)
    assert ward.fleet.lack_of("router") is None
