"""One partition of a stateful service: from records and the time to the effects of one transaction; pure.

The state's log holds, besides the service's own keys, two kinds of records under keys that start with a zero
byte: the position (next offset per input, so that state and progress are one thing), and a `Tick` per wish.
One more record there is not the owner's: an operator's `Skip`.

No transaction holds a record that its topic does not take. A command that would cause one is refused, and
nothing of it is done. Of any other message what is too large is kept as a dead letter in its place, and the
rest is written: the state is true, and who reads that topic lacks one record, of which it is told. Where the
state itself would be too large, that is a failure of the handler: nothing of the message is done, and the
partition stops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import merge
from traceback import format_exception
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast
from uuid import UUID

import msgspec

from libs.common.amounts import absurd_amount
from libs.common.cloudevents import CloudEvent, caused_id, identity, position_id
from libs.common.codec import UndecodableMessageError, UnknownMessageError, decode, encode
from libs.common.command_rules import echoed, refused_as_internal, refused_at_the_door
from libs.common.dead_letters import dead_letter
from libs.common.effects import Effects, HandlerError, Incoming, Outgoing, Step
from libs.common.events import Command, CommandRejected, Event
from libs.common.handling import RESERVED, Tick, WakeAt
from libs.common.message_sizes import TooLargeError, check_size
from libs.common.skips import SKIP_KEY, Skip, merged
from libs.common.ticks import TICK, Ticks, tick_key
from libs.common.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from libs.common.handling import State, Wiring

__all__ = [
    "POSITION_KEY",
    "Effects",
    "HandlerError",
    "Incoming",
    "Outgoing",
    "Partition",
    "Position",
    "StateLostError",
    "Step",
    "UnroutedEventError",
]

S = TypeVar("S", bound=Event)

POSITION_KEY: Final = RESERVED + b"position"


class UnroutedEventError(Exception):
    """A handler returned an event that the wiring gives no topic."""


class StateLostError(Exception):
    """The group has a position, but the state's log has none: the state topic was deleted or replaced."""


class Position(Event, frozen=True, kw_only=True):
    """The next offset of each input, by topic name; written with every transaction."""

    offsets: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Cause:
    message: Event
    id: UUID
    correlation_id: str
    key: bytes | None  # None for a tick
    source: str
    record: Incoming | None = None


