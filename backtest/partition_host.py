"""A stateful service on the bus: its real wiring, and a real `Partition` for each partition number.

What `libs.common.processor` does around them with Kafka happens here by the bus's clock: a record of an input
is handled when it arrives, a tick when it is due, or when the views show that it is to come early, and what
follows is written at once. A transaction's time is part of the hop to whoever reads what it wrote. An owner
is never busy: at the rates of a backtest its queue is empty.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from backtest.following import follow
from libs.common.codec import UndecodableMessageError
from libs.common.effects import Incoming
from libs.common.handling import nothing_early
from libs.common.partition import Partition
from libs.common.topics import L2_BOOK_TOPS, Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from backtest.bus import Bus, Record
    from libs.common.effects import Effects
    from libs.common.events import Event
    from libs.common.handling import Wiring

TICKS: Final = 100  # of one transaction
OF_BOOKS: Final = (Key.BOOK, Key.CANDLE, Key.OPEN_CANDLE)
NOWHERE: Final = -1  # what a handler looks at that looks at no books


class StoppedError(Exception):
    """A handler raised on what is no command: as it stands, the service's state can be believed no more."""


class PartitionHost:
    """Runs one wiring; its state is all that it keeps.

    Parameters
    ----------
    looks_at
        Tells of a message, None for a tick, and the number of the partition that is about to handle it, of
        which partition's books it looks at; None: at all, `NOWHERE`: at none.

    Attributes
    ----------
    counts
        What was done so far: messages handled, dead letters, commands refused as internal.
    failures
        The first few reasons of the last ones, in words.
    """

    def __init__(
        self,
        bus: Bus,
        wiring: Wiring[Any],
        looks_at: Callable[[Event | None, int], int | None] = lambda _message, number: number,
    ) -> None:
        self.service = wiring.service
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.partitions = [Partition(wiring, number, bus.place) for number in range(bus.partitions)]
        self._bus, self._wiring, self._looks_at = bus, wiring, looks_at
        self._stirred: set[int] = set()  # partitions that are to be looked at now
        self._wakes: dict[int, int] = {}  # when a partition is to be woken next
        watches = wiring.early is not nothing_early
        follow(bus, wiring.views, self._stir if watches else lambda _record: None)
        for topic in wiring.inputs:
            bus.subscribe(topic, self._take)

    def announce(self) -> None:
        """Write what the service says of itself; before anything else happens."""
        for said in self._wiring.announce():
            self._bus.publish(said.topic, said.key, said.event)

    def _take(self, record: Record) -> None:
        bus, number = self._bus, record.partition
        self._look_at_books(record, number)
        incoming = Incoming(
            record.topic,
            number,
            record.offset,
            record.timestamp_ms,
            record.key,
            record.value,
            record.headers,
        )
        partition = self.partitions[number]
        self._write(partition, partition.apply(((incoming,),), bus.now))
        self._look(partition)

    def _stir(self, record: Record) -> None:
        """Look at whom a view's news may concern, once all that arrives now has been folded.

        What is told of a book concerns those of its symbol alone. Whether a top may be used is asked of its
        book's health, so its source is asked, too.
        """
        if record.topic.key in OF_BOOKS:
            partition = self.partitions[record.partition]
            if record.topic is L2_BOOK_TOPS and partition.next_wake is not None:
                self._bus.at(self._bus.now, self._bus.look, partition.number)
            self._look_soon(partition)
            return
        for partition in self.partitions:
            self._look_soon(partition)

    def _look_soon(self, partition: Partition[Any]) -> None:
        if partition.number not in self._stirred and partition.next_wake is not None:
            self._stirred.add(partition.number)
            self._bus.at(self._bus.now, self._look_stirred, partition)

    def _look_stirred(self, partition: Partition[Any]) -> None:
        self._stirred.discard(partition.number)
        self._look(partition)

    def _look(self, partition: Partition[Any]) -> None:
        """See to it that the partition is woken when something is due, or now if something is early."""
        due = partition.next_wake
        if due is None:  # a tick that is early is pending, too
            return
        now, planned = self._bus.now, self._wakes.get(partition.number)
        if planned == now:
            return
        ts = now if due <= now or partition.ripe(now) else due
        if planned is None or ts < planned:
            self._wakes[partition.number] = ts
            self._bus.at(ts, self._wake, (partition, ts))

    def _wake(self, given: tuple[Partition[Any], int]) -> None:
        partition, ts = given
        if self._wakes.get(partition.number) != ts:
            return  # it was woken before, and sleeps again
        del self._wakes[partition.number]
        now = self._bus.now
        self._look_at_books(None, partition.number)
        while partition.ripe(now):
            self._write(partition, partition.wake(now, TICKS))
        self._look(partition)

    def _look_at_books(self, record: Record | None, number: int) -> None:
        if not self._bus.asks:
            return
        try:
            message = None if record is None else record.event
        except UndecodableMessageError:
            return
        where = self._looks_at(message, number)
        if where != NOWHERE:
            self._bus.look(where)

    def _write(self, partition: Partition[Any], effects: Effects) -> None:
        for outgoing in effects.outgoing:
            self._bus.send(outgoing)
        self.counts["handled"] += effects.handled
        self.counts["dead_letters"] += effects.dead_letters + len(effects.too_large)
        if effects.failures:
            self.counts["failures"] += len(effects.failures)
            self.failures = [*self.failures, *map(str, effects.failures)][:TICKS]
        if effects.failure is not None:
            raise StoppedError(
                f"{self.service}-{partition.number} stopped: {effects.failure}"
            ) from effects.failure
