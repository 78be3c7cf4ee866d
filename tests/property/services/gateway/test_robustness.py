"""Whatever a caller sends, the answer is a documented one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.problems import PROBLEM_TYPES
from services.gateway.sse import Backlog
from tests.unit.services.gateway.world import Answer, World, a_book_top

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Asker:
    """Asks one gateway everything, as time goes by."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.world = runner.run(self._build())

    def ask(self, *request: Any) -> Answer:
        return self._runner.run(self.world.ask(*request))

    async def _build(self) -> World:
        world = World(command_timeout_s=0.005)
        world.live()
        return world


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    with asyncio.Runner() as runner:
        yield Asker(runner)


def assert_documented(answer: Answer) -> None:
    assert answer.headers["x-correlation-id"].isprintable()
    if answer.status >= 300:
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


@given(st.sampled_from(["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD"]), paths, queries, headers)
def test_no_address_is_answered_by_anything_undocumented(
    asker: Asker, method: str, path: str, query: str, sent: dict[str, str]
) -> None:
    assert_documented(asker.ask(f"{path}?{query}", method, b"", sent))


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
    backlog = Backlog(max_messages, max_bytes)
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
