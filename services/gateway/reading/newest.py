"""What the views hold and where each of it stands in its log: the state of now, with its ids; pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from libs.common.events import Event, ExecutionProgress, ExecutionRecord
from libs.common.topics import EXECUTION_RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.topics import Topic
    from libs.common.views import View

MOST_GONE: Final = 1_000  # deleted keys that are remembered of a topic, those that were deleted last
SLACK: Final = 256  # items that a view has forgotten and that are still held here


class Told(NamedTuple):
    """The newest record of a key."""

    event: Event | None  # None: the key was deleted
    partition: int
    offset: int
    timestamp_ms: int
    first_ms: int  # the time of the first record of the key that was seen


class Folded(Protocol):
    """A record as it was read."""

    @property
    def topic(self) -> Topic:
        """Where it stands."""

    @property
    def partition(self) -> int:
        """Where it stands there."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp_ms(self) -> int:
        """Its time, ms since 1970 UTC."""

    @property
    def key(self) -> bytes:
        """What it is of."""

    @property
    def event(self) -> Event | None:
        """Its message, None for a tombstone."""


class Newest:
    """The newest record of each key of one topic, of whole executions the newest that it is made of.

    Parameters
    ----------
    view
        Has folded each record that is taken here.
    since_ms
        From when on it sees all records; 0: whatever the log holds.
    """

    def __init__(self, view: View[Any], since_ms: int) -> None:
        self.view = view
        self.since_ms = since_ms
        self._items: dict[bytes, Told] = {}
        self._gone: OrderedDict[bytes, Told] = OrderedDict()

    @property
    def items(self) -> Mapping[bytes, Told]:
        """Those of keys that there are."""
        return self._items

    def all(self) -> Iterator[tuple[bytes, Told]]:
        """Yield the newest record of each key, also of those that were deleted of late."""
        yield from self._items.items()
        yield from self._gone.items()

    def take(self, record: Folded) -> None:
        """Take note of a record that the view has folded."""
        key, event, timestamp_ms = record.key, record.event, record.timestamp_ms
        if isinstance(event, ExecutionProgress):
            key = event.execution_id.encode()
        elif event is None and self.view.topic is EXECUTION_RECORDS and b":" in key:
            return  # progress that a later record holds too
        if isinstance(event, ExecutionProgress | ExecutionRecord):
            event = self.view.items.get(key)
            if event is None:
                return
        before = self._items.pop(key, None) or self._gone.pop(key, None)
        first_ms = timestamp_ms if before is None else min(before.first_ms, timestamp_ms)
        if before is not None and isinstance(record.event, ExecutionProgress):
            timestamp_ms = max(timestamp_ms, before.timestamp_ms)  # of all that the whole is made of
        told = Told(event, record.partition, record.offset, timestamp_ms, first_ms)
        if event is None:
            self._gone[key] = told
            if len(self._gone) > MOST_GONE:
                self._gone.popitem(last=False)
            return
        self._items[key] = told
        if len(self._items) > len(self.view.items) + SLACK:
            self._items = {key: told for key, told in self._items.items() if key in self.view.items}

    def known_by(self, at_ms: int) -> list[bytes]:
        """Return the keys of which there may be a record at that moment."""
        return [key for key, told in self.all() if self._may_be(told, at_ms)]

    def to_find(self, at_ms: int) -> dict[int, set[bytes]]:
        """Return by partition the keys whose newest record is later than that, and may not be the first."""
        found: dict[int, set[bytes]] = {}
        for key, told in self.all():
            if told.timestamp_ms > at_ms and self._may_be(told, at_ms):
                found.setdefault(told.partition, set()).add(key)
        return found

    def settled(self, at_ms: int) -> dict[bytes, Told]:
        """Return the newest records that are not after that moment."""
        return {key: told for key, told in self.all() if told.timestamp_ms <= at_ms}

    def _may_be(self, told: Told, at_ms: int) -> bool:
        return told.first_ms <= at_ms or at_ms < self.since_ms
