from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from libs.common.cloudevents import CloudEvent, caused_id
from libs.common.codec import decode, encode
from libs.common.events import Command, CommandRejected, Event, Refusal
from libs.common.handling import Output, State, Tick, WakeAt, Wiring
from libs.common.partition import (
    POSITION_KEY,
    Effects,
    HandlerError,
    Incoming,
    Partition,
    StateLostError,
)
from libs.common.skips import SKIP_KEY, Skip
from libs.common.topics import DEAD_LETTERS, Key, Topic

NOW = 1_800_000_000_000_000_000
COMMAND = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


class Put(Event, frozen=True, kw_only=True):
    value: int
    wake_at: int | None = None
    reply_key: str | None = None


class Fail(Event, frozen=True, kw_only=True):
    pass


class Kept(Event, frozen=True, kw_only=True):
    value: int


class Done(Event, frozen=True, kw_only=True):
    value: int


class Burst(Command, frozen=True, kw_only=True):
    pass


INPUT = Topic("t.commands.v1", (Put, Fail, Burst), Key.ORIGINAL, ("tests",))
SECOND = Topic("t.answers.v1", (Put,), Key.ORIGINAL, ("tests",))
ANSWERS = Topic("t.refusals.v1", (CommandRejected,), Key.ORIGINAL, ("tests",))
OUTPUT = Topic("t.results.v1", (Done,), Key.ORIGINAL, ("tests",))
STATE = Topic("t.state.v1", (Kept,), Key.ORIGINAL, ("tests",), compacted=True)


def handle(state: State[Kept], message: Put | Fail | Burst | Tick, now: int) -> list[Event | WakeAt]:
    match message:
        case Put(value=value, wake_at=wake_at):
            state.put(b"k", Kept(value=value))
            done = Done(value=value)
            return [done] if wake_at is None else [done, WakeAt(wake_at, b"alarm")]
        case Tick(due_ts=due):
            if due == 13:
                raise ZeroDivisionError("unlucky")
            state.remove(b"k")
            return [Done(value=now)]
        case Fail():
            state.put(b"k", Kept(value=-1))
            state.put(b"new", Kept(value=-1))
            raise ZeroDivisionError("broken")
        case Burst():
            state.put(b"new", Kept(value=-1))
            raise ZeroDivisionError("command")


def a_partition(wiring: Wiring[Kept] | None = None) -> Partition[Kept]:
    return Partition(wiring or a_wiring(), 3, place=lambda key: int(key) if key.isdigit() else 3)


def a_wiring(*, answers: bool = False) -> Wiring[Kept]:
    outputs: dict[type[Event], Output] = {
        Done: Output(OUTPUT, lambda done: str(done.value).encode(), answers=answers)
    }
    return Wiring(service="t", inputs=(INPUT, SECOND), state=STATE, outputs=outputs, handle=handle)


def an_answering_wiring() -> Wiring[Kept]:
    wiring = a_wiring()
    refusals = Output(ANSWERS, lambda answer: answer.key.encode(), answers=True)
    return replace(wiring, outputs={**wiring.outputs, CommandRejected: refusals})


def a_record(message: Event | bytes | None, offset: int = 0, **changes: object) -> Incoming:
    value = encode(message) if isinstance(message, Event) else message
    return replace(Incoming(INPUT, 3, offset, 0, b"7", value), **changes)  # type: ignore[arg-type]  # named


def restored(log: Effects) -> Partition[Kept]:
    """Return what another process makes of the state's log."""
    partition = a_partition()
    for out in log.outgoing:
        if out.topic is STATE:
            partition.restore(out.key, out.value)
    return partition


def results(effects: Effects) -> list[bytes]:
    return [out.key for out in effects.outgoing if out.topic is OUTPUT]


def test_a_message_yields_its_events_the_changed_state_and_the_position() -> None:
    effects = a_partition().apply([[a_record(Put(value=1), 4)]], NOW)
    assert [(out.topic.name, out.key) for out in effects.outgoing] == [
        ("t.results.v1", b"1"),
        ("t.state.v1", POSITION_KEY),
        ("t.state.v1", b"k"),
    ]
    assert effects.offsets == {INPUT.name: 5}
    assert (effects.handled, effects.failure) == (1, None)


