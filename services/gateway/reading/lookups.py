"""Finds the newest record of each key that is not after a moment, in one partition read backwards; pure.

A partition is read in windows, each before the one read last. What somebody wrote late, with a time that is
not after the moment, counts too if it stands before the first record that is `LATE_MS` after the moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.amounts import absurd_amount
from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import Event, ExecutionProgress, ExecutionRecord
from libs.common.record_view import with_progress
from services.gateway.reading.newest import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.topics import Topic

LATE_MS: Final = 2_000


class Raw(NamedTuple):
    """A record as it stands in its partition."""

    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None


@dataclass(eq=False)
class Lookup:
    """The newest records of a partition at a moment."""

    topic: Topic
    partition: int
    at_ms: int
    wanted: set[bytes]  # keys that are looked for; more are found by the way
    kinds: tuple[type[Event], ...] = (Event,)  # of messages that count
    only: frozenset[bytes] | None = None  # keys that count, where one found by the way may be newer elsewhere
    found: dict[bytes, Told] = field(default_factory=dict)
    oldest_ms: int | None = None  # the time at which what was read begins

    def take(self, window: Sequence[Raw]) -> None:
        """Take all records of a window, in log order, that stands before those taken so far."""
        if window:
            self.oldest_ms = window[0].timestamp_ms
        for raw in reversed(window):
            if raw.timestamp_ms <= self.at_ms:
                self._take(raw)

    def _take(self, raw: Raw) -> None:
        if raw.key in self.found or (self.only is not None and raw.key not in self.only):
            return
        try:
            event = message_in(self.topic, raw.value)
        except UndecodableMessageError:
            return  # as for a view: the older message stays
        if event is None or isinstance(event, self.kinds):
            self._keep(raw.key, event, raw)

    def _keep(self, key: bytes, event: Event | None, newest: Raw) -> None:
        self.found[key] = Told(event, self.partition, newest.offset, newest.timestamp_ms, newest.timestamp_ms)
        self.wanted.discard(key)


@dataclass(eq=False)
class ExecutionLookup(Lookup):
    """Executions as they were, each whole: its last record with the progress since; only those wanted."""

    _since: dict[bytes, list[tuple[ExecutionProgress, Raw]]] = field(default_factory=dict)  # the newest first

    def _take(self, raw: Raw) -> None:
        key = raw.key.rpartition(b":")[2]
        if key not in self.wanted or (raw.value is None and raw.key != key):
            return
        try:
            event = message_in(self.topic, raw.value)
        except UndecodableMessageError:
            return
        since = self._since.setdefault(key, [])
        if isinstance(event, ExecutionProgress):
            since.append((event, raw))
            return
        newest = since[0][1] if since else raw
        if isinstance(event, ExecutionRecord):
            for progress, _ in reversed(since):
                event = with_progress(event, progress)
        self._keep(key, event, newest)


def message_in(topic: Topic, value: bytes | None) -> Event | None:
    """Return the message that a view would fold; None for a tombstone.

    Raises
    ------
    UndecodableMessageError
        If there is none.
    """
    if value is None:
        return None
    event = decode(topic, value)
    if (wrong := absurd_amount(event)) is not None:
        raise UndecodableMessageError(f"{topic.name}: {wrong}")
    return event


def pass_by_found(lookups: Sequence[Lookup]) -> None:
    """Look no more in one partition for what another one has newer than all that is left to read there.

    Of a topic of answers, whose records stand in the partition of who asked, not in that of their key.
    """
    newest: dict[bytes, int] = {}
    for lookup in lookups:
        for key, told in lookup.found.items():
            newest[key] = max(told.timestamp_ms, newest.get(key, 0))
    for lookup in lookups:
        if lookup.oldest_ms is not None:
            before_ms = lookup.oldest_ms + LATE_MS
            lookup.wanted -= {key for key in lookup.wanted if newest.get(key, 0) > before_ms}


def merged(settled: dict[bytes, Told], lookups: Sequence[Lookup]) -> dict[bytes, Told]:
    """Return the newest record of each key there was, of what was known already and what was found."""
    newest = dict(settled)
    for lookup in lookups:
        for key, told in lookup.found.items():
            known = newest.get(key)
            if known is None or _is_newer(told, known):
                newest[key] = told
    return {key: told for key, told in newest.items() if told.event is not None}


def _is_newer(told: Told, known: Told) -> bool:
    if told.partition == known.partition:
        return told.offset > known.offset
    return _written(told) > _written(known)


def _written(told: Told) -> tuple[int, int, int]:
    """Return what orders records of several partitions, the same way each time also where times are equal."""
    return told.timestamp_ms, told.offset, told.partition
