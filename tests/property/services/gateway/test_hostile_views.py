"""Whatever strangers write to the topics that the gateway folds, every GET is answered without a failure."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.amounts import absurd_amount
from libs.common.codec import encode
from libs.common.events import (
    AuditEntry,
    BookDelta,
    BookSnapshot,
    EquityMarked,
    Event,
    ExecutionRecord,
    PolicyChosen,
    PolicyRewarded,
    ServiceStatus,
)
from libs.common.kafka import Record
from libs.common.kafka_reader import decoded
from libs.common.topics import EXECUTION_AUDIT, POLICIES_REGISTRY, PORTFOLIO_RISK, SERVICES_STATUS, TOPICS
from services.gateway.alerts.cause import Moment
from services.gateway.alerts.ledger import Ledger
from services.gateway.alerts.lookout import Lookout
from services.gateway.alerts.message import MOST_BYTES, message_of
from services.gateway.alerts.message import encode as encode_alert
from services.gateway.alerts.totals import AlertTotals
from services.gateway.http.problems import PROBLEM_TYPES
from services.gateway.http.view import encode as as_json
from services.gateway.http.views import AUDIT_ENTRY
from services.gateway.monitoring import families
from services.gateway.reading.as_of import Row
from services.gateway.reading.readiness import Readiness, ready_answer
from services.gateway.stream.sse import frame, json_ready
from tests.execution_market import a_risk_budget
from tests.heartbeats import SERVICES, a_status
from tests.hostile import decoded_again, messages
from tests.registered import a_policy_registered
from tests.unit.services.gateway.logs import InMemoryLog
from tests.unit.services.gateway.world import KEY, NOW, World, a_book_health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.topics import Topic

RUNS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KNOWN = {(f"/docs#{problem.slug}", problem.status) for problem in PROBLEM_TYPES}
ID = "00000000-0000-0000-0000-000000000007"
NOW_MS = NOW // 1_000_000
MINUTE_NS = 60_000_000_000
HOME = {
    "venue": "binance",
    "symbol": "BTC-USDT",
    "execution_id": ID,
    "scope": "default",
    "book": "default",
    "policy_id": "p_sma",
}
KEYS = (
    KEY,
    ID.encode(),
    b"default",
    b"BTC-USDT",
    b"p_sma",
    b"p_sma:BTC-USDT",
    b"router:0",
    b"\xff",
    b"",
    b"binance:\xff",
)
ROUTES = (
    "/api/l2",
    "/api/l2/binance/BTCUSDT",
    "/api/l2/binance/BTCUSDT?depth=50",
    f"/api/l2/binance/BTCUSDT?at={NOW_MS}",
    f"/api/l2/binance/BTCUSDT?at={NOW_MS - 5}",
    "/api/venues/registry",
    "/api/venues/registry?symbol=BTCUSDT",
    "/api/policies",
    "/api/signals",
    "/api/signals?policyId=p_sma&symbol=BTCUSDT",
    "/api/context",
    "/api/context?symbol=BTCUSDT",
    "/api/router/snapshot",
    "/api/portfolio/positions",
    "/api/portfolio/risk",
    "/api/portfolio/risk?book=other",
    "/api/exec/records",
    "/api/exec/records?symbol=BTCUSDT",
    "/api/exec/sizing/last",
    "/api/exec/sizing/last?symbol=BTCUSDT",
    f"/api/exec/{ID}",
    f"/api/exec/{ID[:9]}",
    f"/api/audit/{ID}",
    "/api/performance",
    "/readyz",
    "/healthz",
    "/metrics",
)


def as_read(topic: Topic, message: Event) -> Event | None:
    """Return what a reader of the topic makes of a message; None of what it keeps as a dead letter."""
    try:
        value = encode(message)
    except (UnicodeError, OverflowError, ValueError):
        return None  # it cannot even be written
    raw: Any = SimpleNamespace(partition=0, offset=0, timestamp=0, key=b"", value=value, headers=())
    found = decoded(topic, raw)
    return found.event if isinstance(found, Record) else None


class Gateway:
    """One gateway, emptied before each example."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.world = runner.run(self._build())
        self.ready = Readiness(self.world.views, lambda: NOW, lambda: 0)

    def empty(self) -> None:
        for view in self.world.views.all:
            for key in list(view.items):
                self.world.fold(view.topic, key, None)
        self.world.logs.clear()
        self.world.audit.records.clear()
        self.world.traded.records.clear()
        for service in SERVICES:
            self.world.hear(a_status(service))

    def ask(self, target: str) -> None:
        """Ask, and see that the answer is one that callers were promised."""
        answer = self._runner.run(self.world.ask(target))
        assert answer.status == 200 or answer.status in range(400, 500) or answer.status == 503, answer
        if answer.status == 200:
            if answer.headers["content-type"] == "application/json":
                json.loads(answer.body, parse_constant=_no_json)
            return
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["type"], answer.status) in KNOWN

    def sweep(self) -> None:
        """Forget old replies."""
        self._runner.run(self.world.idempotency.forget_old_replies())

    async def _build(self) -> World:
        return World(command_timeout_s=0.005)


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with asyncio.Runner() as runner:
        yield Gateway(runner)


def fold_some(gateway: Gateway, data: st.DataObject) -> None:
    """Fold records of strangers into the views, under keys of their choice."""
    gateway.empty()
    views = data.draw(st.lists(st.sampled_from(gateway.world.views.all), min_size=1, max_size=6))
    for view in views:
        message = data.draw(st.one_of(*map(messages, view.topic.events)))
        if data.draw(st.booleans()):
            home = {name: text for name, text in HOME.items() if name in message.__struct_fields__}
            message = replace(message, **home)
        told = as_read(view.topic, message)
        if told is not None:
            for key in (data.draw(st.sampled_from(KEYS)), b"\xff"):
                gateway.world.fold(view.topic, key, told)


