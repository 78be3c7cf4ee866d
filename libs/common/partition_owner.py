"""The owner of one partition of a stateful service: fence, restore, then transaction after transaction."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.cloudevents import headers_of
from libs.common.command_rules import echoed
from libs.common.events import Event
from libs.common.handling import nothing_early
from libs.common.holdups import HELD_S, Holdups
from libs.common.interrupting import unless
from libs.common.kafka import Reader, partition_of
from libs.common.partition import Effects, HandlerError, Incoming, Partition
from libs.common.skips import SKIP_KEY
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import TOPICS
from libs.common.transactions import fence
from libs.common.wall_clock import WallClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka.structs import ConsumerRecord

    from libs.common.handling import State, Wiring
    from libs.common.monitoring import Meter
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic
    from libs.common.transactions import Transactions

S = TypeVar("S", bound=Event)

STOP_S: Final = 5.0
RETRY_S: Final = 0.1
IDLE_MS: Final = 1_000  # a fetch without records; records and the next tick end it at once
REPORT_S: Final = 1.0  # how old the group's offsets get; in each transaction they were 2 of its 5 requests

_log = logging.getLogger(__name__)


class PartitionOwner(Generic[S]):
    """Works on one partition number from `own` until `release`.

    After `own` has raised a `KafkaError` the transaction's outcome is unknown: the process must end, and
    nothing here tries to abort or close.
    """

    def __init__(
        self,
        wiring: Wiring[S],
        settings: ServiceSettings,
        number: int,
        consumer: AIOKafkaConsumer,
        clock: Callable[[], int],
        meter: Meter,
    ) -> None:
        self.number = number
        self.restored = False
        self.stopped_at = ""  # the message that the handler raised on, and what it raised
        self.counts: Counter[str] = Counter()
        self._wiring = wiring
        self._settings = settings
        self._consumer = consumer
        self._clock = WallClock(clock)
        self._meter = meter
        self._inputs = {TopicPartition(topic.name, number): topic for topic in wiring.inputs}
        self._partition = Partition(wiring, number, self._place)
        self._transactions: Transactions | None = None
        self._unreported: dict[str, int] = {}  # positions that the group's offsets do not show yet
        self._report_at = 0.0  # when they are due, on the loop's clock
        self._in_transaction = asyncio.Lock()
        self._read: dict[TopicPartition, int] = {}  # the offset up to which there is nothing more to read
        self._log = replace(
            wiring.state, events=()
        )  # raw: it also holds records that the topic does not name
        self._restored_to = 0  # the next offset of the state's log
        self._holdups = {partition: Holdups() for partition in self._inputs}
        self._opened_s: float | None = None  # since when a transaction is open, on the loop's clock
        self._stirred = asyncio.Event()  # what the views show is to be acted on
        self._held_up = ""  # why the state's log cannot be read to its end, in words

    @property
    def state(self) -> State[S]:
        """The partition's state, as it is handled now."""
        return self._partition.state

    def lags(self) -> dict[str, int]:
        """Return how many offsets of each input are not handled yet, as of the last fetch."""
        ends = {partition: self._consumer.highwater(partition) or 0 for partition in self._inputs}
        return {p.topic: max(0, end - self._read.get(p, end)) for p, end in ends.items()}

    def held_up(self) -> str:
        """Say what keeps this from its work; empty where nothing does."""
        if not self.restored:
            return self._held_up
        now_s = asyncio.get_running_loop().time()
        open_s = 0.0 if self._opened_s is None else now_s - self._opened_s
        if open_s >= HELD_S:
            return f"a transaction of partition {self.number} waits for Kafka for {open_s:.0f} s"
        for partition, holdups in self._holdups.items():
            stable, end = self._consumer.last_stable_offset(partition), self._consumer.highwater(partition)
            if stable is not None and self._read.get(partition, 0) < stable:
                stable = None  # not all that there is was taken: what the last fetch told is old
            holdups.note(self.number, stable, end, now_s)
        standing = (
            f"{partition.topic}-{self.number} is {said}"
            for partition, holdups in self._holdups.items()
            for said in holdups.told(now_s).values()
        )
        return next(standing, "")

    async def own(self, batch_records: int) -> None:
        """Fence, restore and process for ever, up to `batch_records` a transaction.

        Where the handler raises on what is no command, what came before is committed, and the partition
        stands until an operator says what to leave out. It also stands where the state's log holds, as the
        newest record of a key, what is none of this service's: to go on without would be to forget.

        Raises
        ------
        KafkaError
            If Kafka refuses anything, or another process has taken over.
        StateLostError
            If the state topic does not fit the group.
        """
        while True:
            try:
                await self._work(batch_records)
            except HandlerError as error:
                self.restored = False
                self.stopped_at = str(error)
                facts = {"partition": self.number, "at": self.stopped_at}
                _log.exception("partition_stopped", exc_info=error, extra=facts)
            await self._until_told()
            await self._stop_transactions()
            self._unreported.clear()  # what the group is behind is found anew
            self._partition = Partition(self._wiring, self.number, self._place)
            self.stopped_at = ""

    async def _work(self, batch_records: int) -> None:
        # 1. Fence the former owner: when this returns, its transaction is committed or aborted for good.
        began_s = perf_counter()
        transactions = await self._fence()
        # 2. Only now are its last state and offsets final.
        await self._restore()
        # 3. Go on where it stopped, in the form of this version.
        await self._seek(transactions)
        for effects in self._partition.migrate(self._clock.read(), batch_records):
            async with self._in_transaction:
                await self._commit(transactions, effects)
        self.restored = True
        self._meter.restore_s.observe(perf_counter() - began_s)
        while True:
            now = await self._follow_clock(transactions)
            self._stirred.clear()
            if self._partition.ripe(now):
                async with self._in_transaction:
                    await self._commit(transactions, self._partition.wake(now, batch_records))
                continue
            due = self._partition.next_wake
            wait_ms = IDLE_MS if due is None else min(IDLE_MS, -(-(due - now) // NS_PER_MS))
            fetching = self._consumer.getmany(*self._inputs, timeout_ms=wait_ms, max_records=batch_records)
            if self._wiring.early is not nothing_early:
                fetching = unless(self._stirred, fetching)  # one that is given up has taken no records
            batches = await fetching or {}
            self._note(batches, full=sum(map(len, batches.values())) == batch_records)
            if batches:
                # What the batch schedules is on the clock as it is now.
                await self._follow_clock(transactions)
                async with self._in_transaction:
                    await self._commit(transactions, await self._applied(batches))
            elif self._unreported and wait_ms == IDLE_MS and not self._stirred.is_set():
                async with self._in_transaction:
                    await self._report_alone(transactions)

    def look(self) -> None:
        """End the wait for records where the views, which have changed, show that a tick is to be handled."""
        if self.restored and self._partition.ripe(self._clock.read()):
            self._stirred.set()

    async def release(self, task: asyncio.Task[None]) -> None:
        """Let the running transaction end, then stop `task`, which runs `own`, and the producer."""
        async with self._in_transaction:  # held until the task has ended, so that it begins no other
            while not task.done():
                task.cancel()  # repeated: aiokafka swallows one that comes while it closes a connection
                await asyncio.wait([task], timeout=RETRY_S)
        self.restored = False
        unharmed = task.cancelled() or task.exception() is None
        if self._transactions is not None and self._unreported and unharmed:
            async with asyncio.timeout(STOP_S):
                await self._report_alone(self._transactions)
        await self._stop_transactions()

    async def _stop_transactions(self) -> None:
        if self._transactions is not None:
            async with asyncio.timeout(STOP_S):
                await self._transactions.stop()
            self._transactions = None

    async def _fence(self) -> Transactions:
        largest = max(each.max_message_bytes for each in (*TOPICS.values(), *self._wiring.topics))
        service = self._wiring.service
        self._transactions = await fence(self._settings, f"{service}-{self.number}", service, largest)
        return self._transactions

    async def _restore(self) -> None:
        """Read the state's log to its end, however long somebody's open transaction hides that."""
        told = False
        async with Reader(self._settings, [self._log], partitions={self.number}) as reader:
            while not await reader.at_end():
                for record in await reader.poll():
                    self._partition.restore(record.key, record.value)
                said = reader.held_up(self._log).get(self.number)
                self._held_up = "" if said is None else f"{self._log.name}-{self.number} is {said}"
                if said is not None and not told:
                    told = True
                    _log.warning("restore_held_up", extra={"partition": self.number, "log": self._held_up})
            self._held_up = ""
            (partition,) = reader.assignment
            self._restored_to = await reader.position(partition)
        for key, why in self._partition.unreadable.items():
            raise HandlerError(f"{self._log.name}-{self.number}, key {echoed(repr(key))}: {echoed(why)}")

    async def _seek(self, transactions: Transactions) -> None:
        committed = {p.topic: await self._consumer.committed(p) for p in self._inputs}
        self._partition.resume(committed)
        await self._leave_out(transactions)
        offsets = self._partition.offsets
        first = await self._consumer.beginning_offsets(list(self._inputs))
        for partition, beginning in first.items():
            offset = offsets.get(partition.topic, beginning)
            if offset < beginning:  # its retention is the promise that was broken by being away so long
                expired = {"topic": partition.topic, "partition": self.number, "records": beginning - offset}
                _log.error("input_expired", extra=expired)
                self.counts["expired"] += beginning - offset
            self._consumer.seek(partition, max(offset, beginning))
        # A position may name topics that only another version of the service reads.
        self._reached({n: offsets[n] for n in committed if n in offsets and offsets[n] != committed[n]})
        facts = {
            "partition": self.number,
            "keys": len(self._partition.state),
            "offsets": dict(offsets),
            "routine": True,
        }
        _log.info("partition_restored", extra=facts)

    async def _applied(self, batches: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]) -> Effects:
        incoming = [[_incoming(self._inputs[p], raw) for raw in raws] for p, raws in batches.items()]
        now, began_s = self._clock.read(), perf_counter()
        if self._wiring.threaded:
            effects = await asyncio.to_thread(self._partition.apply, incoming, now)
        else:
            effects = self._partition.apply(incoming, now)
        self._meter.handling_s.observe(perf_counter() - began_s)
        return effects

    async def _until_told(self) -> None:
        """Wait for an operator's word on the state's log."""
        start = {TopicPartition(self._log.name, self.number): self._restored_to}
        async with Reader(self._settings, [self._log], start=start, partitions={self.number}) as reader:
            while not any(record.key == SKIP_KEY and record.value for record in await reader.poll()):
                pass

    async def _leave_out(self, transactions: Transactions) -> None:
        """Do what an operator has said, once."""
        skips = self._partition.skips
        if skips is None:
            return
        before = dict(self._partition.offsets)
        async with self._in_transaction:
            await self._commit(transactions, self._partition.skip(self._clock.read()))
        facts = {
            "partition": self.number,
            "reason": skips.reason,
            "before": before,
            "offsets": dict(self._partition.offsets),
            "ticks": len(skips.ticks),
        }
        _log.warning("records_left_out", extra=facts)

    async def _follow_clock(self, transactions: Transactions) -> int:
        """Return the time, ns UTC; where the clock was set, move what is due first."""
        now = self._clock.read()
        if stepped_ns := self._clock.stepped_ns():
            self.counts["clock_steps"] += 1
            facts = {"partition": self.number, "seconds": stepped_ns / NS_PER_S}
            _log.warning("clock_stepped", extra=facts)
            async with self._in_transaction:
                await self._commit(transactions, self._partition.step_clock(stepped_ns, now))
        return now

    def _note(self, batches: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]], *, full: bool) -> None:
        """Note how far the inputs are read; a fetch that brings nothing has seen all, markers too.

        After a full batch more of it may wait here, and aiokafka fetches none of what waits.
        """
        now_s = asyncio.get_running_loop().time()
        for partition, holdups in self._holdups.items():
            if not full:
                holdups.note_answer(self.number, self._consumer.last_poll_timestamp(partition), now_s)
            if batches.get(partition):
                self._read[partition] = batches[partition][-1].offset + 1
            elif not batches:
                self._read[partition] = self._consumer.last_stable_offset(partition) or 0

    async def _commit(self, transactions: Transactions, effects: Effects) -> None:
        """Write the effects in one transaction; then raise the handler's failure, if there was one."""
        if effects.outgoing or effects.offsets:
            began_s = perf_counter()
            self._reached(effects.offsets)
            due = asyncio.get_running_loop().time() >= self._report_at
            await self._write(transactions, effects, self._unreported if due else {})
            self.counts["transactions"] += 1
            self._meter.transaction_s.observe(perf_counter() - began_s)
        self.counts["handled"] += effects.handled
        self.counts["stale"] += effects.stale
        self.counts["dead_letters"] += effects.dead_letters
        self.counts["left_out"] += effects.left_out
        self.counts["failures"] += len(effects.failures)
        self.counts["too_large"] += len(effects.too_large)
        for error in effects.too_large:
            _log.error("message_too_large", extra={"partition": self.number, "reason": str(error)})
        for failure in effects.failures:
            _log.error("command_failed", exc_info=failure.__cause__, extra={"at": str(failure)})
        self._meter.committed(effects)
        if effects.failure is not None:
            raise effects.failure

    async def _write(
        self, transactions: Transactions, effects: Effects, unreported: Mapping[str, int]
    ) -> None:
        """Write the effects, and positions as the group's offsets, for those who watch its lag.

        So these are fenced like all else; a commit by the group's member is not, and could come late.
        """
        self._opened_s = asyncio.get_running_loop().time()
        offsets = {TopicPartition(name, self.number): offset for name, offset in unreported.items()}
        await transactions.commit(effects.outgoing, effects.now // NS_PER_MS, offsets)
        self._opened_s = None
        if offsets:
            self._unreported.clear()

    def _reached(self, offsets: Mapping[str, int]) -> None:
        """Let the group's offsets follow the position in the state's log, soon."""
        if offsets and not self._unreported:
            self._report_at = asyncio.get_running_loop().time() + REPORT_S
        self._unreported |= offsets

    async def _report_alone(self, transactions: Transactions) -> None:
        # Not right after another transaction: offsets first that meet CONCURRENT_TRANSACTIONS wait 100 ms.
        await self._write(transactions, Effects(self._clock.read()), self._unreported)

    def _place(self, key: bytes) -> int:
        return partition_of(key, self._settings.topic_partitions)


def _incoming(topic: Topic, raw: ConsumerRecord[bytes, bytes]) -> Incoming:
    return Incoming(
        topic=topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp_ms=raw.timestamp,
        key=raw.key or b"",
        value=raw.value,
        headers=headers_of(raw.headers),
    )
