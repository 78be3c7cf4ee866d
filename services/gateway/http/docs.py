"""``/docs``: Swagger UI on the OpenAPI document, and under it what each kind of problem means.

Everything comes from this gateway: files read once and addressed by their content, so that a browser may keep
them. The policy allows no inline script or style and no other host: of Swagger UI's own needs only its icons,
which are ``data:`` addresses in its style sheet.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from services.gateway.http.assets import Asset
from services.gateway.http.problems import PROBLEM_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS: Final = Path(__file__).with_name("static")
LOADED: Final = {  # by what; relative: a proxy may serve the gateway below a path
    "favicon-32x32.png": '<link rel="icon" href="docs/{}">',
    "swagger-ui.css": '<link rel="stylesheet" href="docs/{}">',
    "docs.css": '<link rel="stylesheet" href="docs/{}">',
    "swagger-ui-bundle.js": '<script defer src="docs/{}"></script>',
    "docs.js": '<script defer src="docs/{}"></script>',
}


@cache
def files() -> Mapping[str, Asset]:
    """Return what the page loads, by name."""
    folders = (OURS, folder_of("fastapi_swagger") / "resources")
    paths = {name: folders[not (OURS / name).exists()] / name for name in LOADED}
    return {name: Asset(name, path.read_bytes()) for name, path in paths.items()}


@cache
def page(title: str) -> Asset:
    """Return the page."""
    loads = (LOADED[name].format(f"{name}?v={file.version}") for name, file in files().items())
    problems = (
        f'<tr id="{problem.slug}"><td>{problem.status}</td><td><code>{problem.uri}</code></td>'
        f"<td>{escape(problem.title)}</td><td>{_prose(problem.remedy)}</td></tr>"
        for problem in PROBLEM_TYPES
    )
    html = Template((OURS / "docs.html").read_text()).substitute(
        title=escape(title), loads="\n".join(loads), problems="\n".join(problems)
    )
    return Asset("docs.html", html.encode())


def folder_of(package: str) -> Path:
    """Return where an installed package lies, without running any of its code."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed: make setup", name=package)
    return Path(spec.origin).parent


def _prose(markdown: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown, quote=False))
