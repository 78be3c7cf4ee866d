"""A gateway without Kafka: views fed by hand, and a writer whose messages come back as if by Kafka."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from libs.common.budgets import account_of
from libs.common.events import (
    BookDelta,
    BookHealth,
    BookSnapshot,
    BookState,
    BookTop,
    Features,
    IdempotentReply,
    ServiceStatus,
    Subscribed,
)
from libs.common.kafka import Record
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_SUBSCRIPTIONS,
    PORTFOLIO_RISK,
    SERVICES_STATUS,
    TOPICS,
)
from services.gateway.alerts.standing import Watched
from services.gateway.asking.commands import Changes, Commands
from services.gateway.asking.idempotency import Idempotency
from services.gateway.asking.publications import Publications
from services.gateway.asking.simulator import Simulator
from services.gateway.asking.subscriptions import Subscriptions
from services.gateway.http import command_routes
from services.gateway.http.callers import Callers
from services.gateway.http.edge import Edge
from services.gateway.http.guard import CrossOrigin, WriteGuard
from services.gateway.http.parts import Parts
from services.gateway.http.places import NewNames
from services.gateway.http.routes import create_api
from services.gateway.http.short_way import ShortWay, short_routes
from services.gateway.monitoring import Traffic
from services.gateway.reading.as_of import Row
from services.gateway.reading.audit_log import AuditLog
from services.gateway.reading.books import Books
from services.gateway.reading.decision_log import DecisionLog
from services.gateway.reading.known_names import knows_policy, knows_scope
from services.gateway.reading.lineages import Lineages
from services.gateway.reading.moments import Moments
from services.gateway.reading.past_books import PastBooks
from services.gateway.reading.past_records import PastRecords
from services.gateway.reading.performance_log import PerformanceLog
from services.gateway.reading.readiness import ReadyAnswer, Report
from services.gateway.reading.system_status import Known, SystemAnswer, system_answer
from services.gateway.reading.topic_figures import TopicFigures
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.reading.why import Why
from services.gateway.settings import GatewaySettings
from services.gateway.stream.hub import Hub
from services.gateway.stream.replays import Replays
from tests.execution_market import a_risk_budget
from tests.heartbeats import SERVICES, a_status
from tests.unit.services.gateway.logs import (
    InMemoryAudit,
    InMemoryLog,
    InMemoryTopics,
    InMemoryWindows,
)
from tests.unit.services.gateway.moment_logs import InMemoryMoments
from tests.unit.services.gateway.topic_logs import InMemoryTopicLogs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from starlette.types import Message

    from libs.common.cloudevents import Headers
    from libs.common.events import Event, Level
    from libs.common.kafka import Undecodable
    from libs.common.topics import Topic
    from services.gateway.reading.dead_letters import DeadLetter
    from services.gateway.stream.sse import Start

NOW = 1_767_225_600_000_000_000  # ns UTC
KEY = b"binance:BTC-USDT"


def a_book_top(seq: int = 7, levels: int = 50, **changes: Any) -> BookTop:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "epoch": 1_767_225_500_000,
        "seq": seq,
        "venue_seq": 1000 + seq,
        "bids": tuple((100.0 - i, 1.0 + i) for i in range(levels)),
        "asks": tuple((101.0 + i, 2.0 + i) for i in range(levels)),
        "features": Features(
            mid=100.5,
            microprice=100.4,
            spread_bps=99.5,
            obi=-0.2,
            depth_bid=3.0,
            depth_ask=4.0,
            depth_truncated=False,
            trade_imbalance=0.25,
        ),
        "venue_ts": NOW - 20_000_000,
        "received_ts": NOW - 10_000_000,
    }
    return BookTop(**fields | changes)


def a_book_health(state: BookState = BookState.LIVE, ts: int = NOW, **changes: Any) -> BookHealth:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "state": state,
        "epoch": 1_767_225_500_000,
        "seq": 7,
        "reason": "the snapshot joins the stream",
        "since_ts": ts,
        "ts": ts,
        "gaps": 1,
        "resyncs": 2,
        "checksum_failures": 3,
    }
    return BookHealth(**fields | changes)


def a_keyframe_row(
    ms: int, epoch: int, seq: int, bids: Mapping[float, float], asks: Mapping[float, float], **changes: Any
) -> Row:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "epoch": epoch,
        "seq": seq,
        "venue_seq": None,
        "bids": tuple(sorted(bids.items(), reverse=True)),
        "asks": tuple(sorted(asks.items())),
        "venue_ts": None,
        "received_ts": ms * 1_000_000,
        "reason": "keyframe",
    }
    return Row(ms, BookSnapshot(**fields | changes))


def a_delta_row(
    ms: int, epoch: int, seq: int, bids: Iterable[Level] = (), asks: Iterable[Level] = (), **changes: Any
) -> Row:
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "epoch": epoch,
        "seq": seq,
        "venue_seq": None,
        "bids": tuple(bids),
        "asks": tuple(asks),
        "venue_ts": None,
        "received_ts": ms * 1_000_000,
    }
    return Row(ms, BookDelta(**fields | changes))


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Sent(NamedTuple):
    """What the gateway wrote."""

    topic: Topic
    key: bytes
    event: Event | None
    headers: Headers


class Loopback:
    """Keeps what is written and folds it into the views; `l2_answers` says whether l2 is there to react."""

    def __init__(self, world: World) -> None:
        self.sent: list[Sent] = []
        self.l2_answers = True
        self.folds = True
        self._world = world

    async def send_and_wait(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> None:
        self.sent.append(Sent(topic, key, event, headers))
        await asyncio.sleep(0)  # other requests run meanwhile, as they would
        if not self.folds:
            return
        if any(view.topic is topic for view in self._world.views.all):
            self._world.fold(topic, key, event)
        if topic is L2_SUBSCRIPTIONS and self.l2_answers:
            venue, symbol = key.decode().split(":")
            if event is None:
                self._world.fold(L2_BOOK_TOPS, key, None)
                self._world.fold(L2_BOOK_HEALTH, key, None)
            else:
                health = a_book_health(BookState.SYNCING, ts, venue=venue, symbol=symbol)
                self._world.fold(L2_BOOK_HEALTH, key, health)


class Script:
    """A source of a topic: what `feed` is given, a poll returns."""

    def __init__(self) -> None:
        self.opened: list[tuple[tuple[str, ...], Start]] = []
        self.closed = 0
        self.away: Exception | None = None  # what opening fails with
        self.held = asyncio.Event()  # an opening ends once this is set
        self.held.set()
        self._waiting: list[asyncio.Queue[Sequence[Record | Undecodable] | Exception]] = []

    @asynccontextmanager
    async def open(self, topics: Sequence[Topic], start: Start) -> AsyncIterator[_Scripted]:
        if self.away is not None:
            raise self.away
        self.opened.append((tuple(topic.name for topic in topics), start))
        await self.held.wait()
        queue: asyncio.Queue[Sequence[Record | Undecodable] | Exception] = asyncio.Queue()
        self._waiting.append(queue)
        try:
            yield _Scripted(queue)
        finally:
            self._waiting.remove(queue)
            self.closed += 1

    def feed(self, *records: Record | Undecodable) -> None:
        for queue in self._waiting:
            queue.put_nowait(records)

    def fail(self, error: Exception) -> None:
        """Let every open source's next poll fail."""
        for queue in self._waiting:
            queue.put_nowait(error)


