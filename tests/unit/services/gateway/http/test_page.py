"""What the page is made of, as it is served: whole, light, guarded, and nothing of it from elsewhere."""

from __future__ import annotations

import gzip
import re
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from services.gateway.app import create_app
from services.gateway.http import page
from services.gateway.http.assets import HEADERS, KEPT, Asset
from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 120 * 1024  # compressed, all that the page may ever load
_IMPORT = re.compile(r'^(?:import|export)\s(?:[^"]*\sfrom\s)?"([^"]+)";', re.MULTILINE)


def references() -> Iterator[tuple[str, str]]:
    """Yield each file, and what it refers to, by the name below the page's folder."""
    front = page.files()["index.html"].body.decode()
    for address in re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', front):
        yield "index.html", address.removeprefix("page/")
    for name, asset in page.files().items():
        if not name.endswith(".js"):
            continue
        found = _IMPORT.findall(asset.body.decode())
        if name.startswith(page.LIBRARIES):  # on one line
            found = re.findall(r'(?:from|import) ?"([^"]+)"', asset.body.decode())
        for address in found:
            assert address.startswith("."), f"{name} imports {address}, which is no file of the page"
            yield name, normpath(join(dirname(name), address))


def loaded() -> set[str]:
    """Return what a browser loads, by and by: what the front refers to, what that imports, and so on."""
    by_file: dict[str, set[str]] = {}
    for name, target in references():
        by_file.setdefault(name, set()).add(target)
    found, waiting = set[str](), ["index.html"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += by_file.get(name, ())
    return found


def test_every_file_that_is_referred_to_is_there_and_every_one_that_is_there_is_referred_to() -> None:
    assert loaded() - page.files().keys() == set()
    assert page.files().keys() - loaded() == set()
    assert {"main.js", "page.css", "vendor/lit-html.js", "vendor/uPlot.iife.min.js"} < loaded()


def test_all_that_the_page_may_load_is_light() -> None:
    assert sum(len(page.files()[name].compressed) for name in loaded()) <= MOST_BYTES


def test_the_page_names_no_other_host_and_holds_nothing_inline() -> None:
    front = page.files()["index.html"].body.decode()
    assert "//" not in front
    assert re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", front) is None
    for name, asset in page.files().items():
        if not name.startswith(page.LIBRARIES) and name.endswith((".js", ".css")):
            text = re.sub(r"//.*$", "", asset.body.decode(), flags=re.MULTILINE)
            assert "unsafeHTML" not in text, name
            assert not re.search(r"\beval\(|new Function|[< \n]style=|@import|url\(", text), name


async def test_the_front_and_each_of_its_files_are_served_guarded_and_compressed() -> None:
    world = World()
    for target in ("/", *(f"/page/{name}" for name in page.files())):
        name = target.removeprefix("/page/") if target != "/" else "index.html"
        answer = await world.ask(target, headers={"accept-encoding": "gzip"})
        assert answer.status == 200, target
        assert HEADERS.items() <= answer.headers.items()
        assert answer.headers["content-type"] == Asset(name, b"").media_type
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == page.files()[name].body
        plain = await world.ask(target)
        assert "content-encoding" not in plain.headers
        assert plain.body == page.files()[name].body
    assert "script-src 'self'" in HEADERS["content-security-policy"]
    assert "'unsafe" not in HEADERS["content-security-policy"]


@pytest.mark.parametrize("accepted", ["gzip;q=0", "gzip; q=0.0", "br", "identity", ""])
async def test_who_does_not_take_gzip_gets_the_bytes(accepted: str) -> None:
    answer = await World().ask("/", headers={"accept-encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.body.startswith(b"<!doctype html>")


async def test_what_a_browser_has_is_not_sent_again_and_kept_for_ever_only_by_its_version() -> None:
    world = World()
    first = await world.ask("/page/main.js")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for sent in (etag, f"W/{etag}", f'"another", {etag}'):
        again = await world.ask("/page/main.js", headers={"if-none-match": sent})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert (await world.ask("/page/main.js", headers={"if-none-match": '"another"'})).status == 200
    version = etag.strip('"')
    assert (await world.ask(f"/page/main.js?v={version}")).headers["cache-control"] == KEPT
    assert (await world.ask("/page/main.js?v=other")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "name", ["none.js", "../app.py", "..%2Fapp.py", "vendor.lock", "vendor/uplot.LICENSE", "", "%00"]
)
async def test_what_is_no_file_of_the_page_is_no_route_and_guarded_too(name: str) -> None:
    answer = await World().ask(f"/page/{name}")
    assert_problem(answer, 404, "unknown-route")


async def test_without_its_libraries_the_page_says_what_to_do_instead_of_staying_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "missing", lambda: ("lit-html.js",))
    answer = await World().ask("/")
    assert_problem(answer, 503, "unavailable")
    assert "run `make setup`" in answer.json()["detail"]


def test_what_is_missing_is_found_by_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page.missing() == ()
    left = {name: asset for name, asset in page.files().items() if name != "vendor/directive.js"}
    monkeypatch.setattr(page, "files", lambda: left)
    page.missing.cache_clear()
    assert page.missing() == ("directive.js",)
    page.missing.cache_clear()


async def test_a_gateway_that_starts_without_them_says_so_in_its_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(page, "missing", lambda: ("lit-html.js",))
    gateway = create_app(GatewaySettings(kafka_bootstrap_servers="127.0.0.1:9"))
    async with gateway._lifespan(FastAPI()):  # noqa: SLF001 -- what the server calls, without a server
        pass
    (told,) = (record.__dict__ for record in caplog.records if record.message == "page_incomplete")
    assert (told["levelname"], told["missing"]) == ("ERROR", "lit-html.js")
    assert "run `make setup`" in told["right"]
