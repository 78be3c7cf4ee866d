"""``/docs`` of a running system with a token, in a browser that reaches nothing but this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from services.gateway.http.policy_routes import CHART
from services.gateway.http.webhook_mapping import EXAMPLE
from tests import kafka_cluster
from tests.browser import a_page, find_browser
from tests.e2e.system import System

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.browser import Page

BROWSER: Final = find_browser()
TOKEN: Final = "c2VjcmV0LXRva2Vu"  # noqa: S105 -- a test's own
SERVICES: Final = ("services.venues", "services.router", "services.portfolio", "services.execution")

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]
IN_A_BROWSER: Final = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: install one, or name it in CHROMIUM"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    settings = {
        "GATEWAY_TOKEN": TOKEN,
        "GATEWAY_SIGNAL_WEBHOOK": EXAMPLE,
        "GATEWAY_WEBHOOK_SECRET": CHART["key"],
    }
    async with System(kafka, tmp_path_factory.mktemp("docs"), **settings) as running:
        running.start(*SERVICES)
        await running.ready()
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(system: System, tmp_path: Path) -> AsyncIterator[Page]:
    assert BROWSER is not None
    async with a_page(BROWSER, tmp_path) as opened:
        yield opened
        assert opened.hosts == {urlsplit(system.gateway).netloc}
        assert [each for each in opened.complaints if "status of 401" not in each] == []


async def first_click(page: Page, name: str) -> tuple[int, str]:
    """Open an operation unless it is, send it as it stands, close it, and return the answer."""
    block = f"document.getElementById('operations-{name}')"
    title = f"{block}?.querySelector('.opblock-summary-control')"
    await page.wait_for(title)
    if not await page.evaluate(f"{block}.classList.contains('is-open')"):
        await page.click(title)
    await page.click(f"{block}.querySelector('.try-out__btn')")
    await page.click(f"{block}.querySelector('.execute')")
    live = f"{block}.querySelector('.live-responses-table tbody')"
    await page.wait_for(f"{block}.querySelector('.loading-container') === null && {live}")
    status = int(await page.evaluate(f"{live}.querySelector('.response-col_status').innerText"))
    answer = await page.evaluate(f"{live}.innerText")
    await page.click(f"{block}.querySelector('.btn.cancel')")
    await page.click(title)
    return status, answer


async def authorize(page: Page) -> None:
    await page.click("document.querySelector('.auth-wrapper .authorize')")
    await page.type_into("document.querySelector('.modal-ux input')", TOKEN)
    await page.click("document.querySelector('.modal-ux .authorize')")
    await page.click("document.querySelector('.modal-ux .btn-done')")


async def test_every_get_and_post_is_answered_as_its_example_stands(system: System) -> None:
    paths = (await system.get("/openapi.json"))["paths"]
    answers = {}
    for method in ("post", "get"):  # an execution before it is asked for
        for path, said in ((path, methods[method]) for path, methods in paths.items() if method in methods):
            newest = await system.get("/api/exec/records?limit=1") or [{}]
            shown = {p["name"]: p.get("example") for p in said.get("parameters", ()) if p["required"]}
            shown |= {"execution_id": newest[0].get("executionId")}
            body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            async with system.http.request(
                method,
                system.gateway + path.format(**shown),
                params={name: shown[name] for name in shown.keys() & {"topics"}},
                json=body,
                headers={"Authorization": f"Bearer {TOKEN}"} if body else {},
            ) as answer:
                answers[f"{method} {path}"] = answer.status
    assert {name: status for name, status in answers.items() if status not in {200, 201}} == {}
    assert len(answers) >= 23


@IN_A_BROWSER
async def test_what_needs_the_token_is_answered_once_it_is_given(system: System, page: Page) -> None:
    await page.open(f"{system.gateway}/docs#/executions/simulate")
    await page.wait_for("document.querySelector('#operations-executions-simulate.is-open')")
    status, problem = await first_click(page, "executions-simulate")
    assert (status, "/docs#unauthorized" in problem) == (401, True)
    await authorize(page)
    status, answer = await first_click(page, "executions-simulate")
    assert (status, '"alternatives"' in answer) == (200, True)


@IN_A_BROWSER
async def test_a_path_and_a_stream_are_answered_at_the_first_click(system: System, page: Page) -> None:
    await page.open(f"{system.gateway}/docs")
    status, book = await first_click(page, "books-get_book")
    assert (status, '"symbol": "BTC-USDT"' in book) == (200, True)
    status, beginning = await first_click(page, "stream-stream")
    assert (status, "event: l2.trades.v1" in beginning) == (200, True)


@IN_A_BROWSER
async def test_the_type_of_a_problem_leads_to_what_helps(system: System, page: Page) -> None:
    async with system.http.get(f"{system.gateway}/api/l2/nowhere/BTCUSDT") as answer:
        problem = await answer.json(content_type=None)
    await page.open(system.gateway + problem["type"])
    await page.wait_for("document.querySelectorAll('.opblock').length")
    row = "document.querySelector(':target')"
    assert problem["title"] in await page.evaluate(f"{row}.innerText")
    box = await page.evaluate(f"{row}.getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] < box["bottom"] <= await page.evaluate("innerHeight")