@RUNS
@given(data=st.data())
def test_whatever_the_views_hold_every_get_is_answered(gateway: Gateway, data: st.DataObject) -> None:
    fold_some(gateway, data)
    for target in ROUTES:
        gateway.ask(target)


@RUNS
@given(data=st.data())
def test_whatever_the_views_hold_the_gateway_can_say_how_it_is(gateway: Gateway, data: st.DataObject) -> None:
    fold_some(gateway, data)
    world = gateway.world
    world.fold(SERVICES_STATUS, b"router:0", None)
    world.fold(POLICIES_REGISTRY, b"p_sma", a_policy_registered("p_sma"))
    world.fold(PORTFOLIO_RISK, b"default", a_risk_budget())
    for status in data.draw(st.lists(messages(ServiceStatus), max_size=3)):
        told = as_read(SERVICES_STATUS, replace(status, service="router"))
        world.fold(SERVICES_STATUS, b"router:0", told)
    for service in ("router", *SERVICES):  # judged with the one that strangers speak for, and without
        report = gateway.ready.report(None, hears_answers=True)
        as_json((report.missing, report.degraded))
        world.hear(a_status(service))
    as_json(ready_answer(report, world.views))
    for partition in (None, 0):
        for service in SERVICES:
            world.views.fleet.lack_of(service, partition)
    list(families(world.parts, world.guard, world.traffic, {}, AlertTotals(), ready=True))
    gateway.sweep()


@RUNS
@given(data=st.data())
def test_whatever_the_views_hold_alerts_are_judged_and_their_messages_bounded(
    gateway: Gateway, data: st.DataObject
) -> None:
    gateway.empty()
    lookout, ledger = Lookout(gateway.world.views, lambda: None), Ledger()
    for minute in range(3):
        now = Moment(NOW + minute * MINUTE_NS, minute * MINUTE_NS)
        for alert in ledger.judge(lookout.causes(now), now):
            assert len(encode_alert(message_of(alert, "bookrunner"))) <= MOST_BYTES
        fold_some(gateway, data)


@RUNS
@given(
    told=st.lists(messages(BookSnapshot) | messages(BookDelta), max_size=6),
    order=st.sampled_from(("as told", "chained")),
)
def test_a_past_book_of_records_that_no_owner_wrote_is_answered_or_refused(
    gateway: Gateway, told: list[BookSnapshot | BookDelta], order: str
) -> None:
    gateway.empty()
    gateway.world.live(health=a_book_health(epoch=1))
    rows: list[tuple[int, Row | None]] = []
    for ms, message in enumerate(told, NOW_MS - len(told)):
        event = replace(message, epoch=1, seq=ms) if order == "chained" else message
        rows.append((ms, Row(ms, cast("Any", decoded_again(event)))))
    gateway.world.logs[KEY] = InMemoryLog(rows)
    for back_ms in range(8):
        gateway.ask(f"/api/l2/binance/BTCUSDT?at={NOW_MS - back_ms}")


@RUNS
@given(told=st.lists(messages(AuditEntry), max_size=4))
def test_an_audit_of_entries_that_nobody_wrote_is_answered(gateway: Gateway, told: list[Event]) -> None:
    gateway.empty()
    read = [again for each in told if (again := decoded_again(replace(each, execution_id=ID))) is not None]
    for offset, entry in enumerate(read):
        record: dict[str, Any] = {"partition": 0, "offset": offset, "timestamp_ms": 0, "value": None}
        gateway.world.audit.records.append(
            Record(topic=EXECUTION_AUDIT, key=ID.encode(), event=entry, **record)
        )
        as_json(AUDIT_ENTRY(cast("AuditEntry", entry)))
    gateway.ask(f"/api/audit/{ID}")


TRADED: tuple[type[Event], ...] = (EquityMarked, ExecutionRecord, PolicyChosen, PolicyRewarded)


@RUNS
@given(
    told=st.lists(st.one_of(*map(messages, TRADED)), max_size=12),
    when=st.sampled_from(("as told", "in time")),
)
def test_the_performance_of_what_nobody_did_is_answered(
    gateway: Gateway, told: list[Event], when: str
) -> None:
    gateway.empty()
    home = {**HOME, "command_id": ID, "decision_id": ID, "ts": NOW - 60_000_000_000, "created_ts": NOW - 1}
    for offset, message in enumerate(told):
        given = {name: value for name, value in home.items() if name in message.__struct_fields__}
        event = decoded_again(replace(message, **given) if when == "in time" else message)
        if event is not None and absurd_amount(event) is None:
            record: dict[str, Any] = {"partition": 0, "offset": offset, "timestamp_ms": 0, "value": None}
            topic = next(topic for topic in TOPICS.values() if type(event) in topic.events)
            gateway.world.traded.records.append(Record(topic=topic, key=b"", event=event, **record))
    gateway.ask("/api/performance")


STREAMED = [(topic, kind) for topic in TOPICS.values() for kind in topic.events]


@settings(parent=RUNS, max_examples=300)
@given(data=st.data())
def test_every_message_of_every_topic_can_be_streamed(data: st.DataObject) -> None:
    topic, kind = data.draw(st.sampled_from(STREAMED))
    told = as_read(topic, data.draw(messages(kind)))
    if told is not None:
        key = data.draw(st.sampled_from(KEYS))
        sent = frame(topic.name, 0, 0, key, json_ready(told))
        line = next(each for each in sent.data.split(b"\n") if each.startswith(b"data: "))
        json.loads(line.removeprefix(b"data: "), parse_constant=_no_json)
