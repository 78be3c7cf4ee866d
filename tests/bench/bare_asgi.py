"""The baseline of `gateway_get`: ASGI without a framework, which encodes a book for every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

LEVELS: Final = 20
BIDS: Final = tuple((60000.0 - at / 100, 1.0 + at / 1000) for at in range(LEVELS))
ASKS: Final = tuple((60000.01 + at / 100, 1.0 + at / 1000) for at in range(LEVELS))
BOOK: Final = {
    "venue": "binance",
    "symbol": "BTC-USDT",
    "bids": BIDS,
    "asks": ASKS,
    "seq": 1,
}
_encode: Final = msgspec.json.Encoder().encode


async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- ASGI's signature
    """Answer anything with the book."""
    if scope["type"] != "http":
        return
    body = _encode(BOOK)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
