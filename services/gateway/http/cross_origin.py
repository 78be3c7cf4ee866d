"""Which web pages of other origins may ask, and read the answers (CORS); pure.

Exact origins, no credentials: a page that changes something sends the token itself. Starlette's middleware
answers a preflight in text/plain and knows nothing of the answers that are given before it.

References
----------
WHATWG Fetch, section 3.3 HTTP-CORS protocol, https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from libs.common.web_pages import OWN_PAGES_ONLY, WebPages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import Scope

ANY: Final = "*"
METHODS: Final = "GET, HEAD, POST, DELETE"
SENT: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Correlation-Id"
SHOWN: Final = "Allow, Idempotency-Replayed, Retry-After, WWW-Authenticate, X-Correlation-Id"
KEPT_S: Final = 600  # a browser asks again after this long
# As a browser serialises one: RFC 6454 section 6.2; in lower case, without path and the scheme's own port.
ORIGIN: Final = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)
_OWN_PORTS: Final = (("http://", ":80"), ("https://", ":443"))
_VARY: Final = (b"vary", b"Origin")

Headers = tuple[tuple[bytes, bytes], ...]


def origins_of(setting: str) -> frozenset[str]:
    """Return the origins of a list separated by commas.

    Raises
    ------
    ValueError
        If one is none, or ``*`` does not stand alone.
    """
    parts = [part.strip() for part in setting.split(",")]
    found = frozenset(filter(None, parts))
    for place, origin in enumerate(parts, 1):
        if origin in {"", ANY}:
            continue
        doubled = any(origin.startswith(scheme) and origin.endswith(port) for scheme, port in _OWN_PORTS)
        if doubled or not ORIGIN.fullmatch(origin):
            raise ValueError(
                f"place {place} is no origin as browsers send it, like https://desk.example or "
                "http://localhost:3000: lower case, no path, no port that the scheme has anyway"
            )
    if ANY in found and len(found) > 1:
        raise ValueError("* is every origin: let it stand alone")
    return found


class CrossOrigin:
    """Whose pages may ask, and the headers that let them read an answer; no origins: only our own pages.

    Parameters
    ----------
    names
        Of hosts, by which this gateway is asked.
    """

    def __init__(self, origins: frozenset[str], names: frozenset[str] = frozenset()) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self.pages = WebPages(
            names, origins, listed_in="GATEWAY_SERVED_AS", allowed_in="GATEWAY_CORS_ORIGINS"
        )

    def headers(self, sent: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return what the answer to a request with these headers needs."""
        if not self._origins:
            return (OWN_PAGES_ONLY,)
        allowed = self._allowed(sent)
        shown = () if allowed is None else (allowed, (b"access-control-expose-headers", SHOWN.encode()))
        return (OWN_PAGES_ONLY, _VARY, *shown)

    def preflight(self, scope: Scope) -> Headers | None:
        """Return the headers that answer a preflight; None if it is none, or of a page that may not ask."""
        sent: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if not self._origins or scope["method"] != "OPTIONS":
            return None
        allowed = self._allowed(sent)
        if allowed is None or not any(name == b"access-control-request-method" for name, _ in sent):
            return None
        return (
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-allow-headers", SENT.encode()),
            (b"access-control-max-age", b"%d" % KEPT_S),
        )

    def _allowed(self, sent: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
        origin = next((value for name, value in sent if name == b"origin"), None)
        if origin is None:
            return None
        if ANY.encode() in self._origins:
            return (b"access-control-allow-origin", ANY.encode())
        return (b"access-control-allow-origin", origin) if origin in self._origins else None
