"""Who may ask the simulator: programs, and no web page of another origin; an aiohttp middleware.

Every route asks for the right Host; a WebSocket for the right Origin too, as browsers let pages of any origin
open and read one; and what changes something for both, and for JSON, where there is a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import hdrs, web

from libs.common.web_pages import OWN_PAGES_ONLY, SAFE, WebPages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    from simulator.settings import SimulatorSettings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON = "application/json"


def boundary(settings: SimulatorSettings) -> Middleware:
    """Return the middleware that refuses such pages."""
    pages = WebPages(settings.hosts_served, listed_in="SIMULATOR_SERVED_AS")

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = _refusal(pages, request)
        return refused if refused is not None else await handler(request)

    return guard


async def for_own_pages(_: web.Request, answer: web.StreamResponse) -> None:
    """Let no page of another origin embed an answer; a handler of ``on_response_prepare``."""
    name, value = OWN_PAGES_ONLY
    answer.headers[name.decode()] = value.decode()


def _refusal(pages: WebPages, request: web.Request) -> web.Response | None:
    headers = [(name.lower(), value) for name, value in request.raw_headers]
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1:
        return _refused(400, f"The header Host stands {len(hosts)} times; send it once.")
    if hosts and not pages.serves(hosts[0]):
        return _refused(421, pages.misdirected(hosts[0]))
    changes = request.method not in SAFE
    if changes or hdrs.UPGRADE in request.headers:
        foreign = pages.foreign(headers)
        if foreign is not None:
            return _refused(403, foreign)
    if changes and request.body_exists and request.content_type != JSON:
        return _refused(415, f"Send the body as Content-Type: {JSON}, with curl: -H 'Content-Type: {JSON}'.")
    return None


def _refused(status: int, error: str) -> web.Response:
    return web.Response(body=msgspec.json.encode({"error": error}), status=status, content_type=JSON)