def test_only_the_last_value_of_a_key_is_written() -> None:
    effects = a_partition().apply([[a_record(Put(value=v), v) for v in range(5)]], NOW)
    assert [out.value for out in effects.outgoing if out.key == b"k"] == [encode(Kept(value=4))]


def test_unchanged_state_is_not_written_again() -> None:
    partition = a_partition()
    partition.apply([[a_record(Put(value=1), 0)]], NOW)
    effects = partition.apply([[a_record(b"junk", 1)]], NOW)
    assert all(out.key != b"k" for out in effects.outgoing)


def test_a_record_before_the_position_is_dropped_even_after_a_restart() -> None:
    first = a_partition().apply([[a_record(Put(value=1), 4)]], NOW)
    successor = restored(first)
    assert successor.resume({INPUT.name: 5, SECOND.name: None}) == {INPUT.name: 5}
    effects = successor.apply([[a_record(Put(value=1), 4), a_record(Put(value=2), 9)]], NOW)
    assert results(effects) == [b"2"]
    assert effects.stale == 1


def test_state_position_and_wishes_survive_in_the_log() -> None:
    successor = restored(a_partition().apply([[a_record(Put(value=1, wake_at=NOW + 5), 4)]], NOW))
    assert dict(successor.state) == {b"k": Kept(value=1)}
    assert successor.offsets == {INPUT.name: 5}
    assert successor.next_wake == NOW + 5


def test_inputs_are_merged_by_time_and_keep_the_order_of_each() -> None:
    commands = [a_record(Put(value=v), v, timestamp_ms=ms) for v, ms in ((0, 10), (1, 30))]
    answers = [a_record(Put(value=v), v, timestamp_ms=ms, topic=SECOND) for v, ms in ((2, 20), (3, 5))]
    effects = a_partition().apply([commands, answers], NOW)
    assert results(effects) == [b"0", b"2", b"3", b"1"]
    assert effects.offsets == {INPUT.name: 2, SECOND.name: 4}


@pytest.mark.parametrize("value", [b"junk", None, encode(Done(value=1))])
def test_what_is_no_message_becomes_a_dead_letter_and_the_position_moves_on(value: bytes | None) -> None:
    effects = a_partition().apply([[a_record(value, 4), a_record(Put(value=1), 5)]], NOW)
    (letter,) = [out for out in effects.outgoing if out.topic is DEAD_LETTERS]
    assert (letter.key, letter.value) == (b"7", value or b"")
    assert dict(letter.headers)["source"] == b"t.commands.v1/3/4"
    assert results(effects) == [b"1"]
    assert effects.offsets == {INPUT.name: 6}
    assert effects.dead_letters == 1


def test_a_handler_that_raises_changes_nothing_and_what_came_before_is_kept() -> None:
    partition = a_partition()
    batch = [a_record(Put(value=1), 0), a_record(Fail(), 1), a_record(Put(value=2), 2)]
    effects = partition.apply([batch], NOW)
    assert isinstance(effects.failure, HandlerError)
    assert str(effects.failure) == "t.commands.v1/3/1: ZeroDivisionError: broken"
    assert effects.offsets == {INPUT.name: 1}
    assert results(effects) == [b"1"]
    assert dict(restored(effects).state) == dict(partition.state) == {b"k": Kept(value=1)}


def test_an_event_without_a_topic_stops_the_partition() -> None:
    effects = a_partition(replace(a_wiring(), outputs={})).apply([[a_record(Put(value=1))]], NOW)
    assert "UnroutedEventError: t names no topic for Done" in str(effects.failure)
    assert not effects.outgoing


def test_output_ids_follow_from_the_cause_and_are_the_same_again() -> None:
    headers = CloudEvent(COMMAND, "Put", "/gateway", 0, "conversation", None).headers()
    twice = [a_partition().apply([[a_record(Put(value=1), headers=headers)]], NOW) for _ in range(2)]
    assert twice[0] == twice[1]
    attributes = dict(twice[0].outgoing[0].headers)
    assert attributes["ce_id"] == str(caused_id(COMMAND, "Done/0")).encode()
    assert attributes["ce_causationid"] == str(COMMAND).encode()
    assert attributes["ce_correlationid"] == b"conversation"
    assert attributes["ce_source"] == b"/services/t"
    assert attributes["ce_time"] == b"2027-01-15T08:00:00.000000000Z"


