"""Whatever a caller sends, the answer is a documented one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.http.places import Room
from services.gateway.http.problems import PROBLEM_TYPES
from services.gateway.stream.sse import Backlog
from tests.unit.services.gateway.wire import answer_to
from tests.unit.services.gateway.world import Answer, World, a_book_top

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.services.gateway.wire import Told

KNOWN = {(f"/docs#{problem.slug}", problem.status) for problem in PROBLEM_TYPES}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)
anything = st.recursive(
    scalars | st.sampled_from(["binance", "BTCUSDT", "kraken", "eth/usdt"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
bodies = (
    st.binary(max_size=200)
    | anything.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({}, optional={"venue": anything, "symbol": anything, "x": anything}).map(
        lambda value: json.dumps(value).encode()
    )
)
segments = st.sampled_from(
    ["api", "l2", "binance", "kraken", "BTCUSDT", "btc/usdt", "subscriptions", "stream", "docs", "", "."]
) | st.text(max_size=12)
paths = st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts).replace("?", ""))
queries = st.sampled_from(["", "depth=5", "depth=", "depth=51", "topics=l2.trades.v2", "key=x"]) | st.text(
    max_size=30
)
headers = st.dictionaries(
    st.sampled_from(["idempotency-key", "x-correlation-id", "content-type", "last-event-id", "accept"]),
    st.text(max_size=40) | st.sampled_from(["application/json", "k1"]),
)


addresses = st.sampled_from(
    [
        "a:b",
        "",
        "203.0.113.1",
        "203.0.113.1:x",
        "[::1]:9",
        "[",
        "::ffff:1.2.3.4",
        "fe80::1%eth0",
        "1.2.3.4,a:b",
    ]
)
latin = st.text(st.characters(max_codepoint=255), max_size=40)
printable = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=20)
numbers = st.sampled_from(["0", "2", "-1", "1_0", "9" * 4400])
sent_values = {
    "X-Forwarded-For": addresses | printable,
    "X-Forwarded-Proto": printable,
    "Content-Type": st.sampled_from(["application/json", "application/json;charset=x"]) | printable,
    "Content-Encoding": st.sampled_from(["gzip", "identity"]) | printable,
    "Last-Event-ID": numbers | printable,
    "Idempotency-Key": printable,
    "Origin": st.sampled_from(["https://desk.example", "null"]) | printable,
    "Authorization": printable,
    "If-None-Match": printable,
    "Expect": st.sampled_from(["100-continue", "x"]),
    "Upgrade": st.sampled_from(["h2c", "websocket"]),
    "Connection": st.sampled_from(["close", "upgrade", "x"]),
    "Access-Control-Request-Method": printable,
}
plausible = st.lists(
    st.sampled_from([*sent_values]).flatmap(lambda name: sent_values[name].map(lambda value: (name, value))),
    max_size=5,
    unique_by=lambda header: header[0],
)
targets = st.sampled_from(
    [
        *(
            "/",
            "*",
            "//",
            "//[",
            "http://x/api/l2",
            "/%",
            "/%ff",
            "/%00",
            "/api/l2/binance/%5b",
            "/?",
            "/#",
            "x:80",
        ),
        *("/api/l2/subscriptions", "/api/l2/subscriptions/binance/BTCUSDT", "/api/exec/plan-and-execute"),
        *(
            "/api/l2/binance/BTCUSDT",
            "/api/l2/binance/BTCBUSD",
            "/api/exec/records?limit=1_0",
            "/healthz",
            "/docs",
        ),
    ]
)
methods = st.sampled_from(["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS", "TRACE", "CONNECT", "QUERY"])


def written(method: str, target: str, version: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


likely_heads = st.builds(
    written,
    methods,
    targets | latin.map(lambda text: "/" + quote(text)),
    st.sampled_from(["1.1", "1.0"]),
    plausible.map(lambda headers: [("Host", "localhost"), ("Content-Length", "2"), *headers]),
)
wild_heads = st.builds(
    written,
    methods | st.sampled_from(["PRI", "BREW", "get", ""]),
    targets | latin,
    st.sampled_from(["1.1", "1.0", "0.9", "2.0", "x"]),
    st.lists(
        st.tuples(
            st.sampled_from(["Host", "Content-Length", "Transfer-Encoding"]) | latin,
            st.sampled_from(["x", "[", "[::1]:5000", "a b", "chunked", "gzip"]) | numbers | latin,
        )
    ),
)

requests = st.builds(bytes.__add__, likely_heads, st.sampled_from([b"{}", b"[]", b"\xff\xff"])) | st.builds(
    bytes.__add__, wild_heads, st.sampled_from([b"", b"{}", b"0\r\n\r\n"])
)


class Asker:
    """Asks one gateway everything, as time goes by."""

    def __init__(self, runner: asyncio.Runner, **settings: Any) -> None:
        self._runner = runner
        self.world = runner.run(self._build(settings))

    def ask(self, *request: Any) -> Answer:
        return self._runner.run(self.world.ask(*request))

    def exchange(self, sent: bytes) -> Told | None:
        return self._runner.run(answer_to(self.world, sent))

    async def _build(self, settings: dict[str, Any]) -> World:
        world = World(command_timeout_s=0.005, **settings)
        world.live()
        return world


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    with asyncio.Runner() as runner:
        yield Asker(runner)


@pytest.fixture(scope="module")
def behind() -> Iterator[Asker]:
    """Behind a proxy that passes everything on, with pages of another origin."""
    with asyncio.Runner() as runner:
        yield Asker(runner, trusted_proxies="127.0.0.1", cors_origins="https://desk.example")


@pytest.fixture(scope="module")
def hooked() -> Iterator[Asker]:
    """With the webhook of signals, and no bounds that a test would reach."""
    mapping = "policyId=strategy.name symbol=symbol value=action{buy:1,sell:-1} reason=name ttlS=ttlS"
    with asyncio.Runner() as runner:
        yield Asker(runner, signal_webhook=mapping, new_policies_burst=10**6, signal_burst=10**6)


def assert_documented(answer: Answer) -> None:
    assert answer.headers["x-correlation-id"].isprintable()
    if answer.status >= 300 and answer.body:
        assert answer.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        assert (document["type"], answer.status) in KNOWN
        assert answer.status != 500, document


@given(bodies, headers)
def test_no_body_and_no_header_of_a_post_is_answered_by_anything_undocumented(
    asker: Asker, body: bytes, sent: dict[str, str]
) -> None:
    declared = {"content-type": "application/json"} | sent
    assert_documented(asker.ask("/api/l2/subscriptions", "POST", body, declared))


told = st.fixed_dictionaries(
    {},
    optional={
        "policyId": st.sampled_from(["x_a", "p_sma"]) | anything,
        "symbol": st.sampled_from(["BTCUSDT", "*", "BINANCE:BTCUSDT.P"]) | anything,
        "name": st.sampled_from(["rr25", "rr26"]) | anything,
        "value": st.floats(-2, 2) | anything,
        "ttlS": st.floats(-1, 1e6) | anything,
        "scope": anything,
        "features": st.lists(st.fixed_dictionaries({"name": anything, "low": scalars, "high": scalars})),
        "strategy": st.fixed_dictionaries({"name": anything}) | anything,
        "action": st.sampled_from(["buy", "sell"]) | anything,
    },
).map(lambda value: json.dumps(value).encode())


@given(
    st.sampled_from(["signals", "signals/webhook", "context", "router/scopes"]),
    told | bodies,
    st.sampled_from(["application/json", "text/plain"]),
)
def test_nothing_that_outsiders_tell_is_answered_by_anything_undocumented(
    hooked: Asker, path: str, body: bytes, media_type: str
) -> None:
    assert_documented(hooked.ask(f"/api/{path}", "POST", body, {"content-type": media_type}))


@given(st.sampled_from(["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD"]), paths, queries, headers)
def test_no_address_is_answered_by_anything_undocumented(
    asker: Asker, method: str, path: str, query: str, sent: dict[str, str]
) -> None:
    assert_documented(asker.ask(f"{path}?{query}", method, b"", sent))


@settings(max_examples=300)
@given(requests)
def test_no_bytes_are_answered_by_a_failure_or_in_plain_text(behind: Asker, sent: bytes) -> None:
    told = behind.exchange(sent)
    if told is None:
        return  # of a head that does not end: it waits for more
    assert told.status != 500, told
    if told.status >= 300 and told.body:
        assert told.headers["content-type"] == "application/problem+json"
        assert (json.loads(told.body)["type"], told.status) in KNOWN


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_the_levels_of_a_book_keep_their_order_and_number(
    asker: Asker, depth: int, bids: int, asks: int
) -> None:
    top = a_book_top(levels=50)
    asker.world.live(top=a_book_top(bids=top.bids[:bids], asks=top.asks[:asks]))
    book = asker.ask(f"/api/l2/binance/BTCUSDT?depth={depth}").json()
    assert len(book["bids"]) == min(depth, bids, 50)
    assert len(book["asks"]) == min(depth, asks, 50)
    assert book["bids"] == sorted(book["bids"], reverse=True)
    assert book["asks"] == sorted(book["asks"])


@settings(max_examples=200)
@given(
    st.lists(st.none() | st.binary(min_size=1, max_size=30)),
    st.integers(1, 5),
    st.integers(1, 60),
)
def test_a_backlog_is_bounded_and_accounts_for_every_message(
    steps: list[bytes | None], max_messages: int, max_bytes: int
) -> None:
    backlog = Backlog(max_messages, max_bytes, Room(0, 0), "somebody")
    pushed = told = taken = waiting = 0
    for step in [*steps, None]:
        if step is None:
            text = backlog.take()
            marks = text.count(b"event: dropped")
            told += sum(
                int(part.partition(b'{"count":')[2].partition(b"}")[0])
                for part in text.split(b"event: dropped")[1:]
            )
            assert len(text) <= max_bytes + marks * 60
            taken, waiting = taken + waiting, 0
        else:
            before = backlog.dropped
            backlog.push(b"a" * len(step))
            pushed += 1
            waiting += backlog.dropped == before
            assert waiting <= max_messages
    assert told == backlog.dropped
    assert taken + told == pushed
