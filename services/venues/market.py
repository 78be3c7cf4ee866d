"""What venues reads beside Faust, every book's newest top and health, and the metrics that it tells; a shell.

Tops come ten times a second and book, and are counted from their view: to Faust each record is an event with
an acknowledgement of its own. The metrics of all books are sent together, as the views' records come, and are
not waited for: each is told again a second later. That a book ended is told once, and waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from libs.common.codec import encode
from libs.common.events import BookTop
from libs.common.kafka import Publisher, TooLargeError, follow
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, VENUES_METRICS
from libs.common.venues import VENUES
from libs.common.views import View
from services.venues.doors import Tops
from services.venues.lags import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiokafka.structs import RecordMetadata

    from libs.common.events import BookHealth, VenueMetrics
    from libs.common.kafka import Record, Undecodable
    from services.venues.monitoring import VenuesMonitor
    from services.venues.settings import VenuesSettings

_log = logging.getLogger(__name__)


class Market:
    """The newest top and health of each book, and the arrivals of tops, which the owner's core folds.

    Parameters
    ----------
    owns
        Whether this process is to keep the dead letters of a partition of the tops.
    """

    def __init__(self, settings: VenuesSettings, monitor: VenuesMonitor, owns: Callable[[int], bool]) -> None:
        self._settings, self._monitor, self._owns = settings, monitor, owns
        self.tops = Tops()
        self.healths: View[BookHealth] = View(L2_BOOK_HEALTH)
        self.arrivals = Arrivals()
        self._untold: dict[bytes, VenueMetrics] = {}  # the newest metrics by book
        self._sending = asyncio.Lock()  # what is told later is sent later
        self.ready = asyncio.Event()  # everything was read that was there at the start

    @property
    def behind(self) -> str:
        """The topics of which something is to be read that was there at the start."""
        return ", ".join(view.topic.name for view in (self.tops, self.healths) if not view.ready)

    async def follow(self) -> None:
        """Follow both topics for ever.

        Raises
        ------
        KafkaError
            If Kafka refuses what is read or written.
        """
        views = (self.tops, self.healths)
        async with (
            Publisher(self._settings) as self._publisher,
            aclosing(follow(self._settings, views, on_undecodable=self._reject)) as batches,
        ):
            async for records in batches:
                await self._note([record for record in records if record.topic is L2_BOOK_TOPS])
                await self._send()
                if self._publisher.failed.done():
                    await self._publisher.watch()
                if not self.behind:
                    self.ready.set()

    def tell(self, key: bytes, metrics: VenueMetrics) -> None:
        """Let a book's metrics go to Kafka with those of all others a moment later."""
        self._untold[key] = metrics

    async def end(self, key: bytes) -> None:
        """Say that a book ended, after all that was told of it, and wait until Kafka has that.

        Raises
        ------
        KafkaError
            If Kafka refuses it.
        """
        async with self._sending:
            self._untold.pop(key, None)
            sending = await self._send_one(key, None)
        if sending is not None:
            await sending

    async def flush(self) -> None:
        """Wait until Kafka has everything that was told."""
        await self._send()
        await self._publisher.flush()

    async def _send(self) -> None:
        async with self._sending:
            untold, self._untold = self._untold, {}
            for key, metrics in untold.items():
                await self._send_one(key, metrics)

    async def _send_one(
        self, key: bytes, metrics: VenueMetrics | None
    ) -> asyncio.Future[RecordMetadata] | None:
        ts = time.time_ns() if metrics is None else metrics.ts
        try:
            sending = await self._publisher.send(VENUES_METRICS, key, metrics, ts)
        except TooLargeError as error:
            await self._keep_too_large(key, metrics, error)
            return None
        self._monitor.wrote(VENUES_METRICS.name)
        return sending

    async def _keep_too_large(self, key: bytes, metrics: VenueMetrics | None, error: TooLargeError) -> None:
        self._monitor.too_large += 1
        _log.error("message_too_large", extra={"topic": VENUES_METRICS.name, "reason": str(error)})
        raw = b"" if metrics is None else encode(metrics)
        await self._publisher.dead_letter(key, raw, str(error), VENUES_METRICS.name)

    async def _note(self, tops: Sequence[Record]) -> None:
        """Note the tops that their view has folded, and keep those that it has not."""
        for record in tops:
            top = cast("BookTop | None", record.event)
            wrong = self.tops.faults.pop((record.partition, record.offset), None)
            if wrong is not None:
                await self._keep_fault(record, wrong)
            elif top is None:
                self.arrivals.forget(record.key)
            elif top.venue in VENUES:
                self.arrivals.note(top, record.offset)
            else:
                self._monitor.left_out += 1
        if tops:
            age_s = time.time() - tops[-1].timestamp_ms / 1e3
            self._monitor.read(BookTop.__name__, L2_BOOK_TOPS.name, age_s, len(tops))

    async def _keep_fault(self, record: Record, wrong: str) -> None:
        if self._owns(record.partition):
            source = f"{record.topic.name}/{record.partition}/{record.offset}"
            raw = record.value or b""
            await self._publisher.dead_letter(record.key, raw, wrong, source, record.headers)

    async def _reject(self, undecodable: Undecodable) -> None:
        """Keep what is no top; what is no health is kept by the stream that reads the same record."""
        _log.warning("undecodable", extra={"at": undecodable.source, "reason": undecodable.reason})
        if undecodable.topic is L2_BOOK_TOPS and self._owns(undecodable.partition):
            await self._publisher.reject(undecodable)
