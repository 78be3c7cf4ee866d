"""Ticks that come before their time, because a service's views show what they wait for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from libs.common.codec import encode as encoded
from libs.common.events import Event
from libs.common.handling import State, Tick, WakeAt, Wiring
from libs.common.partition import Effects, HandlerError, Partition
from libs.common.skips import SKIP_KEY, Skip
from libs.common.ticks import Ticks, tick_key
from libs.common.topics import EXECUTION_COMMANDS, EXECUTION_STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.partition import Outgoing

NOW = 1_800_000_000_000_000_000
FAR = NOW + 10**15


class Fired(Event, frozen=True, kw_only=True):
    """How often something came; state."""

    times: int


class Service:
    """A partition whose handler counts what comes; `named` is what its views show to be due."""

    def __init__(self) -> None:
        self.named: list[bytes] = []
        self.fails = False
        self.wiring: Wiring[Fired] = Wiring(
            service="s",
            inputs=(EXECUTION_COMMANDS,),
            state=replace(EXECUTION_STATE, events=(Fired,)),
            outputs={},
            handle=self.handle,
            early=lambda _state, _now: list(self.named),
        )
        self.partition = self.empty()

    def empty(self) -> Partition[Fired]:
        return Partition(self.wiring, 0, place=lambda _key: 0)

    def handle(self, state: State[Fired], tick: Tick, _now: int) -> Sequence[Event | WakeAt]:
        if self.fails:
            raise RuntimeError("broken")
        before = state.get(tick.key)
        state.put(tick.key, Fired(times=1 + (before.times if before else 0)))
        if tick.key in self.named:
            self.named.remove(tick.key)
        return [WakeAt(FAR, tick.key)] if tick.key == b"again" else []

    def times(self) -> dict[bytes, int]:
        return {key: kept.times for key, kept in self.partition.state.items()}


def pending(service: Service, *ticks: tuple[int, bytes]) -> None:
    for due_ts, name in ticks:
        tick = Tick(due_ts=due_ts, key=name, causation_id=str(UUID(int=1)), correlation_id="c")
        service.partition.restore(tick_key(due_ts, name), encoded(tick))


def restored(service: Service, records: Iterable[Outgoing]) -> Partition[Fired]:
    successor = service.empty()
    for record in records:
        successor.restore(record.key, record.value)
    return successor


def test_a_tick_that_is_named_comes_before_its_time_and_once() -> None:
    service = Service()
    pending(service, (FAR, b"one"), (FAR, b"two"))
    assert not service.partition.ripe(NOW)
    assert service.partition.wake(NOW, limit=9) == Effects(NOW)
    service.named = [b"two", b"nobody's"]
    assert service.partition.ripe(NOW)
    effects = service.partition.wake(NOW, limit=9)
    assert service.times() == {b"two": 1}
    assert effects.outgoing[0].key == tick_key(FAR, b"two")
    assert effects.outgoing[0].value is None
    service.named = [b"two"]
    assert not service.partition.ripe(NOW)


def test_what_is_due_comes_first_and_no_more_comes_than_asked() -> None:
    service = Service()
    pending(service, (FAR, b"early"), (NOW - 2, b"due"), (NOW + 5, b"later"))
    service.named = [b"early"]
    assert service.partition.wake(NOW, limit=1).handled == 1
    assert service.times() == {b"due": 1}
    assert service.partition.wake(NOW, limit=9).handled == 1
    assert service.times() == {b"due": 1, b"early": 1}
    assert service.partition.next_wake == NOW + 5


def test_one_that_is_wished_for_again_waits_for_what_it_waits_for_also_after_a_restart() -> None:
    service = Service()
    pending(service, (FAR - 1, b"again"))
    service.named = [b"again"]
    effects = service.partition.wake(NOW, limit=9)
    assert effects.handled == 1
    assert not service.partition.ripe(NOW)
    successor = restored(service, effects.outgoing)
    assert successor.next_wake == FAR
    service.named = [b"again"]
    assert successor.ripe(NOW)


def test_one_whose_handler_raised_is_still_pending_until_it_is_left_out() -> None:
    service = Service()
    pending(service, (FAR, b"one"), (FAR, b"two"))
    service.named, service.fails = [b"one", b"two"], True
    effects = service.partition.wake(NOW, limit=9)
    assert isinstance(effects.failure, HandlerError)
    assert effects.outgoing == []
    service.partition = service.empty()
    pending(service, (FAR, b"one"), (FAR, b"two"))
    word = Skip(offsets={}, ticks=(tick_key(FAR, b"one"),), reason="it breaks", ts=NOW)
    service.partition.restore(SKIP_KEY, encoded(word))
    service.partition.skip(NOW)
    service.fails = False
    assert service.partition.wake(NOW, limit=9).handled == 1
    assert service.times() == {b"two": 1}


def test_a_service_whose_handler_runs_in_a_thread_has_no_early_ticks() -> None:
    with pytest.raises(ValueError, match="thread"):
        replace(Service().wiring, threaded=True)


def test_pending_ticks_are_found_by_their_times_and_by_their_names() -> None:
    ticks = Ticks()
    for due_ts, name in ((5, b"a"), (3, b"b"), (7, b"a")):
        known = Tick(due_ts=due_ts, key=name, causation_id="", correlation_id="")
        ticks.add(tick_key(due_ts, name), known)
        ticks.add(tick_key(due_ts, name), known)
    assert (ticks.next_due, ticks.one_of([b"c", b"a"])) == (3, tick_key(5, b"a"))
    ticks.pop(tick_key(5, b"a"))
    assert ticks.pop(tick_key(5, b"a")) is None
    assert ticks.one_of([b"a"]) == tick_key(7, b"a")
    ticks.pop(tick_key(3, b"b"))
    assert (ticks.next_due, ticks.one_of([b"b"])) == (7, None)
    assert list(ticks.pop_all()) == [tick_key(7, b"a")]
    assert (ticks.next_due, ticks.first, ticks.one_of([b"a"])) == (None, None, None)
