"""Which books are this process's: the partitions of ``l2.subscriptions.v1`` that its group gave it.

Any number of processes share the books. Each partition has one owner; when an owner dies its partitions go
to others as soon as its session ends. A new owner first reads what was wanted and which epoch each book had
reached, so that its own epochs rise above them, and it ends what nobody wants any more: a subscription may
have ended while the book had no owner. A book whose owner stays does not notice a rebalance.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from libs.common.asked_instruments import told_terms
from libs.common.events import BookHealth, Candle, Subscribed
from libs.common.kafka import Reader, Undecodable, read
from libs.common.kafka_reader import decoded
from libs.common.kafka_security import client_arguments, stop_consumer
from libs.common.membership import static_member
from libs.common.time_units import MINUTE_NS
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_SUBSCRIPTIONS,
    book_key,
)
from services.l2.messages import BookReleased, BookUnwanted, BookWanted, CandlesKnown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from libs.common.events import InstrumentTerms
    from libs.common.kafka import Publisher, Record
    from libs.common.kafka_places import Place
    from services.l2.messages import L2Message
    from services.l2.settings import L2Settings

SESSION_MS: Final = 6_000  # the least a broker accepts; a dead owner's books stand still for so long
HEARTBEAT_MS: Final = 1_000
POLL_MS: Final = 200
MOST_EPOCH: Final = 2**53  # ms since 1970: no owner reached more, and ours above it could not be written
_HOME: Final = {"1m": L2_CANDLES, "1d": L2_CANDLES_DAILY}

log = logging.getLogger(__name__)


class PastLog(Protocol):
    """What a `Reader` gives of the subscriptions and healths up to the ends it found."""

    ends: Mapping[TopicPartition, int]

    async def poll(self) -> Sequence[Record | Undecodable]:
        """Return what has come."""

    async def at_end(self) -> bool:
        """Return whether everything up to the ends has come."""


@dataclass(slots=True)
class _Found:
    """What the log holds of the books of some partitions, by their keys."""

    wanted: dict[bytes, Record] = field(default_factory=dict)
    unknown: set[bytes] = field(default_factory=set)  # wished in words that cannot be read
    epochs: dict[bytes, int] = field(default_factory=dict)
    terms: dict[bytes, InstrumentTerms] = field(default_factory=dict)  # as a venue said last
    shown: set[bytes] = field(default_factory=set)  # with a health, which the gateway lists

    def fold(self, record: Record) -> None:
        """Apply one record."""
        match record.event:
            case Subscribed():
                self.wanted[record.key] = record
            case BookHealth(epoch=epoch) as health:
                if epoch <= MOST_EPOCH:
                    self.epochs[record.key] = max(epoch, self.epochs.get(record.key, 0))
                if (terms := told_terms(health)) is not None:
                    self.terms[record.key] = terms
                self.shown.add(record.key)
            case _ if record.topic is L2_SUBSCRIPTIONS:
                self.wanted.pop(record.key, None)
                self.unknown.discard(record.key)
            case _:
                self.shown.discard(record.key)
                self.terms.pop(record.key, None)


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """Membership in the group of l2 processes; reports the books that come and go."""

    def __init__(
        self, settings: L2Settings, publisher: Publisher, report: Callable[[L2Message], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._report = report
        self._books: dict[int, set[bytes]] = {}  # keys of the wanted books, by owned partition
        self._next: dict[int, int] = {}  # offset to go on from, by owned partition
        self._changing = asyncio.Lock()
        self._recalls: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None  # of the last assignment, or of what it began
        self.rebalances = 0
        self.left_out = 0  # records that only another version knows

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions of the subscriptions that this process owns, their books taken over."""
        return tuple(sorted(self._books))

    def _member(self) -> str | None:
        known = self._settings
        if not known.instance:
            return None
        return static_member(known.group, known.instance, (L2_SUBSCRIPTIONS,), known.topic_partitions)

    async def run(self) -> None:
        """Take part until cancelled.

        Raises
        ------
        KafkaError
            If Kafka refuses this member, for instance because another one uses its ``L2_INSTANCE``, or does
            not let it take its books over.
        """
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            group_id=self._settings.group,
            group_instance_id=self._member(),
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            enable_auto_commit=False,  # the log is read from its beginning by each new owner
            auto_offset_reset="earliest",
            partition_assignment_strategy=[StickyPartitionAssignor],
        )
        self._consumer.subscribe([L2_SUBSCRIPTIONS.name], listener=self)
        try:
            await self._consumer.start()
            while True:
                changes = await self._consumer.getmany(timeout_ms=POLL_MS)
                if self._failure is not None:
                    raise self._failure
                for partition, records in changes.items():
                    async with self._changing:
                        for record in records:
                            await self._heed(partition.partition, decoded(L2_SUBSCRIPTIONS, record))
        finally:
            for recall in self._recalls:
                recall.cancel()
            await stop_consumer(self._consumer)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Keep the books: what leaves for another owner is known only after the new assignment."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Let go of what went to others, and take over what came; `run` raises what goes wrong."""
        try:
            await self._change_to({partition.partition for partition in assigned})
        except Exception as error:  # noqa: BLE001 -- aiokafka would log it and go on without the books
            self._failure = error

    async def _change_to(self, mine: set[int]) -> None:
        async with self._changing:
            self.rebalances += 1
            for number in set(self._books) - mine:
                for key in self._books.pop(number):
                    await self._report(BookReleased(*_book_of(key)))
            came = mine - set(self._books)
            if came:
                topics = [L2_SUBSCRIPTIONS, L2_BOOK_HEALTH]
                start: dict[str, Place] = {L2_SUBSCRIPTIONS.name: "beginning", L2_BOOK_HEALTH.name: "recent"}
                async with Reader(self._settings, topics, start=start, partitions=came) as reader:
                    await self.take_over(came, reader)
                self._recall_in_background(came, {key for number in came for key in self._books[number]})
            for number in mine:
                self._consumer.seek(TopicPartition(L2_SUBSCRIPTIONS.name, number), self._next[number])
            log.info(
                "books_assigned", extra={"partitions": sorted(mine), "came": sorted(came), "routine": True}
            )

    async def take_over(self, came: set[int], past: PastLog) -> None:
        """Report the books of the partitions that came: what nobody wants any more, then what is wanted.

        All wishes stand in the log, those of settings too; one that is written meanwhile is heeded later. A
        book that another version wants, in words unknown here, is left as it is.
        """
        found = await self._found(past)
        for number in came:
            self._books[number] = set()
            self._next[number] = past.ends[TopicPartition(L2_SUBSCRIPTIONS.name, number)]
        for key in sorted(found.shown - found.wanted.keys() - found.unknown):
            await self._report(BookUnwanted(*_book_of(key)))
        for key, record in found.wanted.items():
            await self._want(record, found.epochs.get(key, 0), found.terms.get(key))

    async def _found(self, past: PastLog) -> _Found:
        found = _Found()
        while not await past.at_end():
            for record in await past.poll():
                if isinstance(record, Undecodable):
                    await self._set_aside(record)
                    if record.topic is L2_SUBSCRIPTIONS:
                        found.unknown.add(record.key)
                else:
                    found.fold(record)
        return found

    async def _heed(self, number: int, record: Record | Undecodable) -> None:
        """Follow one change of the subscriptions; records from before the take-over are known already."""
        if number not in self._books or record.offset < self._next[number]:
            return
        self._next[number] = record.offset + 1
        if isinstance(record, Undecodable):
            await self._set_aside(record)
        elif isinstance(record.event, Subscribed):
            new = record.key not in self._books[number]
            await self._want(record, 0)
            if new:
                self._recall_in_background({number}, {record.key})
        else:
            self._books[number].discard(record.key)
            await self._report(BookUnwanted(*_book_of(record.key)))

    async def _set_aside(self, record: Undecodable) -> None:
        if record.unknown:
            self.left_out += 1
        else:
            await self._publisher.reject(record)

    def recall(self) -> None:
        """Read again what the log holds of the candles of all books: they began anew."""
        keys = {key for books in self._books.values() for key in books}
        if keys:
            self._recall_in_background(set(self._books), keys)

    def _recall_in_background(self, partitions: set[int], keys: set[bytes]) -> None:
        """Read what the log holds of the books' candles; only their venues' histories wait for it."""
        recall = asyncio.create_task(self._recall(partitions, keys))
        self._recalls.add(recall)
        recall.add_done_callback(self._recalled)

    def _recalled(self, recall: asyncio.Task[None]) -> None:
        self._recalls.discard(recall)
        if not recall.cancelled() and (error := recall.exception()) is not None:
            self._failure = error

    async def _recall(self, partitions: set[int], keys: set[bytes]) -> None:
        found: dict[bytes, dict[tuple[str, int], Candle]] = {key: {} for key in keys}
        minutes_ns = self._settings.history_minutes * MINUTE_NS
        start: dict[str, Place] = {
            L2_CANDLES.name: time.time_ns() - minutes_ns,
            L2_CANDLES_DAILY.name: "beginning",
        }
        batches = read(
            self._settings,
            [L2_CANDLES, L2_CANDLES_DAILY],
            on_undecodable=self._publisher.reject,
            start=start,
            partitions=partitions,
            stop_at_end=True,
        )
        async with aclosing(batches):
            async for records in batches:
                for record in records:
                    candle = record.event
                    # Days count as told only where those stand who read no minutes.
                    if isinstance(candle, Candle) and record.topic is _HOME[candle.interval]:
                        known = found.get(book_key(candle.venue, candle.symbol))
                        if known is not None:
                            known[candle.interval, candle.open_ts] = candle  # the newest word counts
        for key, known in found.items():
            candles = tuple(sorted(known.values(), key=lambda candle: candle.open_ts))
            await self._report(CandlesKnown(key.decode("utf-8", "replace"), candles))

    async def _want(self, record: Record, epoch: int, terms: InstrumentTerms | None = None) -> None:
        self._books[record.partition].add(record.key)
        await self._report(BookWanted(*_book_of(record.key), epoch, terms))


def _book_of(key: bytes) -> tuple[str, str]:
    """Return venue and symbol; bytes that are no text give names that no venue knows."""
    venue, _, symbol = key.decode("utf-8", "replace").partition(":")
    return venue, symbol
