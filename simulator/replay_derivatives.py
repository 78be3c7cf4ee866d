"""What the endpoints of derivatives answer where a recording is played, which holds none: as of no contract.

Lists are empty; a contract, an index or a symbol that is asked for by name is unknown, in each venue's words.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from simulator.derivatives import Derivatives
from simulator.endpoints import ENDPOINTS
from simulator.latent import LatentPrices
from simulator.venues import BOOKLESS
from simulator.venues.bybit_tickers import BybitTickers
from simulator.venues.okx_swaps import OkxSwaps
from simulator.venues.venue import RestRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulator.venues.venue import RestReply

    Answer = Callable[[RestRequest, int], RestReply]


def routes_without_contracts() -> list[web.RouteDef]:
    """Return the routes of every endpoint, over a market without symbols."""
    nothing = Derivatives(LatentPrices(0, ()))
    answers: dict[str, Answer] = {name: create(nothing).rest for name, create in BOOKLESS.items()}
    answers |= {"bybit": BybitTickers(nothing).answer, "okx": OkxSwaps(nothing).answer}
    return [
        web.get(f"/{venue}{path}", _handler(answers[venue], path))
        for venue, paths in ENDPOINTS.items()
        for path in paths
    ]


def _handler(answer: Answer, path: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        asked = RestRequest(path, dict(request.query), request.remote or "")
        reply = answer(asked, time.time_ns())
        return web.Response(
            text=reply.body, status=reply.status, headers=reply.headers, content_type=reply.content_type
        )

    return handle