@pytest.mark.parametrize(("reply_key", "place"), [("5", 5), (None, 7)])
def test_an_answer_goes_where_the_asker_listens(reply_key: str | None, place: int) -> None:
    partition = a_partition(a_wiring(answers=True))
    effects = partition.apply([[a_record(Put(value=1, reply_key=reply_key))]], NOW)
    assert (effects.outgoing[0].partition, effects.outgoing[0].key) == (place, b"1")


def test_an_event_that_is_no_answer_goes_by_its_key() -> None:
    effects = a_partition().apply([[a_record(Put(value=2, reply_key="5"))]], NOW)
    assert effects.outgoing[0].partition == 2


def test_an_event_that_ends_what_stands_under_its_key_is_written_as_a_tombstone() -> None:
    wiring = replace(a_wiring(), outputs={Done: Output(STATE, lambda _: b"ended", tombstone=True)})
    effects = a_partition(wiring).apply([[a_record(Put(value=1))]], NOW)
    (ended,) = (out for out in effects.outgoing if out.key == b"ended")
    assert (ended.topic, ended.value) == (STATE, None)
    assert [type(event) for step in effects.steps for event in step.events] == [Done]
    with pytest.raises(ValueError, match="not compacted"):
        replace(a_wiring(), outputs={Done: Output(OUTPUT, lambda _: b"ended", tombstone=True)})


def test_a_tick_comes_when_it_is_due_and_once() -> None:
    partition = a_partition()
    partition.apply([[a_record(Put(value=1, wake_at=NOW + 5))]], NOW)
    assert partition.wake(NOW + 4, limit=9) == Effects(NOW + 4)
    effects = partition.wake(NOW + 6, limit=9)
    assert results(effects) == [str(NOW + 6).encode()]
    assert partition.next_wake is None
    assert partition.wake(NOW + 7, limit=9).handled == 0


def test_a_tick_that_has_come_is_gone_from_the_log_too() -> None:
    partition = a_partition()
    asked = partition.apply([[a_record(Put(value=1, wake_at=NOW + 5))]], NOW)
    rung = partition.wake(NOW + 5, limit=9)
    successor = restored(Effects(NOW, outgoing=asked.outgoing + rung.outgoing))
    assert successor.next_wake is None
    assert not successor.state


def test_ticks_come_in_the_order_of_their_times_and_no_more_than_asked() -> None:
    partition = a_partition()
    wishes = [a_record(Put(value=v, wake_at=NOW + at), v) for v, at in enumerate((30, 10, 20))]
    partition.apply([wishes], NOW)
    assert partition.wake(NOW + 99, limit=2).handled == 2
    assert partition.next_wake == NOW + 30


def test_equal_wishes_are_one() -> None:
    partition = a_partition()
    partition.apply([[a_record(Put(value=v, wake_at=NOW), v) for v in range(3)]], NOW)
    assert partition.wake(NOW, limit=9).handled == 1


def test_a_tick_whose_handling_raises_is_still_pending_in_the_log() -> None:
    partition = a_partition()
    asked = partition.apply([[a_record(Put(value=1, wake_at=13))]], NOW)
    failed = partition.wake(NOW, limit=9)
    assert isinstance(failed.failure, HandlerError)
    assert not failed.outgoing
    assert restored(asked).next_wake == 13


def test_a_tick_keeps_the_conversation_of_the_message_that_asked() -> None:
    headers = CloudEvent(COMMAND, "Put", "/gateway", 0, "conversation", None).headers()
    partition = a_partition()
    partition.apply([[a_record(Put(value=1, wake_at=NOW), headers=headers)]], NOW)
    (done,) = [out for out in partition.wake(NOW, limit=1).outgoing if out.topic is OUTPUT]
    assert dict(done.headers)["ce_correlationid"] == b"conversation"
    tick = caused_id(COMMAND, f"Tick/{NOW}/{b'alarm'.hex()}")
    assert dict(done.headers)["ce_causationid"] == str(tick).encode()


