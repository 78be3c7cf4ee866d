"""A document of each kind of problem, as the gateway words it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from services.gateway.http import problems as p
from services.gateway.http.problems import FieldError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.gateway.http.problems import ProblemType


class _Said(NamedTuple):
    detail: str
    errors: tuple[FieldError, ...] = ()
    command_id: str | None = None


_SAID: Final[Mapping[ProblemType, _Said]] = {
    p.NOT_JSON: _Said("The body is not JSON: expected value at line 1 column 12."),
    p.NOT_HTTP: _Said("Invalid HTTP request received."),
    p.UNKNOWN_ROUTE: _Said("There is no /api/l3; see /docs."),
    p.UNKNOWN_VENUE: _Said("'binanse' is no venue; known: binance, bitstamp, coinbase, kraken, okx, bybit."),
    p.UNKNOWN_SYMBOL: _Said("'BITCOIN' is no symbol; write it like BTC-USDT, BTCUSDT or BTC/USDT."),
    p.NOT_SUBSCRIBED: _Said(
        "okx SOL-USDT is not subscribed. "
        'POST {"venue": "okx", "symbol": "SOL-USDT"} to /api/l2/subscriptions first.'
    ),
    p.NOT_KNOWN_THEN: _Said(
        "1767000000000 is before all that is kept of binance BTC-USDT; "
        "it is kept from 1767204003211 to 1767225600131."
    ),
    p.UNKNOWN_TOPIC: _Said("'l2.trade.v1' is not streamed; these are: l2.book-tops.v1, l2.trades.v1."),
    p.UNKNOWN_NAME: _Said(
        "No execution '6f1b0a52-0000-5000-8000-000000000000' is among the newest; "
        "GET /api/exec/records lists them."
    ),
    p.UNAUTHORIZED: _Said("The token is wrong: send Authorization: Bearer TOKEN."),
    p.FOREIGN_PAGE: _Said(
        "A web page of 'http://localhost:8000' may not ask this here, as Sec-Fetch-Site is "
        "'same-site', not same-origin: send it from the server's own pages, or from a program, which sends "
        "no Origin; list the page's origin in GATEWAY_CORS_ORIGINS if it may."
    ),
    p.MISDIRECTED: _Said(
        "This is not 'desk.example:5000': ask by an address, like 127.0.0.1, or by localhost; for a name "
        "that is right, list it in GATEWAY_SERVED_AS."
    ),
    p.TOO_SLOW: _Said("The request was not complete within 10 s."),
    p.TOO_FAST: _Said("This address asks too often; wait for the seconds in Retry-After."),
    p.SHARE_TAKEN: _Said("32 streams are open for 192.0.2.7, the most allowed to one address."),
    p.METHOD_NOT_ALLOWED: _Said("/api/l2 cannot be asked by PATCH."),
    p.KEY_REUSED: _Said("The Idempotency-Key 'order-17' came with another request."),
    p.TOO_LARGE: _Said("The body is over 65536 bytes."),
    p.URI_TOO_LONG: _Said("The path and query are over 8192 bytes."),
    p.WRONG_MEDIA_TYPE: _Said("Send the body as Content-Type: application/json."),
    p.INVALID: _Said(
        "size: Input should be greater than 0; color: Extra inputs are not permitted.",
        (
            FieldError("size", "Input should be greater than 0"),
            FieldError("color", "Extra inputs are not permitted"),
        ),
    ),
    p.HEADERS_TOO_LARGE: _Said("The headers are over 32768 bytes."),
    p.INTERNAL: _Said("The gateway failed on this request; its log says why."),
    p.NOT_READY: _Said("Kafka is not there yet."),
    p.BOOK_NOT_SYNCED: _Said("kraken BTC-USDT is SYNCING: waiting for a snapshot."),
    p.UNAVAILABLE: _Said("no venue is eligible: binance: the book is STALE; okx: the book is SYNCING"),
    p.TOO_MANY: _Said("64 streams are open, the most allowed."),
    p.NO_ANSWER: _Said(
        "No answer to PlanAndExecute on execution.commands.v1 came within 5 s.",
        command_id="bd5a200b-4d51-539c-95cc-77bc8daf215c",
    ),
}


def example_of(problem: ProblemType) -> dict[str, Any]:
    """Return a document of this kind; where none is written down, its detail is the remedy."""
    said = _SAID.get(problem, _Said(problem.remedy))
    error = ProblemError(problem, said.detail, errors=said.errors, command_id=said.command_id)
    document: dict[str, Any] = msgspec.json.decode(error.body())
    return document
