"""The running system, held against the two documents that the gateway serves of it.

Thousands of requests, right and wrong, get only answers that the OpenAPI document promises; what is refused
reaches no topic; and whatever stands on the topics after all that is what the AsyncAPI document says.

`FUZZ_CASES` says how many requests are drawn per operation and kind (default 50, always the same ones;
another number draws new ones each time).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import pytest_asyncio
import requests
import schemathesis
import yarl
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from libs.common.topics import TOPICS, Key
from services.gateway.http.guard import WEBHOOK
from services.gateway.http.problems import PROBLEM_TYPES
from tests import kafka_cluster, rubbish
from tests.e2e.system import System, folder_of_policies, until
from tests.live_messages import Document, Message, ends_of, everything_on, write_raw
from tests.rubbish import ANSWER_S
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from schemathesis import Case

DEFAULT_CASES = 50
CASES = int(os.environ.get("FUZZ_CASES", DEFAULT_CASES))
PATIENCE_S = 120.0
LONGEST_S = 1.0  # that a drawn request waits for the end of an execution
OUTSIDE = {"policyId": "x_mine", "symbol": "BTCUSDT", "value": 0.5, "ttlS": 60}
SERVICES = tuple(
    f"services.{name}" for name in ("venues", "router", "portfolio", "execution", "policies", "context")
)
PROBLEMS = {(problem.uri, problem.status) for problem in PROBLEM_TYPES}
LEAKS = re.compile(r"Traceback|\.py\b|site-packages|0x[0-9a-f]{8,}")
PROBLEM = "application/problem+json"
STREAM = "GET /api/stream"  # its success has no end
LIMITS = "/api/exec/limits"
CHARTS = "policyId=strategy symbol=ticker value=action{buy:1,sell:-1} reason=comment ttlS=60"
CONTROLS = ("POST /api/exec/halt", f"PUT {LIMITS}")  # done as drawn, they would end all trading
FUZZED = hypothesis.settings(
    max_examples=CASES,
    derandomize=CASES == DEFAULT_CASES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink against a running system takes minutes
    suppress_health_check=list(HealthCheck),
)

# Topics on which nothing is written unless somebody asks.
ON_DEMAND = (
    "l2.subscriptions.v1",
    "venues.commands.v1",
    "venues.scores.v1",
    "router.commands.v1",
    "router.choices.v1",
    "router.state.v1",
    "portfolio.allocations.v1",
    "execution.commands.v1",
    "execution.plans.v1",
    "execution.orders.v1",
    "execution.records.v1",
    "execution.audit.v1",
    "execution.controls.v1",
    "gateway.idempotency.v1",
)
MOST_OF_A_KIND = 200  # messages, evenly over the log: a book delta takes the validator milliseconds
RUBBISH = b"\xc1 is no MessagePack"  # msgpack: 0xc1 is never used
DEAD = "dead-letters.v1"
_PAIR = rb"[A-Z0-9]{1,12}-[A-Z0-9]{1,12}"
_UUID = rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = rb"[A-Za-z0-9._-]{1,64}"
KEYS = {
    Key.BOOK: re.compile(rb"[a-z0-9-]+:" + _PAIR),
    # An id: the verification of an execution; all: halts and limits.
    Key.SYMBOL: re.compile(_PAIR + rb"|all|(?:symbol|policy|venue):" + _NAME + rb"|" + _UUID),
    Key.SCOPE: re.compile(_NAME),
    Key.POLICY: re.compile(_NAME),
    Key.PORTFOLIO: re.compile(_NAME),
    Key.EXECUTION: re.compile(_UUID),
    Key.EXECUTION_OR_CHILD: re.compile(rb"(?:(?:[0-9]{4,}|-):)?" + _UUID),
    Key.CONTROL: re.compile(
        rb"(?:limits:)?(?:all|settings)|(?:limits:|use:)?symbol:" + _PAIR + rb"|(?:policy|venue):" + _NAME
    ),
    Key.SIGNAL: re.compile(_NAME + rb":" + _PAIR),
    Key.INPUT: re.compile(rb"(?:\*|" + _PAIR + rb"):" + _NAME),
    Key.SOURCE: re.compile(_NAME),
    Key.IDEMPOTENCY_KEY: re.compile(rb"[\x21-\x7e]{1,255}"),
}
# Messages that need more than a request, and why; no topic is without a message.
UNPROVOKED = {
    "OrderRejected": "a book must be lost in the milliseconds between an order's submission and its arrival",
    "VerifyExecution": "only older gateways send it: an audit is read from its log",
    "ExecutionVerified": "only older services answer with it",
    "RouterSlot": "only older routers write it: it is read and replaced at a start",
    "PortfolioSlot": "only older portfolios write it: as above",
}

pytestmark = pytest.mark.timeout(600)


async def _document() -> Any:
    return (await World().ask("/openapi.json")).json()


DOCUMENT: dict[str, Any] = asyncio.run(_document())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: dict[str, Any] = {
    each.ok().label: each.ok() for each in SCHEMA.get_all_operations() if isinstance(each, Ok)
}


def can_be_wrong(label: str) -> bool:
    """Tell whether anything in the operation's schema forbids anything: a path's free text does not."""
    method, path = label.split(" ", 1)
    said = DOCUMENT["paths"][path][method.lower()]
    bounded = [p for p in said.get("parameters", ()) if p["in"] != "path" or "pattern" in p["schema"]]
    return bool(bounded or said.get("requestBody"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("fuzz")
    settings = {
        "EXECUTION_HORIZON_S": "2",
        "EXECUTION_S_MAX": "0.2",  # orders of some children that are soon done, whatever signals are drawn
        "POLICIES_DIR": folder_of_policies(folder),
        "GATEWAY_SIGNAL_WEBHOOK": CHARTS,
    }
    async with System(kafka, folder, **settings) as running:
        running.start(*SERVICES)
        await running.ready()
        async with running.http.post(f"{running.gateway}/api/signals", json=OUTSIDE) as answer:
            assert answer.status == 200, "known before what is drawn uses up how many new names there may be"
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def test_the_document_served_is_the_one_that_is_tested(system: System, session: requests.Session) -> None:
    assert session.get(f"{system.gateway}/openapi.json", timeout=ANSWER_S).json() == DOCUMENT


@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_gateway_refuses_reaches_no_topic_that_somebody_writes_on_demand(
    system: System,
) -> None:
    before = await ends_of(system.kafka, ON_DEMAND)
    asked = 0
    for method, path, body, headers, expected in refusals():
        declared = {"content-type": "application/json"} | headers
        url = yarl.URL(f"{system.gateway}{path}", encoded=True)
        async with system.http.request(method, url, data=body, headers=declared) as answer:
            told = await answer.text()
            assert answer.status in expected, (method, path, body, answer.status, told)
            assert answer.content_type == PROBLEM
            assert (json.loads(told)["type"], answer.status) in PROBLEMS
            assert not LEAKS.search(told), told
        asked += 1
    assert asked > 400
    assert await ends_of(system.kafka, ON_DEMAND) == before


@pytest.mark.parametrize("raw", rubbish.REQUESTS, ids=lambda raw: raw.name)
def test_bytes_that_are_no_proper_request_are_refused_with_a_document(
    system: System, raw: rubbish.Raw
) -> None:
    status, headers, body = rubbish.ask_raw(system.gateway, raw.head)
    assert status in raw.statuses, body
    assert headers["content-type"] == PROBLEM
    document = json.loads(body)
    assert (document["type"], status) in PROBLEMS
    assert not LEAKS.search(body.decode())


def test_a_head_is_answered_without_a_body(system: System) -> None:
    request = b"HEAD /api/l2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, headers, body = rubbish.ask_raw(system.gateway, request)
    assert (status, headers["content-type"], body) == (200, "application/json", b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("mode", "label"),
    [(GenerationMode.POSITIVE, label) for label in OPERATIONS]
    + [(GenerationMode.NEGATIVE, label) for label in OPERATIONS if can_be_wrong(label)],
    ids=lambda value: getattr(value, "value", value),
)
def test_every_answer_is_one_that_the_document_promises(
    system: System, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    @FUZZED
    @hypothesis.given(cases(label, mode))
    def ask(case: Case[Any]) -> None:
        kwargs = case.as_transport_kwargs(base_url=system.gateway)
        with session.request(**kwargs, timeout=ANSWER_S, stream=label == STREAM) as answer:
            if label == STREAM and answer.status_code == 200:
                assert answer.headers["content-type"].startswith("text/event-stream")
                return
            assert_documented(answer)
            too_big = answer.status_code in {413, 414, 431}  # a refusal, too
            case.validate_response(answer, checks=CHECKS if too_big else [*CHECKS, negative_data_rejection])

    before = session.get(f"{system.gateway}{LIMITS}", timeout=ANSWER_S).json()
    ask()
    if label in CONTROLS:
        undo_controls(system, session, before)


def undo_controls(system: System, session: requests.Session, before: Any) -> None:
    """Set the limits as they were, then resume what is halted: what is still exceeded is not resumed."""
    limits = {each["limit"]: each["value"] for each in before["limits"]}
    answer = session.put(f"{system.gateway}{LIMITS}", json=limits, timeout=ANSWER_S)
    assert answer.status_code == 200, answer.text
    for halt in answer.json()["halts"]:
        answer = session.post(
            f"{system.gateway}/api/exec/resume", json={"scope": halt["scope"]}, timeout=ANSWER_S
        )
        assert answer.status_code == 200, answer.text
    assert answer.json()["halts"] == []


CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@st.composite
def cases(draw: st.DrawFn, label: str, mode: GenerationMode) -> Case[Any]:
    """Draw a request; half of the right ones name a book there is, or nothing would lie behind them."""
    case: Case[Any] = draw(OPERATIONS[label].as_strategy(generation_mode=mode))
    if mode is GenerationMode.POSITIVE and draw(st.booleans()):
        symbol = draw(st.sampled_from(["BTCUSDT", "eth/usdt", "SOL-USDT"]))
        venue = draw(st.sampled_from(["binance", "kraken", "okx"]))
        for part in (case.path_parameters, case.query, case.body):
            if isinstance(part, dict):
                part.update({k: v for k, v in (("symbol", symbol), ("venue", venue)) if k in part})
    if isinstance(case.query, dict) and {"wait", "timeoutS"} & case.query.keys():
        timeout_s = case.query.get("timeoutS", LONGEST_S)
        if isinstance(timeout_s, int | float):  # else it may rightly take 300 s
            case.query["timeoutS"] = min(timeout_s, LONGEST_S)
    return case


def assert_documented(answer: requests.Response) -> None:
    """Hold an answer against what no answer may be."""
    told = f"{answer.request.method} {answer.url} {answer.request.body!r}: {answer.status_code} {answer.text}"
    assert answer.status_code < 500 or answer.status_code in {503, 504}, told
    if answer.status_code >= 300:
        assert answer.headers["content-type"] == PROBLEM, told
        document = answer.json()
        assert (document["type"], document["status"]) in PROBLEMS, told
        assert document["status"] == answer.status_code, told
        assert document["detail"].strip(), told
        assert not LEAKS.search(answer.text), told


def refusals() -> Iterator[tuple[str, str, bytes, dict[str, str], set[int]]]:
    """Yield what the gateway must refuse by itself: method, path, body, headers, and the statuses."""
    for path, body in rubbish.wrong_bodies(DOCUMENT):
        yield "POST", path, body, {}, {404, 422}
    for path in [path for path, methods in DOCUMENT["paths"].items() if "post" in methods]:
        for body, status in rubbish.BODIES:
            yield "POST", path, body, {}, {status}
        for kind in rubbish.MEDIA_TYPES:
            if (path, kind) != (WEBHOOK, "text/plain"):
                yield "POST", path, b"{}", {"content-type": kind}, {415}
        yield "POST", path, b"{}", {"idempotency-key": "k" * 256}, {422}
    for method, path, status in (
        ("DELETE", "/api/l2/subscriptions/nope/BTCUSDT", 404),
        ("DELETE", "/api/l2/subscriptions/binance/%3A%3A", 404),
        ("DELETE", "/api/l2/subscriptions/binance/NOPE-USDT", 404),
        ("DELETE", "/api/exec/nope", 404),
        ("DELETE", "/api/paper/orders/nope?symbol=BTCUSDT", 422),
        ("DELETE", "/api/paper/orders/bd5a200b-4d51-539c-95cc-77bc8daf215c?symbol=%0A", 404),
        ("DELETE", "/api/router/policies/p:x", 422),
        ("DELETE", "/api/router/policies/p_sma?scope=a%20b", 422),
        ("PUT", "/api/router/policies", 405),
        ("PUT", LIMITS, 400),
        ("POST", "/api/audit/nope", 405),
    ):
        yield method, path, b"", {}, {status}
    for wrong in ({"unheardOf": 1}, {"dailyLoss": -1}, {"dailyLoss": 2}, {"minLiveVenues": 0.5}):
        yield "PUT", LIMITS, json.dumps(wrong).encode(), {}, {422}


@pytest.mark.asyncio(loop_scope="module")
async def test_whatever_stands_on_the_topics_is_what_the_asyncapi_document_says(system: System) -> None:
    document = Document(await system.get("/asyncapi.json"))
    assert document.channels.keys() == TOPICS.keys()
    await drive(system)

    async def everywhere() -> dict[str, list[Message]]:
        found = await everything_on(system.kafka, TOPICS)
        return {} if [name for name in TOPICS if not found[name]] else found

    found: dict[str, list[Message]] = await until("a message on every topic", everywhere, PATIENCE_S)
    messages = [each for channel in found.values() for each in channel if not is_ours(each)]
    of_kind: defaultdict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in messages:
        of_kind[message.channel, document.name_of(message)].append(message)
    checked = [message for same in of_kind.values() for message in same[:: 1 + len(same) // MOST_OF_A_KIND]]
    wrong = {fault for message in checked for fault in document.faults(message)}
    assert not wrong, sorted(wrong)[:20]
    known = {name for channel in document.channels.values() for name in channel["messages"]}
    assert known - {name for _, name in of_kind} <= UNPROVOKED.keys()
    odd = {
        (message.channel, message.key)
        for message in messages
        if not message.channel.endswith(".state.v1")  # private
        if (shape := KEYS.get(TOPICS[message.channel].key)) and not shape.fullmatch(message.key or b"")
    }
    assert not odd, "every key names what it should, whatever was asked"


def is_ours(message: Message) -> bool:
    """Tell the rubbish that `drive` writes, which the service moves to the dead letters."""
    return message.raw == RUBBISH and message.channel != DEAD


async def drive(system: System) -> None:
    """Ask for everything there is, so that every kind of message is said."""

    async def asked(method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        url = f"{system.gateway}{path}"
        async with system.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def told(statuses: set[int], method: str, path: str, body: object = None, **headers: str) -> Any:
        async def so() -> Any:
            status, answer = await asked(method, path, body, **headers)
            assert status in statuses | {503, 504}, answer
            return answer if status in statuses else None

        return await until(f"{method} {path}", so, PATIENCE_S)

    done = partial(told, {200, 201})

    for symbol in ("BTCUSDT", "ETHUSDT"):  # what was asked before may have ended them
        await done("POST", "/api/l2/subscriptions", {"venue": "binance", "symbol": symbol})
    book = {"venue": "okx", "symbol": "SOLUSDT"}
    await asked("DELETE", "/api/l2/subscriptions/okx/SOLUSDT")
    await done("POST", "/api/l2/subscriptions", book, **{"Idempotency-Key": "contracts"})
    await system.control("POST", "faults", {"kind": "disconnect", "venue": "kraken", "once": True})
    choice = await done("POST", "/api/router/choose", {"context": {"symbol": "BTCUSDT"}})
    reward = {"policyId": choice["policyId"], "reward": 0.001, "decisionId": choice["decisionId"]}
    await done("POST", "/api/router/update", reward)
    await done("DELETE", "/api/router/policies/p_flat")
    await done("POST", "/api/router/policies", {"policyId": "p_flat"})
    await done("POST", "/api/signals", OUTSIDE)
    await done("POST", "/api/context", {"symbol": "BTCUSDT", "name": "rr25", "value": 0.01, "ttlS": 60})
    declared = {"scope": "declared", "features": [{"name": "whales", "low": 0, "high": 10}]}
    await done("POST", "/api/router/scopes", declared)
    await done("POST", WEBHOOK, {"strategy": "x_mine", "ticker": "BINANCE:ETHUSDT", "action": "sell"})
    weights = {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02}
    await done("POST", "/api/portfolio/optimize", weights)
    await done("POST", "/api/venues/score", {"symbol": "BTCUSDT", "size": 0.01})
    await done("POST", "/api/exec/simulate", {"symbol": "BTCUSDT", "size": 0.01})
    for path, body in (
        ("/api/router/update", {"policyId": "p_nobody", "reward": 0.0, "context": {"regime": "bull"}}),
        ("/api/router/update", {"policyId": "p_sma", "reward": 0.0}),
        ("/api/router/policies", {"policyId": "p_nobody"}),
        ("/api/venues/score", {"symbol": "BTCUSDT", "size": 1e-12}),
        ("/api/exec/simulate", {"symbol": "BTCUSDT", "size": 1e-12}),
    ):
        await told({404, 422}, "POST", path, body)
    market = {"symbol": "BTCUSDT", "side": "buy", "size": "0.02", "ordType": "market", "venue": "binance"}
    await done("POST", "/api/exec/halt", {"scope": "venue:okx", "reason": "a drill"})
    await done("POST", "/api/exec/resume", {"scope": "venue:okx"})
    await done("PUT", "/api/exec/limits", {"dailyLoss": 0.06})
    await done("POST", "/api/paper/orders", market)
    resting = await done("POST", "/api/paper/orders", market | {"ordType": "limit", "limit": "1000"})
    await done("DELETE", f"/api/paper/orders/{resting['order']['orderId']}?symbol=BTCUSDT")

    async def traded() -> Any:
        wish = {"symbol": "ETHUSDT", "urgency": 1.0}
        answer = await done("POST", "/api/exec/plan-and-execute?wait=final&timeoutS=10", wish)
        return answer if len({fill["orderId"] for fill in answer["fills"]}) > 1 else None

    execution = await until("an execution of more than one child", traded, PATIENCE_S)
    await done("DELETE", f"/api/exec/{execution['executionId']}")
    await done("GET", f"/api/audit/{execution['executionId']}")
    await write_raw(system.kafka, "router.commands.v1", b"default", RUBBISH)