def test_a_group_that_is_ahead_of_an_empty_state_is_refused() -> None:
    with pytest.raises(StateLostError, match=r"t\.state\.v1-3 holds no position"):
        a_partition().resume({INPUT.name: 5, SECOND.name: None})


@pytest.mark.parametrize("committed", [1, 9])
def test_a_groups_offset_never_overtakes_the_position_of_the_restored_state(committed: int) -> None:
    log = a_partition().apply([[a_record(Put(value=1), 4)]], NOW)
    assert restored(log).resume({INPUT.name: committed})[INPUT.name] == 5


def test_what_an_operator_says_to_leave_out_is_left_out_once_and_never_back() -> None:
    partition = a_partition()
    log = partition.apply([[a_record(Put(value=1, wake_at=13), 4)], [a_record(Fail(), 8)]], NOW)
    tick = next(out.key for out in log.outgoing if b"tick" in out.key)
    told = Skip(offsets={INPUT.name: 9, SECOND.name: 0, "foreign.v1": 7}, ticks=(tick,), reason="", ts=NOW)
    successor = restored(log)
    successor.restore(SKIP_KEY, encode(told))
    successor.resume({INPUT.name: 5})
    done = successor.skip(NOW)
    assert successor.offsets == done.offsets == {INPUT.name: 9}
    assert successor.next_wake is None
    assert not successor.skip(NOW).outgoing
    again = restored(Effects(NOW, outgoing=log.outgoing + done.outgoing))
    assert (again.offsets, again.next_wake, again.skips) == ({INPUT.name: 9}, None, None)
    assert again.state == partition.state


def test_a_command_that_the_handler_raises_on_is_refused_kept_and_undone_and_the_next_is_done() -> None:
    headers = CloudEvent(COMMAND, "Burst", "/gateway", 0, "conversation", None).headers()
    partition = a_partition(an_answering_wiring())
    burst = Burst(command_id=str(COMMAND), reply_key="5")
    effects = partition.apply([[a_record(burst, 3, headers=headers), a_record(Put(value=2), 4)]], NOW)
    answer, letter = (
        next(out for out in effects.outgoing if out.topic is topic) for topic in (ANSWERS, DEAD_LETTERS)
    )
    refused = decode(ANSWERS, answer.value or b"")
    assert isinstance(refused, CommandRejected)
    assert (refused.refusal, refused.command, refused.key) == (Refusal.INTERNAL, "Burst", "7")
    assert "ZeroDivisionError" in refused.detail
    assert "t.commands.v1/3/3" in refused.detail
    assert (answer.partition, dict(answer.headers)["ce_correlationid"]) == (5, b"conversation")
    told = dict(letter.headers)
    assert (letter.value, told["source"]) == (encode(burst), b"t.commands.v1/3/3")
    assert b"raise ZeroDivisionError" in told["traceback"]
    assert effects.failure is None
    assert [str(failure) for failure in effects.failures] == ["t.commands.v1/3/3: ZeroDivisionError: command"]
    assert dict(partition.state) == {b"k": Kept(value=2)}
    assert effects.offsets == {INPUT.name: 5}


def test_a_command_that_breaks_a_rule_is_refused_before_the_handler_sees_it() -> None:
    effects = a_partition(an_answering_wiring()).apply([[a_record(Burst(command_id="one"))]], NOW)
    refused = decode(ANSWERS, next(out.value for out in effects.outgoing if out.topic is ANSWERS) or b"")
    assert isinstance(refused, CommandRejected)
    assert (refused.refusal, refused.faults[0].field) == (Refusal.INVALID, "commandId")
    assert not effects.failures


def test_a_fresh_service_begins_without_a_position() -> None:
    assert a_partition().resume({INPUT.name: None, SECOND.name: None}) == {}


def test_a_foreign_record_in_the_states_log_is_told_until_another_takes_its_place() -> None:
    partition = a_partition()
    partition.restore(b"k", encode(Put(value=1)))
    assert partition.unreadable == {b"k": "t.state.v1: Invalid value 'Put' - at `$.type`"}
    partition.restore(b"k", None)
    assert not partition.unreadable


