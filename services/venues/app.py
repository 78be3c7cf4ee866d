"""The venues shell: Faust feeds the core from three topics, the market's views from those of the books.

Tops reach the core through their view alone, and what was counted of them Faust's table with the book's next
health, which comes through Faust.

A score command is answered in four steps: handle it, wait until the changelog has the answer, publish the
answer, wait until Kafka has that. Killed in between, the process finds the command again, and if it had been
answered, the same answer. Any failure ends the process before the message that caused it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import time
from typing import TYPE_CHECKING, Final, cast

from aiokafka.errors import KafkaError
from faust.types import TP

from libs.common import log, metrics
from libs.common.cloudevents import headers_of, identity, position_id
from libs.common.codec import UndecodableMessageError, UnknownMessageError
from libs.common.command_rules import echoed, refused_as_internal
from libs.common.events import Command, ScoreVenues, ServiceState, VenueMetrics
from libs.common.holdups import Holdups
from libs.common.kafka import create_topics, partition_of
from libs.common.message_sizes import TooLargeError, check_size
from libs.common.status import Condition, heartbeat
from libs.common.time_units import NS_PER_S
from libs.common.topics import (
    DEAD_LETTERS,
    EXECUTION_FILLS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    SERVICES_STATUS,
    VENUES_COMMANDS,
    VENUES_METRICS,
    VENUES_SCORES,
    Topic,
    book_key,
)
from libs.common.venue_fees import fees_from
from libs.common.venues import VENUES
from services.venues.answers import Answer, Answers
from services.venues.catching_up import caught_up
from services.venues.doors import message_of
from services.venues.faust_app import PromptWorker, faust_app
from services.venues.faust_recovery import HoleGuard, last_answer, mend_recovery
from services.venues.handlers import Message, Place, State, Unknowns, handle
from services.venues.lags import Lags
from services.venues.market import Market
from services.venues.monitoring import VenuesMonitor
from services.venues.registry import Measurement, has_news
from services.venues.replies import SOURCE, letter, reply
from services.venues.settings import policy_of
from services.venues.tables import ANSWERS, LAGS, MEASUREMENTS, ConflatedTable, PackedTable, changelogs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
    from uuid import UUID

    import faust
    from faust.types import EventT, StreamT, TopicT

    from libs.common.cloudevents import Headers
    from libs.common.effects import Outgoing
    from libs.common.events import CommandRejected, Event, VenueScored
    from services.venues.settings import VenuesSettings

STREAMS: Final = (L2_BOOK_HEALTH, EXECUTION_FILLS, VENUES_COMMANDS)
INPUTS: Final = (L2_BOOK_TOPS, *STREAMS)
OUTPUTS: Final = (VENUES_METRICS, VENUES_SCORES, DEAD_LETTERS)
LOOK_S: Final = 0.1
STANDS_S: Final = 10.0  # without an answered fetch, and without a record
EXIT_FAILED: Final = 3

_log = logging.getLogger(__name__)


def create_worker(settings: VenuesSettings) -> faust.Worker:
    """Return what runs the service until it is told to end; its topics must exist when it starts."""
    service = _Service(settings)
    return PromptWorker(service.app, service.at_work)


async def prepare(settings: VenuesSettings) -> None:
    """Create what the service reads and writes, and the changelogs: a missing topic makes Faust spin."""
    await create_topics(settings, (*INPUTS, *OUTPUTS, SERVICES_STATUS, *changelogs(settings.group)))


class _Service:
    def __init__(self, settings: VenuesSettings) -> None:
        mend_recovery()
        self._settings = settings
        self.app = faust_app(settings, STREAMS)
        self._monitor = VenuesMonitor()
        self._market = Market(settings, self._monitor, self._owns)
        self._owned: tuple[int, ...] | None = None  # partitions, once the group has given any
        self._reached: dict[int, int] = {}  # last health's offset by partition, since given
        self._delivered = 0  # records, since the start
        self._holdups = Holdups(STANDS_S)
        self._caught_up = False  # with the healths that were there then
        self._stopping, self._stopped = asyncio.Event(), asyncio.Event()  # the heartbeat's end: asked, told
        self._began_s = time.monotonic()
        partitions = settings.topic_partitions
        self._answers_table = PackedTable(self.app, ANSWERS, Answer, partitions)
        answers = Answers(self._answers_table)
        self._answers_table.on_recovered(answers.forget_index)
        self._state = State(
            measurements=ConflatedTable(self.app, MEASUREMENTS, Measurement, partitions, has_news),
            lags=ConflatedTable(self.app, LAGS, Lags, partitions),
            answers=answers,
            tops=self._market.tops.items,
            healths=self._market.healths.items,
            arrivals=self._market.arrivals,
            policy=policy_of(settings),
            unknowns=Unknowns(settings.unknown_request_ms, settings.unknown_volatility),
            reference_notional=settings.reference_notional,
            holding_s=settings.holding_s,
            tiers=fees_from(settings.fees),
        )
        self._guard = HoleGuard(self.app, settings, VENUES_COMMANDS)
        self._outputs = {topic: self._raw_topic(topic) for topic in (VENUES_SCORES, DEAD_LETTERS)}
        for topic in STREAMS:
            self._read(topic)
        for work in (self._market.follow, self._begin, self._serve_metrics, self._beat, self._watch):
            self.app.task(_ending_all(work))
        self.app.on_partitions_assigned.connect(self._on_assigned)
        self.app.on_before_shutdown.connect(self._on_before_shutdown)

    def _raw_topic(self, topic: Topic) -> TopicT:
        return self.app.topic(
            topic.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )

    def _read(self, topic: Topic) -> None:
        async def agent(stream: StreamT[bytes]) -> None:
            await _or_end(self._consume(topic, stream))

        name = f"{SOURCE}{topic.name}"
        self.app.agent(self._raw_topic(topic), name=name, concurrency=1)(agent)

    def _owns(self, partition: int) -> bool:
        return self._owned is None or partition in self._owned

    async def _on_assigned(self, *told: object, **_signal: object) -> None:
        assigned = cast("Collection[TP]", told[1])  # the first is the app
        owned = {each.partition for each in assigned if each.topic == VENUES_COMMANDS.name}
        self._owned = tuple(sorted(owned))
        self._reached, self._caught_up, self._holdups = {}, False, Holdups(STANDS_S)
        self._guard.keep_only(owned)

    async def _on_before_shutdown(self, *_told: object, **_signal: object) -> None:
        await self._guard.close()
        self._stopping.set()
        await self._stopped.wait()  # or until the app's time to stop is over

    def at_work(self) -> bool:
        """Return whether all that Faust starts has started, and no recovery is under way."""
        return self._condition().state is ServiceState.READY

    def _condition(self) -> Condition:
        if not self._market.ready.is_set():
            return Condition(ServiceState.STARTING, detail=f"reading {self._market.behind}")
        if self._owned is None:
            return Condition(ServiceState.STARTING, detail="joining its group")
        if self.app.rebalancing:
            return Condition(ServiceState.STARTING, detail="restoring its tables")
        if not self._caught_up:
            return Condition(ServiceState.STARTING, detail="catching up with the market")
        if stands := self._holdups.told(time.monotonic()):
            works = tuple(number for number in self._owned if number not in stands)
            number, said = next(iter(stands.items()))
            detail = f"{VENUES_COMMANDS.name}-{number} is {said}"
            return Condition(ServiceState.DEGRADED, works, tuple(stands), detail)
        return Condition(ServiceState.READY, self._owned)

    async def _beat(self) -> None:
        settings = self._settings
        async with heartbeat(settings, "venues", settings.group_instance_id, self._condition):
            await self._stopping.wait()
        self._stopped.set()

    async def _watch(self) -> None:
        """Find out whether what stood there is handled, and from then on whether what comes is."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._owned is None or self.app.rebalancing or not self._market.ready.is_set():
                continue
            if self._caught_up:
                self._look_for_answers(self._owned)
            else:
                with contextlib.suppress(KafkaError):  # asked again
                    await self._reach_ends(self._owned, self._reached)

    def _look_for_answers(self, owned: Iterable[int]) -> None:
        """Note whether Faust still fetches commands, or handles what it has."""
        for number in owned:
            if (answer := last_answer(self.app, VENUES_COMMANDS, number)) is not None:
                self._holdups.note_answer(number, (answer, self._delivered), time.monotonic())

    async def _reach_ends(self, owned: Iterable[int], reached: Mapping[int, int]) -> None:
        """Wait until the healths that are there now have been measured, or the partitions are given anew."""
        consumer = self.app.consumer
        healths = {number: TP(L2_BOOK_HEALTH.name, number) for number in owned}
        told = await consumer.highwaters(*healths.values())
        ends = {number: told[tp] or 0 for number, tp in healths.items()}
        began_s = time.monotonic()
        while reached is self._reached:
            positions = {number: await consumer.position(tp) or 0 for number, tp in healths.items()}
            if caught_up(ends, reached, positions, time.monotonic() - began_s):
                await self._market.flush()
                self._caught_up = reached is self._reached
                return
            await asyncio.sleep(LOOK_S)

    async def _consume(self, topic: Topic, stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            message = event.message
            self._delivered += 1
            place = Place(message.partition, message.offset)
            if topic is L2_BOOK_HEALTH:
                self._reached[place.partition] = place.offset
            if topic is VENUES_COMMANDS:
                await self._guard.check(place.partition, place.offset)
            await self._market.ready.wait()
            if event.value is None:
                if topic is L2_BOOK_HEALTH:  # the book ended, and what was measured of it with it
                    self._monitor.forget(*_book_of(event.key))
                    await self._market.end(event.key)
                continue
            headers = headers_of(dict(message.headers or ()).items())
            told = await self._decoded(topic, event, headers)
            if told is None:
                continue
            now = time.time_ns()
            behind_s = now / NS_PER_S - message.timestamp
            self._monitor.read(type(told).__name__, topic.name, behind_s)
            try:
                events = handle(self._state, told, place, now)
            except Exception as error:  # noqa: BLE001 -- told and kept; what is measured heals, a command is refused
                source = f"{topic.name}/{place.partition}/{place.offset}"
                events = await self._fail(told, event, error, source, headers)
            if isinstance(told, Command):
                await self._answers_table.persisted()
                fallback = position_id(topic.name, place.partition, place.offset)
                await self._answer(
                    told, cast("list[VenueScored | CommandRejected]", events), headers, fallback
                )
                for answer in cast("list[VenueScored | CommandRejected]", events):
                    self._monitor.answered(answer, time.time_ns() / NS_PER_S - message.timestamp)
            else:
                self._tell(events)

    async def _decoded(self, topic: Topic, event: EventT[bytes], headers: Headers) -> Message | None:
        """Return the message, or None of one that is kept as a dead letter, or of another version's."""
        try:
            told = message_of(topic, event.value)
        except UndecodableMessageError as error:
            if isinstance(error, UnknownMessageError) and topic is not VENUES_COMMANDS:
                self._monitor.left_out += 1
                return None
            source = f"{topic.name}/{event.message.partition}/{event.message.offset}"
            kept = letter(event.key or b"", event.value, str(error), source, headers, self._place)
            await self._send(kept, time.time_ns())
            return None
        if not isinstance(told, ScoreVenues) and told.venue not in VENUES:
            self._monitor.left_out += 1
        return told

    async def _fail(
        self, told: Message, event: EventT[bytes], error: Exception, source: str, headers: Headers
    ) -> list[Event]:
        """Keep a message that the handler raised on, and refuse it if it is a command."""
        self._monitor.failures += 1
        _log.error("message_failed", exc_info=error, extra={"at": source})
        kept = letter(event.key or b"", event.value, "", source, headers, self._place, error)
        await self._send(kept, time.time_ns())
        if not isinstance(told, ScoreVenues):
            return []
        return [refused_as_internal(told, told.symbol, "venues", error, source, time.time_ns())]

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            assert isinstance(event, VenueMetrics)  # noqa: S101 -- measurements cause nothing else
            self._monitor.measured(event)
            self._market.tell(book_key(event.venue, event.symbol), event)

    async def _answer(
        self,
        command: ScoreVenues,
        answers: list[VenueScored | CommandRejected],
        headers: Headers,
        fallback: UUID,
    ) -> None:
        _, correlation_id = identity(headers, fallback)

        async def send(answer: VenueScored | CommandRejected) -> TooLargeError | None:
            return await self._send(reply(command, answer, headers, fallback, self._place), answer.ts)

        for answer in answers:
            if (wrong := await send(answer)) is not None:
                await send(refused_as_internal(command, command.symbol, "venues", wrong, SOURCE, answer.ts))
            kind = type(answer).__name__
            facts = {"command_id": answer.command_id, "answer": kind, "symbol": echoed(command.symbol)}
            with log.correlated(correlation_id):
                log.tell(_log, "scored", facts | {"venue": getattr(answer, "venue", None)}, answer.ts)

    async def _send(self, outgoing: Outgoing, ts: int) -> TooLargeError | None:
        """Send a record and wait until Kafka has it; what its topic does not take is kept, and told."""
        topic, key, value, headers = outgoing.topic, outgoing.key, outgoing.value or b"", outgoing.headers
        try:
            check_size(topic, key, value, headers)
        except TooLargeError as error:
            self._monitor.too_large += 1
            _log.error("message_too_large", extra={"topic": topic.name, "reason": str(error)})
            await self._send(letter(key, value, str(error), topic.name, headers, self._place), time.time_ns())
            return error
        sending = await self._outputs[topic].send(
            key=key,
            value=value,
            partition=outgoing.partition,
            timestamp=ts / NS_PER_S,
            headers=list(headers),
        )
        await sending
        self._monitor.wrote(topic.name)
        return None

    def _place(self, key: bytes) -> int:
        return partition_of(key, self._settings.topic_partitions)

    async def _begin(self) -> None:
        await self._market.ready.wait()
        self._monitor.ready_s = time.monotonic() - self._began_s
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked at again
        _log.info("venues_ready", extra={"books": len(self._market.tops.items)})

    async def _serve_metrics(self) -> None:
        registry = metrics.create_registry(self._families)
        async with metrics.serve(registry, self._settings, self._settings.process_of("venues")):
            await asyncio.Event().wait()

    def _families(self) -> Iterable[metrics.Family]:
        self._monitor.holes = self._guard.holes
        self._monitor.unknown_tops = self._market.tops.left_out
        return self._monitor.families()


def _book_of(key: bytes) -> tuple[str, str]:
    venue, _, symbol = key.decode("utf-8", "replace").partition(":")
    return venue, symbol


def _ending_all(work: Callable[[], Coroutine[None, None, None]]) -> Callable[[], Coroutine[None, None, None]]:
    """Return what does `work` and ends the process if that fails."""

    async def task() -> None:
        await _or_end(work())

    return task


async def _or_end(work: Coroutine[None, None, None]) -> None:
    """End the process if `work` fails: what it was about to acknowledge must come again."""
    try:
        await work
    except Exception:  # noqa: BLE001 -- whatever it is, the state is unknown now
        _log.critical("venues_failed", exc_info=True)
        logging.shutdown()
        os._exit(EXIT_FAILED)
