"""The memory of what was done, held against a list, through failures and restarts from a compacted log."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.answered import Memory, forget, memory_of, remember
from libs.common.events import PortfolioRemembered, Remembered
from libs.common.handling import State

KINDS = ("fills", "commands")

remembering = st.tuples(st.just("remember"), st.sampled_from(KINDS), st.integers(0, 3))
forgetting = st.tuples(st.just("forget"), st.sampled_from(KINDS), st.integers(0, 5))
rewriting = st.tuples(st.just("rewrite"), st.sampled_from(KINDS), st.integers(0, 5))
others = st.tuples(st.sampled_from(("undo", "restart")), st.sampled_from(KINDS), st.integers(0, 5))
actions = st.lists(remembering | forgetting | rewriting | others, max_size=60)


class Log:
    """A state's log, and the memory that writes it."""

    def __init__(self) -> None:
        self.memory: Memory[Any] = Memory()
        self.records: dict[bytes, Any] = {}

    def keep(self) -> int:
        """Write what changed; return how many records that is."""
        self.memory.keep()
        changes = self.memory.take_changes()
        for key, value in changes:
            self.records.pop(key, None)  # its newest record stands where it was written
            if value is not None:
                self.records[key] = value
        return len(changes)

    def restart(self) -> None:
        self.memory = Memory()
        for key, value in self.records.items():
            self.memory.restore(key, value)


def a_record(kind: str, ts: int = 0) -> PortfolioRemembered:
    return PortfolioRemembered(answer=None, among=kind, ts=ts)


@given(actions)
def test_whatever_fails_and_however_often_it_restarts_the_oldest_is_forgotten_first(
    done: list[tuple[str, str, int]],
) -> None:
    log, clock = Log(), 0
    expected: dict[str, list[bytes]] = {kind: [] for kind in KINDS}
    for n, (action, kind, number) in enumerate(done):
        clock += number
        key = f"{kind}/{n}".encode()
        match action:
            case "remember":
                remember(log.memory, key, a_record(kind, clock))
                expected[kind].append(key)
            case "forget":
                forget(log.memory, kind, most=number)
                expected[kind] = expected[kind][max(0, len(expected[kind]) - number) :]
            case "rewrite" if number < len(expected[kind]):
                old = expected[kind][number]
                log.memory.put(old, replace(log.memory[old], answer=None))
            case "undo":
                forget(log.memory, kind, most=number)
                remember(log.memory, key, a_record(kind))
                log.memory.undo()
            case "restart":
                log.restart()
        log.keep()
        for each in KINDS:
            assert list(log.memory.order(each)) == expected[each]
        assert log.memory.remembered == sum(map(len, expected.values())) == len(log.memory)


def test_what_is_written_again_keeps_its_place_over_a_restart() -> None:
    log = Log()
    for n in range(3):
        remember(log.memory, f"{n}".encode(), a_record("fills"))
        log.keep()
    log.memory.put(b"0", replace(log.memory[b"0"], answer=None))
    log.keep()
    assert list(log.records) == [b"1", b"2", b"0"]
    log.restart()
    assert list(log.memory.order("fills")) == [b"0", b"1", b"2"]


def test_a_command_costs_one_record_and_one_tombstone_for_what_it_makes_forgotten() -> None:
    log = Log()
    for n in range(20):
        remember(log.memory, f"{n}".encode(), a_record("fills"))
        forget(log.memory, "fills", most=10)
        assert log.keep() == (1 if n < 10 else 2)


def test_what_is_too_old_is_forgotten_a_piece_at_a_time() -> None:
    memory: Memory[Any] = Memory()
    for n in range(10):
        remember(memory, f"{n}".encode(), a_record("fills", ts=n))
    forget(memory, "fills", oldest_ts=6, at_once=4)
    assert len(memory) == 6
    forget(memory, "fills", oldest_ts=6, at_once=4)
    assert [record.ts for record in memory.order("fills").values()] == [6, 7, 8, 9]


def test_what_an_older_version_gave_no_place_is_found_and_in_no_order() -> None:
    memory: Memory[Any] = Memory()
    memory.restore(b"old", a_record(""))
    assert isinstance(memory[b"old"], Remembered)
    assert (memory.remembered, list(memory.order(""))) == (0, [])


def test_a_state_that_holds_no_order_is_not_taken_for_a_memory() -> None:
    with pytest.raises(TypeError, match="take a Memory"):
        memory_of(State())
