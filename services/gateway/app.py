"""The gateway's shell: it follows the views, sends the commands, and wires both to HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections import Counter
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from libs.common.budgets import account_of, use_of
from libs.common.events import ServiceState
from libs.common.kafka import Pace, follow
from libs.common.metrics import CONTENT_TYPE, create_registry, exposition
from libs.common.proxies import Proxies
from libs.common.settings import TLS
from libs.common.status import Condition, heartbeat
from libs.common.time_units import NS_PER_MS
from libs.common.topic_usage import topic_usage
from libs.common.topics import L2_BOOK_DELTAS, TOPICS
from services.gateway.alerts.cause import Moment
from services.gateway.alerts.lookout import Lookout
from services.gateway.alerts.standing import Watched
from services.gateway.alerts.totals import AlertTotals
from services.gateway.asking.commands import Changes, Commands
from services.gateway.asking.idempotency import Idempotency
from services.gateway.asking.kafka_link import KafkaLink
from services.gateway.asking.publications import Publications
from services.gateway.asking.simulator import Simulator
from services.gateway.asking.subscriptions import Subscriptions
from services.gateway.http import asyncapi, command_routes, page
from services.gateway.http.callers import Callers
from services.gateway.http.edge import Edge
from services.gateway.http.guard import CrossOrigin, WriteGuard
from services.gateway.http.parts import Parts
from services.gateway.http.places import NewNames
from services.gateway.http.problems import not_ready
from services.gateway.http.routes import VERSION, create_api
from services.gateway.http.short_way import ShortWay, short_routes
from services.gateway.http.view import encode
from services.gateway.monitoring import Traffic, families
from services.gateway.reading.audit_log import AuditLog
from services.gateway.reading.book_log import open_book_log
from services.gateway.reading.books import Books
from services.gateway.reading.dead_letter_log import DeadLetterLog, read_letters
from services.gateway.reading.decision_log import DecisionLog
from services.gateway.reading.known_names import knows_policy, knows_scope
from services.gateway.reading.lineages import Lineages
from services.gateway.reading.moment_log import MomentLogs
from services.gateway.reading.moment_state import STATE
from services.gateway.reading.moments import Moments
from services.gateway.reading.past_books import PastBooks
from services.gateway.reading.past_records import PastRecords
from services.gateway.reading.performance_log import PerformanceLog
from services.gateway.reading.readiness import Readiness, ReadyAnswer, Report, ready_answer
from services.gateway.reading.sources import LIVE, PIECE, opener, read_audit, read_performance
from services.gateway.reading.system_status import Known, SystemAnswer, system_answer
from services.gateway.reading.topic_figures import TopicFigures
from services.gateway.reading.topic_log import open_topic_log
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.reading.why import Why
from services.gateway.reading.window_log import read_windows
from services.gateway.stream.hub import Hub
from services.gateway.stream.replays import Replays

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from typing import Never

    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

    from libs.common.budgets import Account
    from libs.common.kafka import Publisher
    from libs.common.metrics import Family
    from libs.common.views import View
    from services.gateway.alerts.cause import Cause
    from services.gateway.alerts.watch import Watch
    from services.gateway.settings import GatewaySettings

JUDGE_S: Final = 0.25  # between two looks whether every route would do its work
SWEEP_S: Final = 300.0  # between two deletions of old replies
MEASURE_S: Final = 60.0  # between two looks at what the topics take, while nobody asks
WATCHED_S: Final = 5.0  # the same, while somebody does
LOOK_S: Final = 1.0  # between two looks for causes of alerts

_log = logging.getLogger(__name__)


def create_app(settings: GatewaySettings) -> Gateway:
    """Return the gateway; called on the event loop that will serve it."""
    return Gateway(settings)


class Gateway:
    """The ASGI app; `failed` is done when the process must end."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refusals: Counter[str] = Counter()  # by reason
        self.request_timeout_s = settings.request_timeout_s
        self.write_timeout_s = settings.write_timeout_s
        self.cross_origin = CrossOrigin(settings)
        self._settings = settings
        self._instance = f"{socket.gethostname()}-{settings.port or os.getpid()}"
        self._changes = Changes()
        self._link = KafkaLink(settings)
        self._moment_logs = MomentLogs(settings, STATE, L2_BOOK_DELTAS, time.monotonic)
        self._report = Report(("the gateway is starting",))  # the last one
        self._figures = TopicFigures()
        self._measured_s = 0.0  # when the topics were looked at, monotonic
        self._asked = asyncio.Event()  # somebody wants to know what the topics take
        self._letters = DeadLetterLog(partial(read_letters, settings))
        self._parts = self._connected()
        self._lookout = Lookout(self._parts.views, lambda: self._link.away)
        self._watched = Watched()
        self._alerts = self._alerting()
        self._ready = Readiness(self._parts.views, time.time_ns, time.monotonic_ns)
        self._registry = create_registry(self._families)
        self._traffic = Traffic()
        self._guard = WriteGuard(settings, self._parts.callers, self.refusals, time.monotonic_ns)
        api = create_api(self._parts, self._lifespan, token_required=settings.token is not None)
        self._edge = Edge(
            ShortWay(api, short_routes(command_routes.router.routes)),
            self._parts.books,
            self._traffic,
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
        await self._parts.hub.close()

    def _connected(self) -> Parts:
        """Return what the routes answer from, each with what it reads and writes."""
        settings, clock, stopwatch = self._settings, time.time_ns, time.monotonic_ns
        views = GatewayViews(
            settings.l2_silence_s, settings.topic_partitions, stopwatch, clock() // NS_PER_MS
        )
        old = Pace(settings.replay_buffer_bytes, PIECE)
        run = secrets.token_hex(16)  # no two processes share one
        document = asyncapi.document(
            VERSION,
            settings.kafka_bootstrap_servers,
            settings.topic_partitions,
            encrypted=settings.kafka_security_protocol in TLS,
            mechanism=settings.kafka_sasl_mechanism,
        )
        audit_log = AuditLog(settings, partial(read_audit, settings))
        windows = partial(read_windows, settings)
        why = Why(settings, views, DecisionLog(settings, windows), clock)
        return Parts(
            callers=Callers(settings.trusted_proxies),
            views=views,
            books=Books(views),
            past_books=PastBooks(settings, views, partial(open_book_log, settings), clock),
            commands=Commands(
                settings, views, self._link, opener(settings), clock, (f"{run} {n}" for n in count(1))
            ),
            idempotency=Idempotency(settings, views, self._changes, self._link, clock),
            subscriptions=Subscriptions(settings, views, self._changes, self._link, clock),
            audit_log=audit_log,
            why=why,
            lineages=Lineages(settings, views, audit_log, windows, why.places),
            past_records=PastRecords(settings, partial(open_topic_log, settings)),
            moments=Moments(settings, views, self._moment_logs.lend, clock),
            performance_log=PerformanceLog(settings, views, partial(read_performance, settings)),
            publications=Publications(settings, self._link, lambda: self._link.away, clock, stopwatch),
            webhook=settings.webhook,
            new_scopes=NewNames(settings, "scopes", partial(knows_scope, views), stopwatch),
            new_policies=NewNames(settings, "new_policies", partial(knows_policy, views), stopwatch),
            new_features=settings.new_features,
            decisions=Changes(),  # the markets' left out, which come a hundred times as often
            hub=Hub(settings, opener(settings, LIVE), Replays(settings, opener(settings, old), stopwatch)),
            readiness=self._readiness,
            system=self._system,
            simulator=Simulator(settings.feed_kind, settings.simulator_url),
            metrics=lambda: (exposition(self._registry), CONTENT_TYPE),
            clock=clock,
            asyncapi=encode(document),
        )

    def _alerting(self) -> Watch | None:
        """Return what posts alerts; None without a webhook: then nothing of it is even imported."""
        url = self._settings.alert_webhook_url
        if url is None:
            return None
        from services.gateway.alerts.watch import Watch  # noqa: PLC0415 -- for gateways with a webhook

        return Watch(self._causes, url, Proxies.of_environment(), f"bookrunner {self._instance}")

    def _causes(self, now: Moment) -> Sequence[Cause] | None:
        """Return what stands; None before that is known."""
        return self._lookout.causes(now) if self._parts.views.ready else None

    @asynccontextmanager
    async def _lifespan(self, _api: FastAPI) -> AsyncIterator[None]:
        if missing := page.missing():
            _log.error("page_incomplete", extra={"missing": ", ".join(missing), "right": page.HELP})
        running = asyncio.create_task(self._run(), name="gateway")
        running.add_done_callback(self._ended)
        try:
            yield
        finally:
            await self.close_streams()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)  # its failure is in `failed`
            await self._moment_logs.close()

    async def _run(self) -> None:
        settings, parts = self._settings, self._parts
        async with (
            self._link.connected() as publisher,
            heartbeat(settings, "gateway", self._instance, self._condition),
            asyncio.TaskGroup() as tasks,
        ):
            for work in (
                publisher.watch(),
                _failure_of(self._link.refused),
                _failure_of(parts.hub.failed),
                self._link.probe(),
                self._follow(parts.views.of_markets, publisher),
                self._follow(parts.views.of_decisions, publisher),
                parts.commands.listen(publisher.reject),
                self._sweep(),
                self._watch_readiness(),
                self._watch_causes(),
                self._watch_topics(),
            ):
                tasks.create_task(work)
            if self._alerts is not None:
                tasks.create_task(self._alerts.run())

    def _ended(self, running: asyncio.Task[None]) -> None:
        if not running.cancelled() and not self.failed.done():
            self.failed.set_exception(running.exception() or AssertionError("the gateway stopped by itself"))

    async def _follow(self, views: Sequence[View[Any]], publisher: Publisher) -> None:
        told = False
        batches = follow(self._settings, views, on_undecodable=publisher.reject)
        async with aclosing(batches):
            async for batch in batches:
                if batch:
                    self._parts.views.note(batch)
                    self._changes.announce()
                    if views is self._parts.views.of_decisions:
                        self._parts.decisions.announce()
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
        """Look again and again at what the topics take; what cannot be found keeps its last figures."""
        while True:
            reason = ""
            try:
                async with asyncio.timeout(MEASURE_S):
                    found = await topic_usage(self._settings, TOPICS)
            except (KafkaError, TimeoutError, OSError) as error:
                reason = str(error) or type(error).__name__
            else:
                if leaderless := sorted(name for name, usage in found.items() if usage is None):
                    reason = f"a partition has no leader: {', '.join(leaderless)}"
                self._figures.take(found, time.monotonic_ns())
            if reason:
                _log.warning("topics_not_measured", extra={"reason": reason})
            self._measured_s = time.monotonic()
            self._asked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(MEASURE_S):
                    await self._asked.wait()

    async def _watch_causes(self) -> Never:
        """Look again and again which causes of alerts stand; a fault of ours must not end the gateway."""
        while True:
            now = Moment(time.time_ns(), time.monotonic_ns())
            try:
                causes = self._causes(now)
            except Exception:  # noqa: BLE001 -- as it says
                _log.exception("causes_not_judged")
                await asyncio.sleep(MEASURE_S)
            else:
                self._watched.look(causes or (), now)
                await asyncio.sleep(LOOK_S)

    async def _sweep(self) -> Never:
        while True:
            await self._changes.until(lambda: self._parts.views.ready)
            if forgotten := await self._parts.idempotency.forget_old_replies():
                _log.info("replies_forgotten", extra={"count": forgotten})
            await asyncio.sleep(SWEEP_S)

    def _condition(self) -> Condition:
        behind = [view.topic.name for view in self._parts.views.all if not view.ready]
        if behind:
            return Condition(ServiceState.STARTING, detail=f"reading {', '.join(behind)}")
        if not self._parts.commands.listening:
            return Condition(ServiceState.STARTING, detail="does not hear the services' answers yet")
        return Condition(ServiceState.READY)

    def _judge(self) -> Report:
        commands = self._parts.commands
        self._report = self._ready.report(
            self._link.away, hears_answers=commands.listening, unheard=commands.unheard
        )
        return self._report

    def _readiness(self) -> ReadyAnswer:
        report, views = self._judge(), self._parts.views
        if not report.ready:
            raise not_ready(report.detail, report.missing)
        return ready_answer(report, views)

    async def _system(self) -> SystemAnswer:
        if time.monotonic() - self._measured_s >= WATCHED_S:
            self._asked.set()
        letters, why = await self._letters.newest()
        known = Known(self._judge(), self._figures, self._accounts(), self._watched.due(), letters, why)
        return system_answer(self._parts.views, known, time.time_ns())

    def _accounts(self) -> Mapping[str, Account]:
        """Return what the topics take beside their budgets."""
        use = use_of(len(self._parts.views.subscribed()), self._settings.topic_partitions)
        return {name: account_of(TOPICS[name], usage, use) for name, usage in self._figures.usage.items()}

    def _families(self) -> Iterable[Family]:
        alerts = AlertTotals() if self._alerts is None else self._alerts.totals()
        parts, accounts = self._parts, self._accounts()
        return families(parts, self._guard, self._traffic, accounts, alerts, ready=self._report.ready)


async def _failure_of(future: asyncio.Future[None]) -> None:
    await asyncio.shield(future)
