"""`Follower`: reads the books and their healths from Kafka with aiokafka and msgpack alone."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import msgpack
from aiokafka import AIOKafkaConsumer

from libs.common.time_units import NS_PER_S
from tests.chaos.replica import Replica

if TYPE_CHECKING:
    from tests.chaos.schedule import Book

DELTAS: Final = "l2.book-deltas.v1"
HEALTH: Final = "l2.book-health.v1"
KNOWN: Final = frozenset({"BookSnapshot", "BookDelta", "BookHealth"})
FRESH_NS: Final = 3 * NS_PER_S  # a health is repeated every second; an older one says nothing of now
EARLY_NS: Final = NS_PER_S  # what is said from further ahead is of a clock that was set back since
CHANGES_KEPT: Final = 10_000  # of a book's state
POLL_MS: Final = 50
CREATED_S: Final = 60.0
CREATED_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Change:
    """A book's state, from a time on."""

    ts: int  # ns UTC
    state: str


class Health:
    """What was last said about a book, and the states it went through."""

    def __init__(self) -> None:
        self.state = "UNKNOWN"
        self.epoch = 0
        self.owner = ""
        self.reason = ""
        self.since_ts = 0
        self.ts = 0
        self.resyncs = 0
        self.changes: deque[Change] = deque(maxlen=CHANGES_KEPT)

    def take(self, event: dict[str, Any]) -> None:
        """Follow a BookHealth."""
        if (event["state"], event["since_ts"]) != (self.state, self.since_ts):
            self.changes.append(Change(event["since_ts"], event["state"]))
        self.state, self.epoch, self.owner = event["state"], event["epoch"], event["owner"]
        self.reason, self.since_ts, self.ts = event["reason"], event["since_ts"], event["ts"]
        self.resyncs = event["resyncs"]

    def is_live(self, now: int) -> bool:
        """Whether someone keeps the book and says that it is good."""
        return self.state == "LIVE" and -EARLY_NS <= now - self.ts < FRESH_NS

    def states_since(self, ts: int) -> set[str]:
        """Return the states entered from a time on."""
        return {change.state for change in self.changes if change.ts >= ts}

    def longest_absence(self, ts: int) -> int:
        """Return the longest time from leaving LIVE to coming back, of those begun from a time on, ns."""
        longest, left_ts = 0, None
        for change in self.changes:
            if change.state == "LIVE":
                longest = max(longest, change.ts - left_ts) if left_ts is not None else longest
                left_ts = None
            elif change.ts >= ts and left_ts is None:
                left_ts = change.ts
        return longest


class Follower:
    """Follows all books from the beginning of their topics; outlives a broker that comes back."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self.replicas: dict[Book, Replica] = {}
        self.healths: dict[Book, Health] = {}
        self.records = 0

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        try:
            await self._subscribe()
        except BaseException:
            await self._consumer.stop()
            raise
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._consumer.stop()

    def require_running(self) -> None:
        """Raise what ended the reading, if anything did."""
        if self._reading.done():
            self._reading.result()

    def replica(self, book: Book) -> Replica:
        """Return a book, empty before its first event."""
        return self.replicas.setdefault(book, Replica(":".join(book)))

    def health(self, book: Book) -> Health:
        """Return the health of a book, UNKNOWN before the first word."""
        return self.healths.setdefault(book, Health())

    def forget_changes(self) -> None:
        """Begin the books' past anew, because its times are those of another clock."""
        for health in self.healths.values():
            health.changes.clear()

    @property
    def broken(self) -> list[str]:
        """Every promise that an event broke."""
        return [what for replica in self.replicas.values() for what in replica.broken]

    async def _subscribe(self) -> None:
        """Wait until l2 has created the topics, and begin at their beginning."""
        deadline = time.monotonic() + CREATED_S
        while not {DELTAS, HEALTH} <= await self._consumer.topics():
            if time.monotonic() > deadline:
                raise RuntimeError(f"no one created {DELTAS} and {HEALTH} within {CREATED_S:g} s")
            await asyncio.sleep(CREATED_POLL_S)
        self._consumer.subscribe([DELTAS, HEALTH])  # without a group: every partition

    async def _read(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
                at_s = time.monotonic()
                for record in records:
                    self._take(partition.topic, record.value, at_s)
                await asyncio.sleep(0)  # others have a turn between batches

    def _take(self, topic: str, value: bytes | None, at_s: float) -> None:
        self.records += 1
        if value is None:
            return  # a book that is wanted no more
        event = msgpack.unpackb(value)
        if event["type"] not in KNOWN or not isinstance(event.get("epoch"), int):
            return  # another version's
        book = (event["venue"], event["symbol"])
        if topic == HEALTH:
            self.health(book).take(event)
        else:
            self.replica(book).take(event, at_s)