class Partition(Generic[S]):
    """The state, position and pending ticks of one partition number; changes in place.

    Parameters
    ----------
    place
        The partition of a key, the same for all topics.
    """

    def __init__(self, wiring: Wiring[S], number: int, place: Callable[[bytes], int]) -> None:
        self.number = number
        self.state: State[S] = wiring.new_state()
        self.offsets: dict[str, int] = {}
        self._wiring = wiring
        self._place = place
        self._log = replace(wiring.state, events=(*wiring.state.events, Position, Skip, Tick))
        self.skips: Skip | None = None  # not done yet
        self.unreadable: dict[bytes, str] = {}  # by key: why its newest record in the log is none of ours
        self._ticks = Ticks()
        self._checked: dict[bytes, tuple[S | None, bytes | None]] = {}  # what it puts, and its bytes

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Fold a record of the state's log; one that is none of this service's is `unreadable`."""
        self.unreadable.pop(key, None)
        try:
            event = None if value is None else decode(self._log, value)
        except UndecodableMessageError as error:
            self.unreadable[key] = str(error)
            return
        if key == POSITION_KEY and isinstance(event, Position):
            self.offsets = dict(event.offsets)
        elif key == SKIP_KEY:
            self.skips = merged(self.skips, event) if isinstance(event, Skip) else None
        elif key.startswith(TICK):
            self._ticks.pop(key)
            if isinstance(event, Tick):
                self._ticks.add(key, event)
        else:
            self.state.restore(key, cast("S | None", event))

    def resume(self, committed: Mapping[str, int | None]) -> Mapping[str, int]:
        """Return the next offset per input, given what the group has committed; None where nothing was.

        Only the position in the state's log counts. The group's offsets are for those who watch its lag: they
        come from the same transactions, so one that is beyond shows that the end of the state's log was lost,
        and what is missing is handled again.

        Raises
        ------
        StateLostError
            If only the group has a position.
        """
        known = {name: offset for name, offset in committed.items() if offset is not None}
        if known and not self.offsets:
            raise StateLostError(
                f"{self._wiring.state.name}-{self.number} holds no position, but group {self._wiring.service}"
                f" is at {known}: restore the topic, or delete the group to begin anew"
            )
        return self.offsets

    def migrate(self, now: int, limit: int) -> Iterator[Effects]:
        """Give what older versions left in the state today's form; yield what to write, `limit` at a time."""
        try:
            self._wiring.migrate(self.state)
        except Exception as error:  # what no version wrote: the partition stops, and not the process
            raise HandlerError(f"{self._log.name}-{self.number}: {echoed(str(error))}") from error
        self.state.keep()
        writes = self._finished(Effects(now)).outgoing
        for first in range(0, len(writes), limit):
            yield Effects(now, outgoing=writes[first : first + limit])

    def skip(self, now: int) -> Effects:
        """Leave out what an operator has said is to be left out, once."""
        effects = Effects(now)
        if self.skips is None:
            return effects
        inputs = {topic.name for topic in self._wiring.inputs}
        for name, offset in self.skips.offsets.items():
            if name in inputs and offset > self.offsets.get(name, 0):
                self.offsets[name] = effects.offsets[name] = offset
        for key in self.skips.ticks:
            if self._ticks.pop(key) is not None:
                self._write(effects, key, None)
        self._write(effects, POSITION_KEY, Position(offsets=dict(self.offsets)))
        self._write(effects, SKIP_KEY, None)
        self.skips = None
        return effects

    @property
    def next_wake(self) -> int | None:
        """When the earliest pending tick is due, ns UTC."""
        return self._ticks.next_due

    def ripe(self, now: int) -> bool:
        """Tell whether a tick is to be handled at `now`."""
        return self._ripe(now) is not None

    def apply(self, batches: Iterable[Sequence[Incoming]], now: int) -> Effects:
        """Handle batches of the inputs, one per topic, merged by time; stale records are dropped.

        A fetcher that started before this partition was fenced hands out records from an older offset, so
        what lies before the position was handled already.
        """
        effects = Effects(now)
        for record in merge(*batches, key=lambda incoming: incoming.timestamp_ms):
            if record.offset < self.offsets.get(record.topic.name, 0):
                effects.stale += 1
                continue
            if not self._accept(record, effects):
                break
            self.offsets[record.topic.name] = effects.offsets[record.topic.name] = record.offset + 1
        if effects.offsets:
            self._write(effects, POSITION_KEY, Position(offsets=dict(self.offsets)))
        return self._finished(effects)

    def wake(self, now: int, limit: int) -> Effects:
        """Handle up to `limit` ticks that are due at `now`, in the order of their times, then early ones."""
        effects = Effects(now)
        while effects.handled < limit and (key := self._ripe(now)) is not None:
            tick = self._ticks.pop(key)
            assert tick is not None  # noqa: S101 -- it is pending
            identifier = caused_id(UUID(tick.causation_id), f"Tick/{tick.due_ts}/{tick.key.hex()}")
            source = f"{self._wiring.state.name}/{self.number}/{key.hex()}"
            cause = _Cause(tick, identifier, tick.correlation_id, None, source)
            self._write(effects, key, None)
            if not self._handle(cause, effects):
                effects.outgoing.pop()  # the tick is still pending
                break
        return self._finished(effects)

    def _ripe(self, now: int) -> bytes | None:
        due = self._ticks.next_due
        if due is not None and due <= now:
            return self._ticks.first
        return self._ticks.one_of(self._wiring.early(self.state, now))

    def step_clock(self, by_ns: int, now: int) -> Effects:
        """Move all that is due, ticks and what the state has scheduled, by what the clock was set.

        So nothing waits for a time that will not come for long, and nothing falls due all at once.
        """
        effects = Effects(now)
        ticks = self._ticks.pop_all()
        for key in ticks:
            self._write(effects, key, None)
        for tick in ticks.values():
            moved = msgspec.structs.replace(tick, due_ts=tick.due_ts + by_ns)
            self._ticks.add(tick_key(moved.due_ts, moved.key), moved)
            self._write(effects, tick_key(moved.due_ts, moved.key), moved)
        self._wiring.step_clock(self.state, by_ns)
        self.state.keep()
        return self._finished(effects)

    def _accept(self, record: Incoming, effects: Effects) -> bool:
        source = f"{record.topic.name}/{record.partition}/{record.offset}"
        try:
            message = _message_of(record)
        except UndecodableMessageError as error:
            commands = any(issubclass(event, Command) for event in record.topic.events)
            if isinstance(error, UnknownMessageError) and not commands:
                effects.left_out += 1
                return True
            letter = dead_letter(record.key, record.value or b"", str(error), source, record.headers)
            effects.outgoing.append(Outgoing(DEAD_LETTERS, self._place(letter[0]), *letter))
            effects.dead_letters += 1
            return True
        fallback = position_id(record.topic.name, record.partition, record.offset)
        cause = _Cause(message, *identity(record.headers, fallback), record.key, source, record)
        if (refused := refused_at_the_door(message, _text(record.key), effects.now)) is not None:
            self._answer(refused, cause, effects)
            return True
        return self._handle(cause, effects)

    def _handle(self, cause: _Cause, effects: Effects) -> bool:
        try:
            returned = self._wiring.handle(self.state, cause.message, effects.now)
            events = [event for event in returned if isinstance(event, Event)]
            sends = [self._routed(event, cause, effects.now, n) for n, event in enumerate(events)]
            too_large = [self._too_large(send, cause) for send in sends]
            self._check_state()
        except Exception as error:  # noqa: BLE001 -- a command's is told and kept; the shell raises any other
            self.state.undo()
            failure = HandlerError(f"{cause.source}: {type(error).__name__}: {echoed(str(error))}")
            failure.__cause__ = error
            if isinstance(cause.message, Command):
                self._refuse_failed(cause, cause.message, failure, effects)
                return True
            effects.failure = failure
            return False
        self.state.keep()
        for send, wrong in zip(sends, too_large, strict=True):
            effects.outgoing.append(send if wrong is None else self._letter_about(send, wrong, cause))
        effects.too_large += filter(None, too_large)
        events = [event for event, wrong in zip(events, too_large, strict=True) if wrong is None]
        for wish in returned:
            if isinstance(wish, WakeAt):
                self._wish(effects, wish, cause)
        effects.handled += 1
        effects.steps.append(Step(cause.message, events, cause.correlation_id))
        return True

    def _too_large(self, send: Outgoing, cause: _Cause) -> TooLargeError | None:
        """Return why this output is not written.

        Raises
        ------
        TooLargeError
            If a command causes it: that is refused as a whole.
        """
        try:
            check_size(send.topic, send.key, send.value, send.headers)
        except TooLargeError as error:
            if isinstance(cause.message, Command):
                raise
            return error
        return None

    def _letter_about(self, send: Outgoing, error: TooLargeError, cause: _Cause) -> Outgoing:
        letter = dead_letter(send.key, send.value or b"", str(error), cause.source, send.headers)
        return Outgoing(DEAD_LETTERS, self._place(letter[0]), *letter)

    def _check_state(self) -> None:
        """See that all which the handler has put can be written.

        Raises
        ------
        TooLargeError
            If the state's log does not take a record of it.
        """
        for key, value in self.state.changing():
            self._checked[key] = value, None if value is None else encode(value)
            check_size(self._wiring.state, key, self._checked[key][1])

    def _refuse_failed(
        self, cause: _Cause, command: Command, failure: HandlerError, effects: Effects
    ) -> None:
        """Answer a command that the handler raised on, and keep it with the reason; nothing of it is done."""
        effects.failures.append(failure)
        record = cause.record
        assert record is not None  # noqa: S101 -- only ticks have none
        traceback = "".join(format_exception(failure.__cause__))
        letter = dead_letter(
            record.key, record.value or b"", str(failure), cause.source, record.headers, traceback
        )
        effects.outgoing.append(Outgoing(DEAD_LETTERS, self._place(letter[0]), *letter))
        service, key, raised = self._wiring.service, _text(record.key), failure.__cause__
        answer = refused_as_internal(command, key, service, raised, cause.source, effects.now)
        self._answer(answer, cause, effects)

    def _answer(self, refused: CommandRejected, cause: _Cause, effects: Effects) -> None:
        effects.outgoing.append(self._routed(refused, cause, effects.now, 0))
        effects.handled += 1
        effects.steps.append(Step(cause.message, (refused,), cause.correlation_id))

    def _routed(self, event: Event, cause: _Cause, now: int, n: int) -> Outgoing:
        name = type(event).__name__
        output = self._wiring.outputs.get(type(event))
        if output is None:
            raise UnroutedEventError(f"{self._wiring.service} names no topic for {name}")
        key = output.key(event)
        attributes = CloudEvent(
            id=UUID(event.command_id) if isinstance(event, Command) else caused_id(cause.id, f"{name}/{n}"),
            type=name,
            source=f"/services/{self._wiring.service}",
            time=now,
            correlation_id=cause.correlation_id,
            causation_id=cause.id,
        )
        reply_key = _reply_key(cause) if output.answers else None
        place = self._place(key if reply_key is None else reply_key)
        value = None if output.tombstone else encode(event)
        return Outgoing(output.topic, place, key, value, attributes.headers())

    def _wish(self, effects: Effects, wish: WakeAt, cause: _Cause) -> None:
        key = tick_key(wish.ts, wish.key)
        if key in self._ticks:
            return
        tick = Tick(
            due_ts=wish.ts, key=wish.key, causation_id=str(cause.id), correlation_id=cause.correlation_id
        )
        self._ticks.add(key, tick)
        self._write(effects, key, tick)

    def _write(self, effects: Effects, key: bytes, value: Event | None) -> None:
        checked, encoded = self._checked.get(key, (None, None))
        if value is not checked:  # it is the processor's own, or one that was undone was checked after it
            encoded = None if value is None else encode(value)
        effects.outgoing.append(Outgoing(self._wiring.state, self.number, key, encoded))

    def _finished(self, effects: Effects) -> Effects:
        for key, value in self.state.take_changes():
            self._write(effects, key, value)
        self._checked.clear()
        return effects


def _message_of(record: Incoming) -> Event:
    """Return the message; a tombstone is none here, and what a command may not hold is told to who sent it.

    Raises
    ------
    UndecodableMessageError
        If there is none that any handler may see.
    """
    message = decode(record.topic, record.value or b"")
    if not isinstance(message, Command) and (wrong := absurd_amount(message)) is not None:
        raise UndecodableMessageError(f"{record.topic.name}: {wrong}")
    return message


def _text(key: bytes) -> str:
    return key.decode("utf-8", "replace")


def _reply_key(cause: _Cause) -> bytes | None:
    named: str | None = getattr(cause.message, "reply_key", None)  # an optional field of commands
    return cause.key if named is None else named.encode()
