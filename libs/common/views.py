"""The materialised view of a compacted topic: the newest message per key, with readiness and lag; pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeVar

from libs.common.codec import encode
from libs.common.events import Event
from libs.common.live_books import aged_alike

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.topics import Topic

E = TypeVar("E", bound=Event)

MOST_KEYS: Final = 10_000  # of a topic that anybody may write; of more, those that were told last
MOST_BYTES: Final = 16 * 1024 * 1024  # of their messages on the wire, likewise


@dataclass(frozen=True, slots=True)
class Last:
    """The end of a topic: its last so many offsets, shared among its partitions."""

    offsets: int


class Place(NamedTuple):
    """Where a record stands in its topic."""

    partition: int
    offset: int


class OffsetRegressionError(Exception):
    """A record older than what was folded: the log was truncated, recreated or read twice."""


class View(Generic[E]):
    """The newest message per key of one topic; changes in place as its records are folded.

    Progress is kept as positions (the next offset to read), not as the last offset seen: transaction markers
    and compaction leave holes, so the last record of a partition may lie well before its end.
    """

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._items: dict[bytes, E] = {}
        self._places: dict[bytes, Place] = {}
        self._positions: dict[int, int] = {}
        self._starts: Mapping[int, int] = {}
        self._ends: dict[int, int] = {}
        self._begun = False
        self._ready = False
        self.items: Mapping[bytes, E] = MappingProxyType(self._items)
        self.left_out = 0  # records that only another version knows
        self.held_up: Mapping[int, str] = {}  # partitions that stand, and what to say of each

    @property
    def patient(self) -> bool:
        """Whether its records may be fetched together with what comes a moment later."""
        return self.topic.repeated

    def start(self, _now: int) -> Literal["beginning", "recent"] | int | Last:
        """Return where the log is to be read from, so that nothing lacks which the view keeps at `now`."""
        return "recent" if self.topic.repeated else "beginning"

    def wants(self, _key: bytes) -> bool:
        """Return whether a record is worth decoding; one that is not is passed by."""
        return True

    def begin(self, ends: Mapping[int, int]) -> None:
        """Set the end offset per partition up to which the view must read to be `ready`."""
        self._starts = dict(ends)
        self._ends = dict(ends)
        self._begun = True

    def fold(self, partition: int, offset: int, key: bytes, event: E | None) -> None:
        """Apply one record; `event` is None for a tombstone.

        Raises
        ------
        OffsetRegressionError
            If `offset` lies before this partition's position.
        """
        self._pass(partition, offset)
        if event is None:
            self._items.pop(key, None)
            self._places.pop(key, None)
        else:
            self._items[key] = event
            self._places[key] = Place(partition, offset)

    def place(self, key: bytes) -> Place | None:
        """Return where the newest record of a key that is kept stands; None without one."""
        return self._places.get(key)

    def step_clock(self, by_ns: int) -> None:
        """Let the books be as old as they were, now that this machine's clock was set by so many ns."""
        for key, event in list(self._items.items()):
            self._items[key] = aged_alike(event, by_ns)

    def _pass(self, partition: int, offset: int) -> None:
        """Take note of the place of a record.

        Raises
        ------
        OffsetRegressionError
            If `offset` lies before this partition's position.
        """
        self.advance(partition, offset)
        self._positions[partition] = offset + 1

    def advance(self, partition: int, position: int) -> None:
        """Say that nothing more comes before `position`, though no record may have stood there.

        Raises
        ------
        OffsetRegressionError
            If `position` lies before this partition's position.
        """
        before = self._positions.get(partition, 0)
        if position < before:
            raise OffsetRegressionError(
                f"{self.topic.name}-{partition} went back from position {before} to {position}"
            )
        self._positions[partition] = position

    def extend(self, partition: int, end: int) -> None:
        """Note that the partition has grown to `end`, which `lag` measures against."""
        self._ends[partition] = max(end, self._ends.get(partition, 0))

    @property
    def ready(self) -> bool:
        """Whether the view has once caught up with the ends given to `begin`; it stays so."""
        self._ready = self._ready or (self._begun and self.lag(self._starts) == 0)
        return self._ready

    def position(self, partition: int) -> int:
        """Return the next offset to be read of this partition."""
        return self._positions.get(partition, 0)

    @property
    def progress(self) -> int:
        """Return a number that grows with each record that is folded or passed by."""
        return sum(self._positions.values())

    def lag(self, ends: Mapping[int, int] | None = None) -> int:
        """Return how many offsets the view is behind `ends`, or behind the newest ends it was told of."""
        return sum(
            max(0, end - self.position(partition))
            for partition, end in (self._ends if ends is None else ends).items()
        )


class BoundedView(View[E]):
    """A view of a topic that anybody may write: of too many keys or bytes it keeps what was told last."""

    def __init__(self, topic: Topic) -> None:
        super().__init__(topic)
        self._items: OrderedDict[bytes, E] = OrderedDict()  # the one told last at the end
        self._sizes: dict[bytes, int] = {}
        self._bytes = 0
        self.items = MappingProxyType(self._items)

    def fold(self, partition: int, offset: int, key: bytes, event: E | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        self._bytes -= self._sizes.pop(key, 0)
        if event is None:
            return
        self._items.move_to_end(key)
        self._sizes[key] = len(key) + len(encode(event))
        self._bytes += self._sizes[key]
        while len(self._items) > MOST_KEYS or self._bytes > MOST_BYTES:
            gone, _ = self._items.popitem(last=False)
            self._bytes -= self._sizes.pop(gone)
            self._places.pop(gone, None)
            self.forgotten(gone)

    def forgotten(self, key: bytes) -> None:
        """Take note of a key that is kept no more, though it has a message."""
