"""``/docs``: Swagger UI on the OpenAPI document, and under it what each kind of problem means.

Everything comes from this gateway. The policy allows no inline script or style and no other host: of
Swagger UI's own needs only its icons, which are ``data:`` addresses in its style sheet.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Final

from services.gateway.http.assets import OURS, Asset, asset, folder_of, read
from services.gateway.http.problems import PROBLEM_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ICON: Final = "favicon-32x32.png"
STYLES: Final = ("swagger-ui.css", "docs.css")
SCRIPTS: Final = ("swagger-ui-bundle.js", "docs.js")


@cache
def files() -> Mapping[str, Asset]:
    """Return what the page loads, by name."""
    swagger_ui = folder_of("fastapi_swagger") / "resources"
    return read(swagger_ui, (ICON, STYLES[0], SCRIPTS[0])) | read(OURS, (STYLES[1], SCRIPTS[1]))


@cache
def page(title: str) -> Asset:
    """Return the page."""
    return asset("docs.html", "\n".join(_lines(title)).encode())


def _lines(title: str) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>"
    yield f'<link rel="icon" href="{_address(ICON)}">'
    for name in STYLES:
        yield f'<link rel="stylesheet" href="{_address(name)}">'
    for name in SCRIPTS:
        yield f'<script defer src="{_address(name)}"></script>'
    yield '</head><body><noscript>Swagger UI needs JavaScript; <a href="openapi.json">openapi.json</a> '
    yield 'is what it shows.</noscript><div id="swagger-ui"></div>'
    yield from _problems()
    yield "</body></html>"


def _address(name: str) -> str:
    return f"docs/{files()[name].address}"  # relative: a proxy may serve the gateway below a path


def _problems() -> Iterator[str]:
    yield '<section id="problems"><h2>Problems</h2>'
    yield "<p>Every error is a problem document (RFC 9457); its <code>type</code> leads to one of these.</p>"
    yield "<table><tr><th>status</th><th>type</th><th>title</th><th>what helps</th></tr>"
    for problem in PROBLEM_TYPES:
        yield (
            f'<tr id="{problem.slug}"><td>{problem.status}</td><td><code>{problem.uri}</code></td>'
            f"<td>{escape(problem.title)}</td><td>{_prose(problem.remedy)}</td></tr>"
        )
    yield "</table></section>"


def _prose(markdown: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown, quote=False))
