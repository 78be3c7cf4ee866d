"""What a stateful service is made of: the state its handler changes, what it returns, and the wiring; pure.

A handler is ``handle(state, message, now) -> events``. `libs.common.processor` runs one exactly once per
message; a simulation may run the same `Wiring` without Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from libs.common.events import Event

if TYPE_CHECKING:
    from libs.common.topics import Topic
    from libs.common.views import View

S = TypeVar("S", bound=Event)

RESERVED: Final = b"\x00"  # what keys of the processor's own records start with


class State(Mapping[bytes, S], Generic[S]):
    """The state of one partition: a frozen message per key, replaced by `put`; remembers what changed."""

    def __init__(self) -> None:
        self._items: dict[bytes, S] = {}
        self._changed: dict[bytes, None] = {}  # an ordered set
        self._before: dict[bytes, S | None] = {}  # since the last `keep`

    def __getitem__(self, key: bytes) -> S:
        return self._items[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: bytes, value: S) -> None:
        """Replace the value of `key`.

        Raises
        ------
        ValueError
            If `key` is empty or starts with a zero byte; those are the processor's.
        """
        if not key or key.startswith(RESERVED):
            raise ValueError(f"{key!r}: a state's key is not empty and does not start with a zero byte")
        self._before.setdefault(key, self._items.get(key))
        self._set(key, value)

    def remove(self, key: bytes) -> None:
        """Forget `key`, if it is there."""
        if key in self._items:
            self._before.setdefault(key, self._items[key])
            self._set(key, None)

    def restore(self, key: bytes, value: S | None) -> None:
        """Fold a record of the state's log; no change of it."""
        self._set(key, value)

    def _set(self, key: bytes, value: S | None) -> None:
        """Let `key` hold this, None for nothing; the one place where the state changes."""
        if value is None:
            self._items.pop(key, None)
        else:
            self._items[key] = value

    def changing(self) -> Iterator[tuple[bytes, S | None]]:
        """Yield what was done since the last `keep`, None for a removal."""
        return ((key, self._items.get(key)) for key in self._before)

    def keep(self) -> None:
        """Make what was done since the last `keep` part of the changes."""
        self._changed.update(dict.fromkeys(self._before))
        self._before.clear()

    def undo(self) -> None:
        """Take back what was done since the last `keep`."""
        for key, value in self._before.items():
            self.restore(key, value)
        self._before.clear()

    def take_changes(self) -> list[tuple[bytes, S | None]]:
        """Return the kept changes, None for a removal, and forget that they were changes."""
        changes = [(key, self._items.get(key)) for key in self._changed]
        self._changed.clear()
        return changes


class Tick(Event, frozen=True, kw_only=True):
    """The time a handler asked for with `WakeAt` has come."""

    due_ts: int
    key: bytes  # whatever the handler named
    causation_id: str  # of the message whose handling asked
    correlation_id: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """A handler's wish for a `Tick` at `ts` (ns UTC) or soon after it, restarts included.

    It comes before where `Wiring.early` names its key. A wish cannot be withdrawn: a handler ignores a tick
    that no longer matters. Equal wishes are one.
    """

    ts: int
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a service says of itself on a compacted topic; None ends it."""

    topic: Topic
    key: bytes
    event: Event | None


Handle: TypeAlias = Callable[[State[S], Any, int], Sequence[Event | WakeAt]]
"""``handle(state, message, now)``: a message of an input topic or a `Tick`, and ns UTC."""


def nothing_early(_state: State[Any], _now: int) -> Iterable[bytes]:
    """Name no tick that is due before its time: what a service does that waits for nothing its views show.

    Another one names those alone whose handling changes something, else they would come again and again.
    """
    return ()


@dataclass(frozen=True, slots=True)
class Output:
    """Where events of one type go."""

    topic: Topic
    key: Callable[[Any], bytes]  # of the event
    answers: bool = (
        False  # to the partition of the causing command's `reply_key`, or else of that command's key
    )
    tombstone: bool = False  # the event is written as the end of what stands under its key


@dataclass(frozen=True, slots=True)
class Wiring(Generic[S]):
    """One stateful service, whole: what it reads, keeps and writes."""

    service: str
    inputs: tuple[Topic, ...]  # of one partition number they share the state and come in one order
    state: Topic  # compacted, private
    outputs: Mapping[type[Event], Output]
    handle: Handle[S]
    views: tuple[View[Any], ...] = field(
        default=()
    )  # the handler reads their `items`; all ready before it runs
    announce: Callable[[], Iterable[Announcement]] = (
        tuple  # called once the views are ready; what it returns is written before a message is handled
    )
    lack: Callable[[], str] = (
        str  # why what it is asked would be refused, as it is set up; "" where nothing is wrong
    )
    step_clock: Callable[[State[S], int], None] = lambda _state, _by_ns: (
        None
    )  # moves what the state has scheduled by so many ns, as the clock was set
    new_state: Callable[[], State[S]] = State  # an empty one; a service's own may index what it holds
    # Gives what older versions left today's form, before a message is handled. What it puts is written in
    # pieces: of a process that dies meanwhile the first ones, and the next one does the rest.
    migrate: Callable[[State[S]], None] = lambda _state: None
    early: Callable[[State[S], int], Iterable[bytes]] = (
        nothing_early  # names pending ticks that the views show to be due; not with `threaded`
    )
    threaded: bool = (
        False  # run the handler off the event loop; it then looks views up by key, never iterates
    )

    def __post_init__(self) -> None:
        if not self.inputs or not self.state.compacted:
            raise ValueError(f"{self.service}: needs an input, and a state topic that is compacted")
        if self.threaded and self.early is not nothing_early:
            raise ValueError(f"{self.service}: a thread changes the state that is looked at beside it")
        if self.announce is not tuple and not self.views:
            raise ValueError(f"{self.service}: announces what it is to a topic of which it has no view")
        for event, output in self.outputs.items():
            if output.tombstone and not output.topic.compacted:
                raise ValueError(f"{self.service}: {output.topic.name} is not compacted, and keeps what ends")
            if event not in output.topic.events and not output.tombstone:
                raise ValueError(f"{self.service}: {output.topic.name} takes no {event.__name__}")

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic the service touches, each once."""
        outputs = (output.topic for output in self.outputs.values())
        views = (view.topic for view in self.views)
        return tuple(dict.fromkeys((*self.inputs, self.state, *outputs, *views)))
