"""``page/audit.js`` in a browser: its JSON is RFC 8785's, and it names what was altered in a chain."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import rfc8785
from aiohttp import web
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from libs.common.audit_chain import GENESIS, link
from services.gateway.http.page import FOLDER
from services.gateway.reading.audit_check import checked
from tests.page_browser import IN_A_BROWSER, chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

pytestmark = [pytest.mark.asyncio(loop_scope="module"), IN_A_BROWSER]

ELSEWHERE = "page.example"
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
# The examples of RFC 8785: appendix B for numbers, section 3.2.3 for the order of members.
SORTED = (
    '{"\\u20ac":"Euro","\\r":"CR","\\ufb33":"Dalet","1":"One","\\ud83d\\ude00":"Emoji",'
    '"\\u0080":"C","\\u00f6":"o"}'
)
RFC_NUMBERS = {
    "-0.0": "0",
    "5e-324": "5e-324",
    "-1.7976931348623157e308": "-1.7976931348623157e+308",
    "9007199254740992": "9007199254740992",
    "295147905179352830000": "295147905179352830000",
    "9.999999999999997e22": "9.999999999999997e+22",
    "1e23": "1e+23",
    "999999999999999700000": "999999999999999700000",
    "1e21": "1e+21",
    "9.999999999999997e-7": "9.999999999999997e-7",
    "0.000001": "0.000001",
    "333333333.33333329": "333333333.3333333",
    "0.0000033333333333333333": "0.0000033333333333333333",
    "1424953923781206.2": "1424953923781206.2",
}


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Serve the page's files on a free port."""

    async def front(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>audit</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", front)
    app.router.add_static("/page", FOLDER)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab() -> AsyncIterator[tuple[Page, int]]:
    async with served() as port, chromium([ELSEWHERE]) as browser:
        page = await (await browser.new_context()).new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        yield page, port


async def called(page: Page, name: str, argument: Any) -> Any:
    """Return what an exported function makes of each of these texts of JSON."""
    script = (
        "async ([name, texts]) => { const it = await import('/page/audit.js');"
        " return Promise.all(texts.map((text) => it[name](...JSON.parse(text)))); }"
    )
    return await page.evaluate(script, [name, [json.dumps(each) for each in argument]])


def some_values() -> list[Any]:
    found: list[Any] = []

    @seed(8785)
    @settings(max_examples=400, database=None)
    @given(VALUES)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


async def test_it_writes_every_value_as_rfc_8785_does(tab: tuple[Page, int]) -> None:
    values = some_values()
    written = await called(tab[0], "canonical", [[each] for each in values])
    assert written == [rfc8785.dumps(each).decode() for each in values]
    assert len(values) >= 400


async def test_it_writes_the_examples_of_the_rfc(tab: tuple[Page, int]) -> None:
    script = (
        "async (texts) => { const { canonical } = await import('/page/audit.js');"
        " return texts.map((text) => canonical(JSON.parse(text))); }"
    )
    assert await tab[0].evaluate(script, list(RFC_NUMBERS)) == list(RFC_NUMBERS.values())
    (text,) = await tab[0].evaluate(script, [SORTED])
    order = list(json.loads(text).values())
    assert order == ["CR", "One", "C", "o", "Euro", "Emoji", "Dalet"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "'\\ud800'", "undefined", "1n"])
async def test_it_refuses_what_json_has_no_exact_form_for(tab: tuple[Page, int], value: str) -> None:
    script = (
        "async () => { const { canonical } = await import('/page/audit.js');"
        f" try {{ return canonical({value}); }} catch (error) {{ return error.name; }} }}"
    )
    assert await tab[0].evaluate(script) == "TypeError"


def a_chain() -> dict[str, Any]:
    """Return the answer of `GET /api/audit/{id}` for a chain of three."""
    entries, before = [], GENESIS
    payloads: tuple[dict[str, object], ...] = (
        {"a": 1e21, "é": "\u2028"},
        {"w": [0.1, -0.0, 1e-7]},
        {"end": None},
    )
    for seq, payload in enumerate(payloads):
        entries.append(link("one", seq, 1_796_048_516_675_000_000 + seq, f"kind{seq}", payload, before))
        before = entries[-1].hash
    told: dict[str, Any] = json.loads(checked("one", None, entries))
    return told


async def verified(page: Page, entries: list[Any], head: Any = None) -> Any:
    (found,) = await called(page, "verify", [[entries, head]])
    return found


async def test_a_whole_chain_is_verified_up_to_the_head_that_the_record_names(tab: tuple[Page, int]) -> None:
    entries = a_chain()["entries"]
    found = await verified(tab[0], entries, {"entries": 3, "head": entries[-1]["hash"]})
    assert found["verified"]
    assert found["problems"] == []
    assert [each["wrong"] for each in found["entries"]] == [[], [], []]
    assert not (await verified(tab[0], entries[:-1], {"entries": 3, "head": entries[-1]["hash"]}))["verified"]
    assert not (await verified(tab[0], []))["verified"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"payload": {"w": [0.1, 0, 2e-7]}}, {1: "not what its hash was made of"}),
        ({"ts": 1}, {1: "not what its hash was made of"}),
        ({"kind": "kind2"}, {1: "not what its hash was made of"}),
        ({"seq": 7}, {1: "says that it is number 7"}),
        ({"hash": "0" * 64}, {1: "not what its hash was made of", 2: "does not follow"}),
        ({"prevHash": "0" * 64}, {1: "does not follow the entry before it"}),
        ({"payload": {"w": "\ud800"}}, {1: "not what its hash was made of"}),
    ],
)
async def test_an_altered_entry_is_named(
    tab: tuple[Page, int], change: dict[str, Any], wrong: dict[int, str]
) -> None:
    entries = a_chain()["entries"]
    entries[1] |= change
    found = await verified(tab[0], entries)
    assert not found["verified"]
    assert {n for n, each in enumerate(found["entries"]) if each["wrong"]} == wrong.keys()
    for n, words in wrong.items():
        assert any(words in said for said in found["entries"][n]["wrong"])
        assert any(said.startswith(f"entry {n} (") and words in said for said in found["problems"])


async def test_where_a_browser_computes_no_sha_256_it_says_so(tab: tuple[Page, int]) -> None:
    page, port = tab
    assert await called(page, "cannot", [[]]) == [""]
    other = await page.context.new_page()
    try:
        await other.goto(f"http://{ELSEWHERE}:{port}/")
        (why,) = await called(other, "cannot", [[]])
        assert "https" in why
    finally:
        await other.close()
