"""`Bus`: the registry's topics in memory, and the clock that everything on it happens by; pure.

Nothing sleeps: the clock goes from one event to the next. Events come in the order of their times; of one
time by rank (`SOURCE` before `RECORD` before `TIMER`), and of one rank in the order in which they were
scheduled. So what the market did at an instant is on the topics before anybody hears of it, what is heard
comes in the order of the log, and who wakes at an instant has heard all that was to be heard by then.

A record is on its topic at once and reaches every reader a hop later: what is written to a partition at one
instant goes together, as a batch does, and no record overtakes one before it. The bus keeps no records: who
wants them all, as files or a digest, taps it.

A source that does not tell its books all the time is asked to whenever somebody is about to look at them
(`look`), and tells what they were a hop ago (`show`): nobody sees more than a feed would have brought.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from libs.common.amounts import absurd_amount
from libs.common.codec import UndecodableMessageError, UnknownMessageError, decode, encode
from libs.common.dead_letters import dead_letter
from libs.common.events import Command
from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import DEAD_LETTERS, L2_BOOK_TOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.common.cloudevents import Headers
    from libs.common.effects import Outgoing
    from libs.common.events import Event
    from libs.common.topics import Topic

SOURCE: Final = 0
RECORD: Final = 1
TIMER: Final = 2

OLD_NS: Final = 4 * NS_PER_S  # of a book's word, for who waits five seconds for it: all but who scores
_NEVER: Final = (-1, 0)

Reader: TypeAlias = "Callable[[Record], None]"
Freshen: TypeAlias = "Callable[[int, int | None, int], None]"
"""``freshen(ts, partition, old_ns)``, as `Source` has it."""


class Delays(Protocol):
    """How long messages take."""

    def hop_ns(self, topic: Topic) -> int:
        """Draw how long the next record of a topic takes to its readers, ns."""


class OvertakingError(Exception):
    """A record was to be shown before others of its partition that are still on their way."""


class Record:
    """A record of a topic; of message and bytes each is made when it is first asked for."""

    __slots__ = ("_event", "_value", "headers", "key", "offset", "partition", "rejected", "topic", "ts")

    def __init__(  # noqa: PLR0913 -- what a record is
        self,
        topic: Topic,
        partition: int,
        offset: int,
        ts: int,
        key: bytes,
        *,
        event: Event | None = None,
        value: bytes | None = None,
        headers: Headers = (),
    ) -> None:
        self.topic, self.partition, self.offset, self.ts = topic, partition, offset, ts
        self.key, self.headers = key, headers
        self._event, self._value = event, value
        self.rejected = False  # it is a dead letter already

    @property
    def event(self) -> Event | None:
        """The message; None for a tombstone.

        Raises
        ------
        UndecodableMessageError
            If its bytes are no message of the topic; what a command may not hold is told to who sent it.
        """
        if self._event is None and self._value is not None:
            event = decode(self.topic, self._value)
            if not isinstance(event, Command) and (wrong := absurd_amount(event)) is not None:
                raise UndecodableMessageError(f"{self.topic.name}: {wrong}")
            self._event = event
        return self._event

    @property
    def value(self) -> bytes | None:
        """The message's bytes on the wire; None for a tombstone."""
        if self._value is None and self._event is not None:
            self._value = encode(self._event)
        return self._value

    @property
    def source(self) -> str:
        """Where it stands."""
        return f"{self.topic.name}/{self.partition}/{self.offset}"

    @property
    def timestamp_ms(self) -> int:
        """When it was written, as Kafka has it."""
        return self.ts // NS_PER_MS


