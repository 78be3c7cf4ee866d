"""A message that its topic does not take is refused by itself: nothing else of its turn, and no process."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from libs.common.codec import decode, encode
from libs.common.events import Command, CommandRejected, Event, Refusal
from libs.common.handling import Output, State, Tick, WakeAt, Wiring
from libs.common.message_sizes import TooLargeError, check_size, record_size
from libs.common.partition import POSITION_KEY, Effects, HandlerError, Incoming, Partition
from libs.common.topics import DEAD_LETTERS, Key, Topic
from tests.hostile_batches import batch_of

NOW = 1_800_000_000_000_000_000
LIMIT = 10_000


class Say(Event, frozen=True, kw_only=True):
    out: int  # bytes of the event it causes, beside a small one
    kept: int = 0  # of the state
    wake: bool = False


class Ask(Command, frozen=True, kw_only=True):
    out: int
    kept: int = 0


class Kept(Event, frozen=True, kw_only=True):
    text: str


class Said(Event, frozen=True, kw_only=True):
    text: str


INPUT = Topic("t.commands.v1", (Say, Ask), Key.ORIGINAL, ("tests",))
OUTPUT = Topic("t.results.v1", (Said,), Key.ORIGINAL, ("tests",), max_message_bytes=LIMIT)
ANSWERS = Topic("t.refusals.v1", (CommandRejected,), Key.ORIGINAL, ("tests",))
STATE = Topic("t.state.v1", (Kept,), Key.ORIGINAL, ("tests",), compacted=True, max_message_bytes=LIMIT)


def handle(state: State[Kept], message: Say | Ask | Tick, now: int) -> list[Event | WakeAt]:
    if isinstance(message, Tick):
        return [Said(text="x" * LIMIT), Said(text="after the tick")]
    state.put(b"k", Kept(text="k" * message.kept))
    said = [Said(text="x" * message.out), Said(text="small")]
    return [*said, WakeAt(now + 1, b"w")] if isinstance(message, Say) and message.wake else list(said)


def a_partition() -> Partition[Kept]:
    outputs: dict[type[Event], Output] = {
        Said: Output(OUTPUT, lambda said: said.text[:5].encode()),
        CommandRejected: Output(ANSWERS, lambda answer: answer.key.encode(), answers=True),
    }
    wiring = Wiring(service="t", inputs=(INPUT,), state=STATE, outputs=outputs, handle=handle)
    return Partition(wiring, 0, place=lambda _key: 0)


def a_record(message: Event, offset: int = 0) -> Incoming:
    return Incoming(INPUT, 0, offset, 0, b"key", encode(message))


def texts(effects: Effects) -> list[str]:
    written = [decode(OUTPUT, out.value or b"") for out in effects.outgoing if out.topic is OUTPUT]
    return [said.text for said in written if isinstance(said, Said)]


def letters(effects: Effects) -> list[dict[str, str]]:
    found = [out for out in effects.outgoing if out.topic is DEAD_LETTERS]
    return [{name: text.decode() for name, text in out.headers} for out in found]


def state_of(effects: Effects) -> dict[bytes, bytes | None]:
    kept = {out.key: out.value for out in effects.outgoing if out.topic is STATE}
    kept.pop(POSITION_KEY, None)
    return kept


def test_all_that_is_written_is_within_its_topics_limit() -> None:
    messages: list[Event] = [Say(out=LIMIT), Say(out=1, kept=LIMIT - 200), Ask(command_id=ID, out=LIMIT)]
    partition = a_partition()
    for offset, message in enumerate(messages):
        effects = partition.apply([[a_record(message, offset)]], NOW)
        for out in effects.outgoing:
            check_size(out.topic, out.key, out.value, out.headers)


ID = str(UUID(int=7))


def test_a_command_whose_answer_is_too_large_is_refused_and_nothing_of_it_is_done() -> None:
    partition = a_partition()
    effects = partition.apply(
        [[a_record(Ask(command_id=ID, out=LIMIT, kept=5)), a_record(Say(out=3), 1)]], NOW
    )
    answer = decode(ANSWERS, next(out.value for out in effects.outgoing if out.topic is ANSWERS) or b"")
    assert isinstance(answer, CommandRejected)
    assert (answer.command_id, answer.refusal) == (ID, Refusal.INTERNAL)
    assert "t.results.v1 takes 10000 at most" in answer.detail
    assert texts(effects) == ["xxx", "small"]  # of the message behind it alone
    assert partition.state[b"k"] == Kept(text="")
    assert effects.failure is None
    assert len(letters(effects)) == 1


def test_a_command_whose_state_is_too_large_is_refused_and_nothing_of_it_is_done() -> None:
    partition = a_partition()
    partition.apply([[a_record(Say(out=1, kept=3))]], NOW)
    effects = partition.apply([[a_record(Ask(command_id=ID, out=1, kept=LIMIT), 1)]], NOW)
    answer = decode(ANSWERS, next(out.value for out in effects.outgoing if out.topic is ANSWERS) or b"")
    assert isinstance(answer, CommandRejected)
    assert "t.state.v1 takes 10000 at most" in answer.detail
    assert state_of(effects) == {}
    assert partition.state[b"k"] == Kept(text="kkk")


def test_what_an_event_causes_too_large_is_a_dead_letter_and_the_rest_of_the_turn_stands() -> None:
    partition = a_partition()
    effects = partition.apply([[a_record(Say(out=LIMIT, kept=4)), a_record(Say(out=2, kept=5), 1)]], NOW)
    assert texts(effects) == ["small", "xx", "small"]
    (letter,) = letters(effects)
    assert "takes 10" in letter["reason"]
    assert "t.results.v1 takes 10000 at most" in letter["reason"]
    assert letter["source"] == "t.commands.v1/0/0"
    assert [str(error) for error in effects.too_large] == [letter["reason"]]
    assert state_of(effects) == {b"k": encode(Kept(text="kkkkk"))}
    assert (effects.handled, effects.failure) == (2, None)
    assert [len(step.events) for step in effects.steps] == [1, 2]


def test_what_a_tick_causes_too_large_is_a_dead_letter_and_the_tick_is_done() -> None:
    partition = a_partition()
    partition.apply([[a_record(Say(out=1, wake=True))]], NOW)
    effects = partition.wake(NOW + 1, 10)
    assert texts(effects) == ["after the tick"]
    assert len(letters(effects)) == 1
    assert partition.next_wake is None


def test_an_event_whose_state_is_too_large_stops_its_partition_and_nothing_of_it_is_done() -> None:
    partition = a_partition()
    effects = partition.apply([[a_record(Say(out=1, kept=3)), a_record(Say(out=1, kept=LIMIT), 1)]], NOW)
    assert isinstance(effects.failure, HandlerError)
    assert "t.state.v1 takes 10000 at most" in str(effects.failure)
    assert effects.offsets == {INPUT.name: 1}
    assert state_of(effects) == {b"k": encode(Kept(text="kkk"))}


@pytest.mark.parametrize("key", [b"", b"k" * 300])
@pytest.mark.parametrize("length", [None, 0, 5_000_000])
@pytest.mark.parametrize("headers", [(), [("ce_id", b"x" * 200), ("é", b"")]])
def test_a_batch_of_the_record_is_never_larger_than_what_was_measured(
    key: bytes, length: int | None, headers: list[tuple[str, bytes]]
) -> None:
    value = None if length is None else bytes(length)
    assert len(batch_of([(key, value, headers)])) <= record_size(key, value, headers)


def test_the_refusal_says_what_was_too_large_how_large_and_what_would_be_right() -> None:
    topic = replace(OUTPUT, max_message_bytes=500)
    check_size(topic, b"k", bytes(500 - record_size(b"k", None)))
    with pytest.raises(TooLargeError) as caught:
        check_size(topic, b"\xff" + b"k" * 400, bytes(100))
    assert str(caught.value) == (
        f"the message under key '\\\\xff{'k' * 79}…' takes 598 bytes; t.results.v1 takes 500 at most"
    )
