"""Commands that go the short way against the same requests through all of FastAPI."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

import hypothesis.strategies as st
from hypothesis import given, settings

from services.gateway.http import command_routes
from services.gateway.http.command_rows import ROWS
from services.gateway.http.short_way import short_routes
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    import pytest

    from services.gateway.asking.idempotency import Reply

EXAMPLES: Final[dict[str, Any]] = {row.post.path: row.example for row in ROWS} | {
    "/api/exec/plan-and-execute": {"symbol": "BTCUSDT"},
    "/api/l2/subscriptions": {"venue": "binance", "symbol": "BTCUSDT"},
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.sampled_from(["", "BTCUSDT", "٣", "bull", "0.02", "1e999", "x" * 70, "p_sma"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(
        st.sampled_from(["regime", "obi", "nope"]), st.floats() | st.text(max_size=3), max_size=3
    ),
)


class Asked(NamedTuple):
    """A request of a command."""

    path: str
    body: bytes
    headers: dict[str, str]
    query: str


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    path = draw(st.sampled_from(sorted(EXAMPLES)))
    body: Any = dict(EXAMPLES[path])
    for name in draw(
        st.lists(st.sampled_from([*body, "urgency", "wait", "side", "scope", "more"]), max_size=3)
    ):
        if draw(st.booleans()):
            body[name] = draw(VALUES)
        else:
            body.pop(name, None)
    raw = draw(st.just(json.dumps(body).encode()) | st.sampled_from([b"", b"[]", b"{", b'{"a": 1, "a": 2}']))
    headers = draw(
        st.fixed_dictionaries(
            {"content-type": st.sampled_from(["application/json"] * 5 + ["text/plain"])},
            optional={"idempotency-key": st.sampled_from(["k1", "", "a b", "é", "k" * 256])},
        )
    )
    names, said = (
        st.sampled_from(["wait", "timeoutS", "more"]),
        ["plan", "final", "soon", "1", "0", "٣", " 1", ""],
    )
    pairs = draw(st.lists(st.tuples(names, st.sampled_from(said)), max_size=3))
    return Asked(path, raw, headers, urlencode(pairs))


def a_world() -> World:
    return World(command_timeout_s=0.001)


async def said(world: World, asked: Asked) -> Any:
    """Return what is answered and what was sent."""
    world.writer.folds = world.writer.l2_answers = False
    world.commands.listening = True  # nobody answers
    answer = await world.ask(f"{asked.path}?{asked.query}", "POST", asked.body, asked.headers)
    return answer, world.writer.sent, set(world.traffic.family().samples)


def test_every_post_of_one_body_goes_the_short_way() -> None:
    assert set(short_routes(command_routes.router.routes)) == set(EXAMPLES)


@given(requests())
@settings(max_examples=100)
def test_the_short_way_answers_counts_and_sends_what_fastapi_would(asked: Asked) -> None:
    async def both() -> None:
        short, long = a_world(), a_world()
        long.app.inner = long.api
        assert await said(short, asked) == await said(long, asked)

    asyncio.run(both())


async def test_a_command_that_fails_unforeseen_is_500_and_told_once_on_the_short_way_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()

    def broken(*_given: object) -> Reply:
        raise ZeroDivisionError

    world.commands.new_id = broken  # type: ignore[assignment, method-assign]
    asked = Asked("/api/router/choose", b'{"context": {}}', {"content-type": "application/json"}, "")
    answer, _, counted = await said(world, asked)
    assert answer.status == 500
    assert answer.json()["type"] == "/docs#internal"
    assert ("POST", "/api/router/choose", "500") in counted
    assert [record.message for record in caplog.records] == ["request_failed"]


async def test_a_post_of_another_path_and_another_method_of_a_short_one_go_to_fastapi() -> None:
    world = World()
    assert (await world.ask("/api/router/choose")).status == 405
    assert (await world.ask("/api/router/choose/", "POST", b"{}")).status == 404
