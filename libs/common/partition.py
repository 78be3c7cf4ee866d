"""One partition of a stateful service: from records and the time to the effects of one transaction; pure.

The state's log holds, besides the service's own keys, two kinds of records under keys that start with a zero
byte: the position (next offset per input, so that state and progress are one thing), and a `Tick` per wish.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heappop, heappush, merge
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast
from uuid import UUID

from libs.common.cloudevents import CloudEvent, caused_id, identity, position_id
from libs.common.codec import UndecodableMessageError, decode, encode
from libs.common.dead_letters import dead_letter
from libs.common.events import Command, Event
from libs.common.handling import RESERVED, State, Tick, WakeAt
from libs.common.topics import DEAD_LETTERS, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from libs.common.cloudevents import Headers
    from libs.common.handling import Wiring

S = TypeVar("S", bound=Event)

POSITION_KEY: Final = RESERVED + b"position"
_TICK: Final = RESERVED + b"tick/"


class HandlerError(Exception):
    """A handler raised: an invariant is broken, and the partition stops before the message that showed it."""


class UnroutedEventError(Exception):
    """A handler returned an event that the wiring gives no topic."""


class StateLostError(Exception):
    """The group has a position, but the state's log has none: the state topic was deleted or replaced."""


class Position(Event, frozen=True, kw_only=True):
    """The next offset of each input, by topic name; written with every transaction."""

    offsets: dict[str, int]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record of an input as it came, not yet decoded."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written; None is a tombstone."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One message handled, and what it caused."""

    message: Event
    events: Sequence[Event]
    correlation_id: str


@dataclass(slots=True)
class Effects:
    """What one transaction writes, and the input offsets it reaches; `failure` came after all that."""

    now: int  # ns UTC, the time of all it writes
    outgoing: list[Outgoing] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    handled: int = 0
    stale: int = 0
    dead_letters: int = 0
    failure: HandlerError | None = None


@dataclass(frozen=True, slots=True)
class _Cause:
    message: Event
    id: UUID
    correlation_id: str
    key: bytes | None  # None for a tick
    source: str


class Partition(Generic[S]):
    """The state, position and pending ticks of one partition number; changes in place.

    Parameters
    ----------
    place
        The partition of a key, the same for all topics.
    """

    def __init__(self, wiring: Wiring[S], number: int, place: Callable[[bytes], int]) -> None:
        self.number = number
        self.state: State[S] = State()
        self.offsets: dict[str, int] = {}
        self._wiring = wiring
        self._place = place
        self._log = replace(wiring.state, events=(*wiring.state.events, Position, Tick))
        self._ticks: dict[bytes, Tick] = {}
        self._queue: list[tuple[int, bytes]] = []

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Fold a record of the state's log.

        Raises
        ------
        UndecodableMessageError
            If it is none of this service's.
        """
        event = None if value is None else decode(self._log, value)
        if key == POSITION_KEY and isinstance(event, Position):
            self.offsets = dict(event.offsets)
        elif key.startswith(_TICK):
            self._ticks.pop(key, None)
            if isinstance(event, Tick):
                self._remember(key, event)
        else:
            self.state.restore(key, cast("S | None", event))

    def resume(self, committed: Mapping[str, int | None]) -> Mapping[str, int]:
        """Return the next offset per input, given what the group has committed; None where nothing was.

        The position in the state's log counts. A group's offset that is beyond it was moved there by an
        operator, to leave messages out, and is followed.

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
        for name in committed:
            if name in known or name in self.offsets:
                self.offsets[name] = max(known.get(name, 0), self.offsets.get(name, 0))
        return self.offsets

    @property
    def next_wake(self) -> int | None:
        """When the earliest pending tick is due, ns UTC."""
        while self._queue and self._queue[0][1] not in self._ticks:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else None

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
        """Handle up to `limit` ticks that are due at `now`, in the order of their times."""
        effects = Effects(now)
        while effects.handled < limit and (due := self.next_wake) is not None and due <= now:
            key = self._queue[0][1]
            tick = self._ticks.pop(key)
            identifier = caused_id(UUID(tick.causation_id), f"Tick/{tick.due_ts}/{tick.key.hex()}")
            source = f"{self._wiring.state.name}/{self.number}/{key!r}"
            cause = _Cause(tick, identifier, tick.correlation_id, None, source)
            self._write(effects, key, None)
            if not self._handle(cause, effects):
                effects.outgoing.pop()  # the tick is still pending
                break
        return self._finished(effects)

    def _accept(self, record: Incoming, effects: Effects) -> bool:
        source = f"{record.topic.name}/{record.partition}/{record.offset}"
        try:
            message = decode(record.topic, record.value or b"")  # a tombstone is no message here
        except UndecodableMessageError as error:
            letter = dead_letter(record.key, record.value or b"", str(error), source, record.headers)
            effects.outgoing.append(Outgoing(DEAD_LETTERS, self._place(letter[0]), *letter))
            effects.dead_letters += 1
            return True
        fallback = position_id(record.topic.name, record.partition, record.offset)
        identifier, correlation_id = identity(record.headers, fallback)
        return self._handle(_Cause(message, identifier, correlation_id, record.key, source), effects)

    def _handle(self, cause: _Cause, effects: Effects) -> bool:
        try:
            returned = self._wiring.handle(self.state, cause.message, effects.now)
            events = [event for event in returned if isinstance(event, Event)]
            sends = [self._routed(event, cause, effects.now, n) for n, event in enumerate(events)]
        except Exception as error:  # noqa: BLE001 -- whatever it is, the shell raises it again
            self.state.undo()
            effects.failure = HandlerError(f"{cause.source}: {type(error).__name__}: {error}")
            effects.failure.__cause__ = error
            return False
        self.state.keep()
        effects.outgoing += sends
        for wish in returned:
            if isinstance(wish, WakeAt):
                self._wish(effects, wish, cause)
        effects.handled += 1
        effects.steps.append(Step(cause.message, events, cause.correlation_id))
        return True

    def _routed(self, event: Event, cause: _Cause, now: int, n: int) -> Outgoing:
        name = type(event).__name__
        output = self._wiring.outputs.get(type(event))
        if output is None:
            raise UnroutedEventError(f"{self._wiring.service} names no topic for {name}")
        key = output.key(event)
        named = event.command_id if isinstance(event, Command) else None
        attributes = CloudEvent(
            id=caused_id(cause.id, f"{name}/{n}") if named is None else UUID(named),
            type=name,
            source=f"/services/{self._wiring.service}",
            time=now,
            correlation_id=cause.correlation_id,
            causation_id=cause.id,
        )
        reply_key = _reply_key(cause) if output.answers else None
        place = self._place(key if reply_key is None else reply_key)
        return Outgoing(output.topic, place, key, encode(event), attributes.headers())

    def _wish(self, effects: Effects, wish: WakeAt, cause: _Cause) -> None:
        key = _TICK + b"%d/" % wish.ts + wish.key
        if key in self._ticks:
            return
        tick = Tick(
            due_ts=wish.ts, key=wish.key, causation_id=str(cause.id), correlation_id=cause.correlation_id
        )
        self._remember(key, tick)
        self._write(effects, key, tick)

    def _remember(self, key: bytes, tick: Tick) -> None:
        self._ticks[key] = tick
        heappush(self._queue, (tick.due_ts, key))

    def _write(self, effects: Effects, key: bytes, value: Event | None) -> None:
        encoded = None if value is None else encode(value)
        effects.outgoing.append(Outgoing(self._wiring.state, self.number, key, encoded))

    def _finished(self, effects: Effects) -> Effects:
        for key, value in self.state.take_changes():
            self._write(effects, key, value)
        return effects


def _reply_key(cause: _Cause) -> bytes | None:
    named: str | None = getattr(cause.message, "reply_key", None)  # an optional field of commands
    return cause.key if named is None else named.encode()