class _Scripted:
    def __init__(self, queue: asyncio.Queue[Sequence[Record | Undecodable] | Exception]) -> None:
        self._queue = queue

    async def poll(self) -> Sequence[Record | Undecodable]:
        found = await self._queue.get()
        if isinstance(found, Exception):
            raise found
        return found

    def held_up(self, _topic: Topic) -> Mapping[int, str]:
        return {}


class World:
    """The gateway's app, its clock, and hands on everything around it."""

    def __init__(self, *, ready: bool = True, **settings: Any) -> None:
        self.settings = GatewaySettings(**{"command_timeout_s": 0.05} | settings)
        self.now = NOW
        self.monotonic_ns = 0
        partitions = self.settings.topic_partitions
        self.views = GatewayViews(self.settings.l2_silence_s, partitions, lambda: self.monotonic_ns)
        self.changes = Changes()
        self.writer = Loopback(self)
        self.script = Script()
        self.logs: dict[bytes, InMemoryLog] = {}
        self.books = Books(self.views)
        given = (self.settings, self.views, self.changes, self.writer, self._clock)
        self.idempotency = Idempotency(*given)
        self.subscriptions = Subscriptions(*given)
        self.past_books = PastBooks(self.settings, self.views, self._open_log, self._clock)
        self.moment_logs = InMemoryMoments()
        self.moments = Moments(self.settings, self.views, self.moment_logs.lend, self._clock)
        self.audit = InMemoryAudit()
        self.answers = Script()
        self.commands = Commands(
            self.settings, self.views, self.writer, self.answers.open, self._clock, map(str, count(1))
        )
        self.audit_log = AuditLog(self.settings, self.audit.read)
        self.windows = InMemoryWindows()
        decisions = DecisionLog(self.settings, self.windows.read)
        self.why = Why(self.settings, self.views, decisions, self._clock)
        self.lineages = Lineages(
            self.settings, self.views, self.audit_log, self.windows.read, self.why.places
        )
        self.traded = InMemoryTopics()
        self.performance_log = PerformanceLog(self.settings, self.views, self.traded.read)
        self.topics = InMemoryTopicLogs()
        self.new_scopes = NewNames(
            self.settings, "scopes", partial(knows_scope, self.views), lambda: self.now
        )
        self.new_policies = NewNames(
            self.settings, "new_policies", partial(knows_policy, self.views), lambda: self.now
        )
        self.away: str | None = None  # why Kafka cannot be asked
        self.publications = Publications(
            self.settings, self.writer, lambda: self.away, self._clock, lambda: self.now
        )
        replays = Replays(self.settings, self.script.open, lambda: self.now)
        self.figures = TopicFigures()
        self.watched = Watched()
        self.letters: tuple[DeadLetter, ...] = ()
        self.hub = Hub(self.settings, self.script.open, replays)
        self.report = Report(())
        self.traffic = Traffic()
        self._offsets = 0
        if ready:
            for view in self.views.all:
                view.begin({0: 0})
            for service in SERVICES:
                self.hear(a_status(service))
            self.fold(PORTFOLIO_RISK, b"default", a_risk_budget())
        self.parts = Parts(
            callers=Callers(self.settings.trusted_proxies),
            views=self.views,
            books=self.books,
            past_books=self.past_books,
            commands=self.commands,
            idempotency=self.idempotency,
            subscriptions=self.subscriptions,
            audit_log=self.audit_log,
            why=self.why,
            lineages=self.lineages,
            moments=self.moments,
            performance_log=self.performance_log,
            past_records=PastRecords(self.settings, self.topics.open),
            publications=self.publications,
            webhook=self.settings.webhook,
            new_scopes=self.new_scopes,
            new_policies=self.new_policies,
            new_features=self.settings.new_features,
            decisions=self.changes,
            hub=self.hub,
            readiness=self._readiness,
            system=self._system,
            simulator=Simulator(self.settings.feed_kind, self.settings.simulator_url),
            metrics=lambda: (b"", "text/plain"),
            clock=self._clock,
            asyncapi=b"{}",
        )
        token_required = self.settings.token is not None
        self.api = create_api(self.parts, self._lifespan, token_required=token_required)
        self.refusals: Counter[str] = Counter()
        self.cross_origin = CrossOrigin(self.settings)
        self.guard = WriteGuard(self.settings, self.parts.callers, self.refusals, self._clock)
        self.app = Edge(
            ShortWay(self.api, short_routes(command_routes.router.routes)),
            self.books,
            self.traffic,
            self.guard,
            self.cross_origin,
            clock=self._clock,
            stopwatch=lambda: 0.0,
        )

    async def _system(self) -> SystemAnswer:
        accounts = {name: account_of(TOPICS[name], usage) for name, usage in self.figures.usage.items()}
        known = Known(self.report, self.figures, accounts, self.watched.due(), self.letters, "")
        return system_answer(self.views, known, self.now)

    def hear(self, status: ServiceStatus) -> None:
        """Let a process tell of itself."""
        self.fold(SERVICES_STATUS, f"{status.service}:{status.instance}".encode(), status)

    def fold(self, topic: Topic, key: bytes, event: Event | None) -> None:
        view: Any = next(view for view in self.views.all if view.topic is topic)
        view.fold(0, self._offsets, key, event)
        raw = self.moment_logs.append(topic, 0, key, event, self.now // 1_000_000, self._offsets)
        place: dict[str, Any] = {
            "topic": topic,
            "partition": 0,
            "offset": raw.offset,
            "timestamp_ms": raw.timestamp_ms,
        }
        self.views.note([Record(key=key, event=event, value=raw.value, **place)])
        self._offsets += 1
        self.changes.announce()

    def live(self, top: BookTop | None = None, health: BookHealth | None = None) -> None:
        """Let binance BTC-USDT be subscribed, LIVE and filled."""
        subscribed = Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=self.now)
        self.fold(L2_SUBSCRIPTIONS, KEY, subscribed)
        self.fold(L2_BOOK_HEALTH, KEY, health or a_book_health(ts=self.now))
        self.fold(L2_BOOK_TOPS, KEY, top or a_book_top())

    async def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        peer: str = "127.0.0.1",
    ) -> Answer:
        """Send one request through the whole app; `unread` says how many of its chunks it did not ask for."""
        path, _, query = target.partition("?")
        chunks = [body] if isinstance(body, bytes) else list(body)
        incoming: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1}
            for i, chunk in enumerate(chunks)
        ]
        outgoing: list[Message] = []
        answered = asyncio.Event()

        async def receive() -> Message:
            if not incoming:
                await answered.wait()
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            outgoing.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered.set()

        await self.app(scope_of(method, path, query, headers or {}, peer), receive, send)
        self.unread = len(incoming)
        start = outgoing[0]
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], names, b"".join(m.get("body", b"") for m in outgoing[1:]))

    async def post(self, body: Any, peer: str = "127.0.0.1", **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.ask("/api/l2/subscriptions", "POST", raw, sent, peer)

    def _clock(self) -> int:
        return self.now

    @asynccontextmanager
    async def _open_log(self, key: bytes) -> AsyncIterator[InMemoryLog]:
        yield self.logs.setdefault(key, InMemoryLog())

    def _readiness(self) -> ReadyAnswer:
        self.views.require_ready()
        return ReadyAnswer(status="ready", degraded=(), services=(), views=())

    @asynccontextmanager
    async def _lifespan(self, _app: Any) -> AsyncIterator[None]:
        yield


def scope_of(
    method: str, path: str, query: str, headers: Mapping[str, str], peer: str = "127.0.0.1"
) -> dict[str, Any]:
    sent = {"host": "127.0.0.1:5000", **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": query.encode("utf-8", "replace"),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1", "replace")) for k, v in sent.items()],
        "client": (peer, 1),
        "server": ("127.0.0.1", 5000),
        "state": {},
    }


def a_reply(ts: int = NOW) -> IdempotentReply:
    return IdempotentReply(request_hash="0" * 64, status=201, body=b"{}", ts=ts)
