from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from services.gateway.http.assets import HEADERS
from services.gateway.http.docs import folder_of
from services.gateway.http.problems import PROBLEM_TYPES
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.services.gateway.world import Answer

SCRIPT = "/docs/docs.js"


def loaded_by(page: Answer) -> Sequence[str]:
    addresses = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page.body.decode())
    return [urljoin("/docs", address) for address in addresses]


def assert_guarded(answer: Answer) -> None:
    assert HEADERS.items() <= answer.headers.items()


async def test_the_page_loads_five_files_and_each_is_served_as_what_it_is() -> None:
    world = World()
    page = await world.ask("/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    kinds = []
    for address in loaded_by(page):
        answer = await world.ask(address)
        assert answer.status == 200, address
        assert answer.body
        assert_guarded(answer)
        kinds.append(answer.headers["content-type"].partition(";")[0])
    assert sorted(kinds) == ["image/png", "text/css", "text/css", "text/javascript", "text/javascript"]


async def test_the_page_needs_no_other_host_and_nothing_inline() -> None:
    answer = await World().ask("/docs")
    assert_guarded(answer)
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules.pop("img-src") == "'self' data:"  # icons within Swagger UI's style sheet
    assert set(rules.values()) == {"'self'", "'none'"}
    assert rules["default-src"] == "'none'"
    page = answer.body.decode()
    assert "//" not in page
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", page) == []


async def test_the_script_of_the_page_makes_no_markup_of_text() -> None:
    script = (await World().ask(SCRIPT)).body.decode()
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|ContextualFragment|document\.write|\beval\(|Function\("
    assert re.findall(ways, script) == []


async def test_the_page_explains_every_problem_where_its_type_leads() -> None:
    page = (await World().ask("/docs")).body.decode()
    for problem in PROBLEM_TYPES:
        path, slug = problem.uri.split("#")
        assert path == "/docs"
        (row,) = re.findall(f'<tr id="{slug}">.*', page)
        assert str(problem.status) in row
        assert problem.title in row


async def test_a_file_is_kept_for_ever_under_its_version_and_asked_for_again_without() -> None:
    world = World()
    (address,) = (each for each in loaded_by(await world.ask("/docs")) if each.startswith(SCRIPT))
    assert "immutable" in (await world.ask(address)).headers["cache-control"]
    for other in (SCRIPT, f"{SCRIPT}?v=0123456789abcdef", "/docs"):
        assert (await world.ask(other)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("target", ["/docs", SCRIPT])
async def test_what_did_not_change_is_not_sent_again(target: str) -> None:
    world = World()
    etag = (await world.ask(target)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        answer = await world.ask(target, headers={"if-none-match": known})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
        assert_guarded(answer)
    assert (await world.ask(target, headers={"if-none-match": '"other"'})).status == 200


@pytest.mark.parametrize("target", ["/docs", SCRIPT])
async def test_a_head_has_the_headers_of_its_get(target: str) -> None:
    world = World()
    head, get = await world.ask(target, "HEAD"), await world.ask(target)
    assert head.status == 200
    assert {**head.headers, "x-correlation-id": ""} == {**get.headers, "x-correlation-id": ""}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nope.js",
        "docs.html",
        "docs.js/",
        "/docs.js",
        "../docs.py",
        "../static/docs.js",
        "__init__.py",
        "\0",
    ],
)
async def test_nothing_else_is_served_wherever_it_lies(name: str) -> None:
    answer = await World().ask(f"/docs/{name}")
    assert_problem(answer, 404, "unknown-route")
    assert_guarded(answer)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package is not installed: make setup"):
        folder_of("no_such_package")