def test_a_states_key_cannot_be_the_processors() -> None:
    state: State[Kept] = State()
    for key in (b"", POSITION_KEY):
        with pytest.raises(ValueError, match="zero byte"):
            state.put(key, Kept(value=1))


def test_undo_takes_back_puts_and_removals_to_the_last_keep() -> None:
    state: State[Kept] = State()
    state.put(b"a", Kept(value=1))
    state.keep()
    state.put(b"a", Kept(value=2))
    state.put(b"a", Kept(value=3))
    state.put(b"b", Kept(value=4))
    state.remove(b"a")
    state.undo()
    assert dict(state) == {b"a": Kept(value=1)}
    assert state.take_changes() == [(b"a", Kept(value=1))]
    assert state.take_changes() == []


def test_a_wiring_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="compacted"):
        replace(a_wiring(), state=OUTPUT)
    with pytest.raises(ValueError, match=r"t\.state\.v1 takes no Done"):
        replace(a_wiring(), outputs={Done: Output(STATE, lambda _: b"")})
    with pytest.raises(ValueError, match="no view"):
        replace(a_wiring(), announce=list)


def test_an_event_that_only_a_newer_version_knows_is_left_out_and_counted_a_command_is_kept() -> None:
    class Newer(Event, frozen=True, kw_only=True):
        pass

    partition = a_partition(an_answering_wiring())
    events = [a_record(Newer(), 0, topic=SECOND), a_record(Put(value=2), 1, topic=SECOND)]
    effects = partition.apply([events], NOW)
    assert (effects.left_out, effects.dead_letters, effects.handled) == (1, 0, 1)
    assert effects.offsets == {SECOND.name: 2}
    effects = partition.apply([[a_record(Newer(), 0)]], NOW)
    assert (effects.left_out, effects.dead_letters) == (0, 1), "its sender waits for an answer"


@pytest.mark.parametrize("by_ns", [-3_600_000_000_000, 3_600_000_000_000])
def test_what_is_due_moves_as_the_clock_is_set_in_the_log_too_and_comes_once(by_ns: int) -> None:
    def step_clock(state: State[Kept], by: int) -> None:
        state.put(b"stepped", Kept(value=by))

    partition = a_partition(replace(a_wiring(), step_clock=step_clock))
    asked = partition.apply([[a_record(Put(value=1, wake_at=NOW + 5))]], NOW)
    stepped = partition.step_clock(by_ns, NOW + by_ns)
    assert partition.state[b"stepped"] == Kept(value=by_ns)
    successor = restored(Effects(NOW, outgoing=asked.outgoing + stepped.outgoing))
    for each in (partition, successor):
        assert each.next_wake == NOW + by_ns + 5
        assert each.wake(NOW + by_ns + 4, limit=9).handled == 0
        assert each.wake(NOW + by_ns + 5, limit=9).handled == 1
        assert each.next_wake is None


def test_a_state_that_cannot_be_given_todays_form_stops_its_partition_and_not_the_process() -> None:
    def migrate(_state: State[Kept]) -> None:
        raise ValueError("b'foo' is no place")

    partition = a_partition(replace(a_wiring(), migrate=migrate))
    with pytest.raises(HandlerError, match=r"t\.state\.v1-3: b'foo' is no place"):
        next(partition.migrate(NOW, limit=10))


def test_what_was_undone_after_its_size_was_found_wrong_leaves_the_value_before_to_be_written() -> None:
    narrow = replace(STATE, max_message_bytes=150)

    def put(state: State[Kept], message: Put, _now: int) -> list[Event | WakeAt]:
        state.put(b"k", Kept(value=message.value))
        if message.value == 2:
            state.put(b"k" * 100, Kept(value=2))
        return []

    partition = a_partition(replace(a_wiring(), state=narrow, handle=put))
    effects = partition.apply([[a_record(Put(value=1), 0), a_record(Put(value=2), 1)]], NOW)
    assert "takes 2" in str(effects.failure)
    assert [out.value for out in effects.outgoing if out.key == b"k"] == [encode(Kept(value=1))]
    again = partition.apply([[a_record(Put(value=3), 1)]], NOW)
    assert [out.value for out in again.outgoing if out.key == b"k"] == [encode(Kept(value=3))]
