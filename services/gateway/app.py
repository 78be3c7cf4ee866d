"""The gateway's shell: it follows the views, sends the commands, and wires both to HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from libs.common.budgets import account_of, use_of
from libs.common.events import ServiceState
from libs.common.kafka import (
    MissingTopicError,
    Publisher,
    TooLargeError,
    UnreachableError,
    create_topics,
    follow,
    partition_counts,
)
from libs.common.metrics import CONTENT_TYPE, create_registry, exposition
from libs.common.settings import TLS
from libs.common.status import Condition, heartbeat
from libs.common.topic_usage import topic_usage
from libs.common.topics import L2_BOOK_TOPS, TOPICS
from services.gateway.asking.commands import Changes, Commands
from services.gateway.asking.new_scopes import NewScopes
from services.gateway.asking.questions import Questions
from services.gateway.http import asyncapi
from services.gateway.http.answers import ReadyAnswer, ViewLag, encode, service_answer
from services.gateway.http.callers import Callers
from services.gateway.http.cross_origin import CrossOrigin, origins_of
from services.gateway.http.edge import Edge
from services.gateway.http.guard import WriteGuard
from services.gateway.http.parts import Parts
from services.gateway.http.problems import TOO_LARGE, ProblemError, not_ready
from services.gateway.http.routes import VERSION, create_api
from services.gateway.http.traffic import Traffic
from services.gateway.monitoring import families, kept, measured, of_topics, turned_away
from services.gateway.reading.audit_log import AuditLog
from services.gateway.reading.books import Books
from services.gateway.reading.past_books import PastBooks
from services.gateway.reading.readers import Readers
from services.gateway.reading.readiness import Readiness, Report
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.stream.hub import Hub
from services.gateway.stream.replays import Replays

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from typing import Never

    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

    from libs.common.budgets import Account, Usage
    from libs.common.cloudevents import Headers
    from libs.common.events import Event
    from libs.common.metrics import Family
    from libs.common.topics import Topic
    from libs.common.views import View
    from services.gateway.settings import GatewaySettings

PROBE_S: Final = 1.0  # between two questions whether Kafka answers
JUDGE_S: Final = 0.25  # between two looks whether every route would do its work
SWEEP_S: Final = 300.0  # between two deletions of old replies
MEASURE_S: Final = 60.0  # between two looks at what the topics take

_log = logging.getLogger(__name__)


def create_app(settings: GatewaySettings) -> Gateway:
    """Return the gateway; called on the event loop that will serve it."""
    return Gateway(settings)


class KafkaLink:
    """What the gateway has of Kafka: a publisher once it is up, and when it answered last."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._publisher: Publisher | None = None
        self._answered_s: float | None = None  # monotonic
        self._away_because = "no answer yet"
        self._unreachable = False
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Publisher]:
        """Create the topics and connect the publisher, waiting for Kafka as long as the settings say."""
        await create_topics(self._settings)
        async with Publisher(self._settings, compress=False) as publisher:
            self._publisher = publisher
            try:
                yield publisher
            finally:
                self._publisher = None

    async def send_and_wait(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> None:
        """Send a message and wait until Kafka has it.

        Raises
        ------
        ProblemError
            413 if its topic takes no message of this size, which is a refusal of this one alone. 503 before
            Kafka is there, or if it refused the message; then the process ends, for the producer may be of no
            more use.
        """
        if self._publisher is None:
            raise not_ready("Kafka is not there yet.")
        try:
            await self._publisher.send_and_wait(topic, key, event, ts, headers)
        except TooLargeError as error:
            raise ProblemError(TOO_LARGE, f"Nothing was sent: {error}.") from error
        except KafkaError as error:
            if not self.refused.done():
                self.refused.set_exception(error)
            raise not_ready(f"Kafka refused the message: {type(error).__name__}.") from error

    async def probe(self) -> Never:
        """Ask Kafka again and again whether it is there."""
        while True:
            try:
                async with asyncio.timeout(self._settings.kafka_silence_s):
                    await partition_counts(self._settings, [L2_BOOK_TOPS])
            except (KafkaError, MissingTopicError, TimeoutError, OSError) as error:
                self._tell(str(error) or type(error).__name__)
                self._unreachable |= isinstance(error, UnreachableError)  # until it answers
            else:
                self._unreachable = False
                self._tell("")
                self._answered_s = time.monotonic()
            await asyncio.sleep(PROBE_S)

    @property
    def away(self) -> str | None:
        """Why Kafka cannot be asked; None if somebody is there and answered within the setting."""
        silent_s = float("inf") if self._answered_s is None else time.monotonic() - self._answered_s
        if silent_s <= self._settings.kafka_silence_s and not self._unreachable:
            return None
        because = self._away_because or f"nothing for {silent_s:.0f} s"
        return f"Kafka at {self._settings.kafka_bootstrap_servers} does not answer: {because}"

    def _tell(self, away_because: str) -> None:
        if bool(away_because) != bool(self._away_because):
            servers = self._settings.kafka_bootstrap_servers
            if away_because:
                _log.warning("kafka_away", extra={"servers": servers, "reason": away_because})
            else:
                _log.info("kafka_answers", extra={"servers": servers, "routine": self._answered_s is None})
        self._away_because = away_because


class Gateway:
    """The ASGI app; `failed` is done when the process must end."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refusals: Counter[str] = Counter()  # by reason
        self.request_timeout_s = settings.request_timeout_s
        self.write_timeout_s = settings.write_timeout_s
        self.cross_origin = CrossOrigin(origins_of(settings.gateway_cors_origins), settings.served_as)
        self._settings = settings
        self._views = GatewayViews(settings.l2_silence_s, settings.topic_partitions, time.monotonic_ns)
        self._changes = Changes()
        self._decisions = Changes()  # the markets' left out, which come a hundred times as often
        self._link = KafkaLink(settings)
        self._books = Books(self._views)
        self._commands = Commands(settings, self._views, self._changes, self._link, time.time_ns)
        readers = Readers(settings)
        self._questions = Questions(settings, self._views, self._link, readers.answers, time.time_ns)
        self._ready = Readiness(self._views, self._views.fleet, time.time_ns, time.monotonic_ns)
        self._report = Report(("the gateway is starting",))  # the last one
        self._past_books = PastBooks(settings, self._views, readers.book, time.time_ns)
        self._audit_log = AuditLog(settings, readers.audit)
        self._new_scopes = NewScopes(settings, self._views.router_snapshots.items, time.monotonic_ns)
        self._hub = Hub(settings, readers.live, Replays(settings, readers.replay, time.monotonic_ns))
        self._usage: Mapping[str, Usage] = {}  # of the topics, as last known
        self._registry = create_registry(self._families)
        traffic = Traffic()
        self._registry.register(traffic)
        parts = Parts(
            Callers(settings.gateway_trusted_proxies),
            self._views,
            self._books,
            self._past_books,
            self._commands,
            self._questions,
            self._audit_log,
            self._new_scopes,
            self._decisions,
            self._hub,
            self._readiness,
            self._metrics,
            time.time_ns,
            encode(
                asyncapi.document(
                    VERSION,
                    settings.kafka_bootstrap_servers,
                    settings.topic_partitions,
                    encrypted=settings.kafka_security_protocol in TLS,
                    mechanism=settings.kafka_sasl_mechanism,
                )
            ),
        )
        api = create_api(parts, self._lifespan, token_required=settings.gateway_token is not None)
        self._guard = WriteGuard(settings, self.refusals, time.monotonic_ns)
        self._edge = Edge(
            api,
            self._books,
            traffic,
            self._guard,
            self.cross_origin,
            clock=time.time_ns,
            stopwatch=time.perf_counter,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the server's lifespan."""
        await self._edge(scope, receive, send)

    async def close_streams(self) -> None:
        """End all open streams, so that their connections can close."""
        await self._hub.close()

    @asynccontextmanager
    async def _lifespan(self, _api: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(self._run(), name="gateway")
        running.add_done_callback(self._ended)
        try:
            yield
        finally:
            await self._hub.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)  # its failure is in `failed`

    async def _run(self) -> None:
        settings = self._settings
        instance = f"{socket.gethostname()}-{settings.gateway_port or os.getpid()}"
        async with (
            self._link.connected() as publisher,
            heartbeat(settings, "gateway", instance, self._condition),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(publisher.watch())
            tasks.create_task(_failure_of(self._link.refused))
            tasks.create_task(_failure_of(self._hub.failed))
            tasks.create_task(self._link.probe())
            tasks.create_task(self._follow(self._views.of_markets, publisher))
            tasks.create_task(self._follow(self._views.of_decisions, publisher))
            tasks.create_task(self._questions.listen(publisher.reject))
            tasks.create_task(self._sweep())
            tasks.create_task(self._watch_readiness())
            tasks.create_task(self._watch_topics())

    async def _follow(self, views: Sequence[View[Any]], publisher: Publisher) -> None:
        told = False
        batches = follow(self._settings, views, on_undecodable=publisher.reject)
        async with aclosing(batches):
            async for batch in batches:
                if batch:
                    self._changes.announce()
                    if views is self._views.of_decisions:
                        self._decisions.announce()
                if not told and all(view.ready for view in views):
                    told = True
                    keys = {view.topic.name: len(view.items) for view in views}
                    _log.info("views_ready", extra={**keys, "routine": True})

    async def _watch_readiness(self) -> Never:
        """Judge again and again, so that what is missing is told in the log also where nobody asks."""
        while True:
            before, report = self._report, self._judge()
            if report.ready != before.ready:
                missing = report.missing or report.degraded
                _log.log(
                    logging.INFO if report.ready else logging.WARNING,
                    "system_ready" if report.ready else "system_not_ready",
                    extra={"missing": "; ".join(missing)},
                )
            await asyncio.sleep(JUDGE_S)

    async def _watch_topics(self) -> Never:
        """Look again and again at what the topics take."""
        while True:
            try:
                async with asyncio.timeout(MEASURE_S):
                    found = await topic_usage(self._settings, TOPICS)
            except (KafkaError, TimeoutError, OSError) as error:  # what was found before is told on
                _log.warning("topics_not_measured", extra={"reason": str(error) or type(error).__name__})
            else:
                if leaderless := sorted(name for name, usage in found.items() if usage is None):
                    reason = f"a partition has no leader: {', '.join(leaderless)}"
                    _log.warning("topics_not_measured", extra={"reason": reason})
                self._usage = measured(self._usage, found)
            await asyncio.sleep(MEASURE_S)

    def _accounts(self) -> Mapping[str, Account]:
        """Return what the topics take beside their budgets."""
        use = use_of(len(self._views.subscribed()), self._settings.topic_partitions)
        return {name: account_of(TOPICS[name], usage, use) for name, usage in self._usage.items()}

    def _condition(self) -> Condition:
        behind = [view.topic.name for view in self._views.all if not view.ready]
        if behind:
            return Condition(ServiceState.STARTING, detail=f"reading {', '.join(behind)}")
        if not self._questions.listening:
            return Condition(ServiceState.STARTING, detail="does not hear the services' answers yet")
        return Condition(ServiceState.READY)

    def _judge(self) -> Report:
        self._report = self._ready.report(
            self._link.away, hears_answers=self._questions.listening, unheard=self._questions.unheard
        )
        return self._report

    async def _sweep(self) -> Never:
        while True:
            await self._changes.until(lambda: self._views.ready)
            forgotten = await self._commands.forget_old_replies()
            if forgotten:
                _log.info("replies_forgotten", extra={"count": forgotten})
            await asyncio.sleep(SWEEP_S)

    def _ended(self, running: asyncio.Task[None]) -> None:
        if not running.cancelled() and not self.failed.done():
            self.failed.set_exception(running.exception() or AssertionError("the gateway stopped by itself"))

    def _readiness(self) -> ReadyAnswer:
        report = self._judge()
        if not report.ready:
            raise not_ready(report.detail, report.missing)
        return ReadyAnswer(
            status="degraded" if report.degraded else "ready",
            degraded=report.degraded,
            services=tuple(map(service_answer, self._views.fleet.shown())),
            views=tuple(
                ViewLag(topic=view.topic.name, ready=view.ready, lag=view.lag(), keys=len(view.items))
                for view in self._views.all
            ),
        )

    def _metrics(self) -> tuple[bytes, str]:
        return exposition(self._registry), CONTENT_TYPE

    def _families(self) -> Iterable[Family]:
        yield from families(
            self._views,
            self._books,
            self._past_books,
            self._questions,
            self._hub,
            ready=self._report.ready,
        )
        yield from kept(self._commands, self._past_books, self._audit_log, self._hub, self._new_scopes)
        yield from turned_away(self.refusals, self._guard.addresses)
        yield from of_topics(self._accounts())


async def _failure_of(future: asyncio.Future[None]) -> None:
    await asyncio.shield(future)