class Bus:
    """Topics, readers and what is scheduled; changes in place.

    Parameters
    ----------
    partitions
        Of each topic.
    now
        Where the clock begins, ns UTC.
    """

    def __init__(self, partitions: int, delays: Delays, now: int) -> None:
        self.partitions = partitions
        self.now = now
        self.written = 0  # records so far
        self._delays = delays
        self._readers: dict[str, list[Reader]] = {}
        self._taps: list[Reader] = []
        self._ends: dict[tuple[str, int], int] = {}  # next offset
        self._arrives: dict[tuple[str, int], tuple[int, int]] = {}  # when the last record was sent, and does
        self._flying: dict[tuple[str, int], int] = {}  # records on their way
        self._heap: list[tuple[int, int, int, Callable[[Any], object], Any]] = []
        self._scheduled = 0
        self._freshen: Freshen | None = None
        self._looked: dict[int | None, tuple[int, int]] = {}  # when, and `old_ns`, by partition
        self._seen_ts = 0  # how far the last look saw

    def subscribe(self, topic: Topic, reader: Reader) -> None:
        """Let a reader have every record of a topic from now on, after those who subscribed before it."""
        self._readers.setdefault(topic.name, []).append(reader)

    def tap(self, reader: Reader) -> None:
        """Let somebody who is no part of the system have every record of every topic as it is written."""
        self._taps.append(reader)

    def at(self, ts: int, call: Callable[[Any], object], given: Any = None, rank: int = TIMER) -> None:  # noqa: ANN401 -- whatever the callee takes
        """Let something happen at a time (ns UTC), at once if that is past."""
        self._scheduled += 1
        heappush(self._heap, (max(ts, self.now), rank, self._scheduled, call, given))

    def place(self, key: bytes) -> int:
        """Return the partition of a key."""
        return partition_of(key, self.partitions)

    def publish(self, topic: Topic, key: bytes, event: Event | None, headers: Headers = ()) -> Record:
        """Write a record now, in the partition of its key; None is a tombstone."""
        record = self._append(topic, self.place(key), key, event=event, headers=headers)
        self._fly(record)
        return record

    def send(self, outgoing: Outgoing) -> Record:
        """Write what a service's core returned."""
        record = self._append(
            outgoing.topic,
            outgoing.partition,
            outgoing.key,
            value=outgoing.value,
            headers=outgoing.headers,
        )
        self._fly(record)
        return record

    def show(self, topic: Topic, key: bytes, event: Event | None) -> None:
        """Write a record that was sent a hop ago: all readers have it when this returns.

        Raises
        ------
        OvertakingError
            As `show_together`.
        """
        self.show_together(topic, ((key, event),))

    def show_together(self, topic: Topic, told: Iterable[tuple[bytes, Event | None]]) -> None:
        """Show records, by key, as one fetch brings them: each reader has all before the next one has any.

        So who handles one of them, and looks at a view of the others, sees none of these as it was before.

        Raises
        ------
        OvertakingError
            If a record before them is still on its way (`flies`).
        """
        records = []
        for key, event in told:
            place = self.place(key)
            if self.flies(topic, place):
                raise OvertakingError(f"{topic.name}-{place}: its last records have not arrived")
            records.append(self._append(topic, place, key, event=event))
        for reader in self._readers.get(topic.name, ()):
            for record in records:
                reader(record)

    def flies(self, topic: Topic, partition: int) -> bool:
        """Return whether a record of a partition is on its way to its readers."""
        return self._flying.get((topic.name, partition), 0) > 0

    def reject(self, record: Record, error: UndecodableMessageError) -> None:
        """Keep a record as a dead letter, once; not what only another version knows."""
        if record.rejected or isinstance(error, UnknownMessageError):
            return
        record.rejected = True
        key, value, headers = dead_letter(
            record.key, record.value or b"", str(error), record.source, record.headers
        )
        self._fly(self._append(DEAD_LETTERS, self.place(key), key, value=value, headers=headers))

    def before_looking(self, freshen: Freshen) -> None:
        """Let a source bring its books up to date whenever somebody is about to look at them."""
        self._freshen = freshen

    @property
    def asks(self) -> bool:
        """Whether a source wants to be told of looks."""
        return self._freshen is not None

    def look(self, partition: int | None = None, old_ns: int = OLD_NS) -> None:
        """Say that somebody is about to look at the books of a partition, None: of all, once an instant.

        Parameters
        ----------
        old_ns
            How old the word of a book may be: that of a source that tells it in full is told again.
        """
        if self._freshen is None or any(
            now == self.now and known <= old_ns
            for now, known in (self._looked.get(partition, _NEVER), self._looked.get(None, _NEVER))
        ):
            return
        self._looked[partition] = self.now, old_ns
        self._seen_ts = max(self._seen_ts, self.now - self._delays.hop_ns(L2_BOOK_TOPS))
        self._freshen(self._seen_ts, partition, old_ns)

    def _append(
        self,
        topic: Topic,
        partition: int,
        key: bytes,
        *,
        event: Event | None = None,
        value: bytes | None = None,
        headers: Headers = (),
    ) -> Record:
        place = (topic.name, partition)
        offset = self._ends.get(place, 0)
        self._ends[place] = offset + 1
        self.written += 1
        record = Record(topic, partition, offset, self.now, key, event=event, value=value, headers=headers)
        for tap in self._taps:
            tap(record)
        return record

    def _fly(self, record: Record) -> None:
        """Let a record reach its readers."""
        if record.topic.name not in self._readers:
            return
        place, now = (record.topic.name, record.partition), self.now
        sent, arrives = self._arrives.get(place, (-1, 0))
        if sent != now:
            arrives = max(arrives, now + self._delays.hop_ns(record.topic))
            self._arrives[place] = now, arrives
        self._flying[place] = self._flying.get(place, 0) + 1
        self.at(arrives, self._deliver, record, RECORD)

    def _deliver(self, record: Record) -> None:
        self._flying[record.topic.name, record.partition] -= 1
        for reader in self._readers[record.topic.name]:
            reader(record)

    @property
    def next_ts(self) -> int | None:
        """When the next thing happens; None if nothing is scheduled."""
        return self._heap[0][0] if self._heap else None

    def run(self, until: int) -> None:
        """Let everything happen that is due by a time (ns UTC), and be there."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, _, call, given = heappop(heap)
            call(given)
        self.now = max(self.now, until)
