"""What venues answer to an address that they do not serve, at the socket's handshake and by REST.

References
----------
Binance: binance-spot-api-docs, rest-api.md ("HTTP 403: the WAF limit was violated, 418: an IP was
auto-banned", Retry-After) and errors.md (-1003), as of 2026-07-21; 451 as met from restricted countries
(ccxt/ccxt#15872). Bybit: docs, rate-limit ("403, access too frequent": wait 10 minutes), as of 2026-07-24.
The others document no words, and their networks answer with a page.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.venues.venue import RestReply

if TYPE_CHECKING:
    from simulator.conditions import Block

_HTML: Final = "text/html"
_RESTRICTED: Final = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you received this "
    "message in error."
)


def blocked(venue: str, block: Block, now_ns: int) -> RestReply:
    """Return the answer, with Retry-After where the block has an end that is told."""
    headers = {} if block.retry_after_s is None else {"Retry-After": str(block.retry_after_s)}
    match venue, block.status:
        case "binance" | "binance-usdm", 451:
            return RestReply(json.dumps({"code": 0, "msg": _RESTRICTED}), 451, headers)
        case "binance" | "binance-usdm", 418:
            until_ms = (now_ns + (block.retry_after_s or 0) * NS_PER_S) // NS_PER_MS
            text = (
                f"Way too much request weight used; IP banned until {until_ms}. "
                "Please use WebSocket Streams for live updates to avoid bans."
            )
            return RestReply(json.dumps({"code": -1003, "msg": text}), 418, headers)
        case "bybit", 403:
            return RestReply("403, access too frequent", 403, headers, content_type="text/plain")
        case _, status:
            title = f"{status} {HTTPStatus(status).phrase}"
            page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
            return RestReply(page, status, headers, content_type=_HTML)
