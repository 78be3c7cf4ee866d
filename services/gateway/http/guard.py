"""Who may ask from a web page (CORS), and who may change something, and how often; pure.

Of other origins' pages those whose exact origins are listed may ask, without credentials: a page that changes
something sends the token itself. Starlette's middleware answers a preflight in text/plain and knows nothing
of the answers that are given before it.

Who may change something is asked before a request goes any further, in this order: the request shows the
gateway's token, where one is set; its address has a token left in its bucket; all addresses together have one
left. So whoever has no token takes nothing from those who have it, not even from the same address. What does
not show it has a bucket of its own, per address, and is 429 instead of 401 once that is empty; a right token
passes all the same, so it is its length that guesses fail at. The same bucket holds what comes to the webhook
without the token: its route looks for the secret in the body.

References
----------
WHATWG Fetch, section 3.3 HTTP-CORS protocol, https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final

from libs.common.token_bucket import AddressBuckets, Rate, TokenBucket
from libs.common.web_pages import OWN_PAGES_ONLY, SAFE, WebPages
from services.gateway.http.problems import UNAUTHORIZED, ProblemError, too_fast

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from starlette.types import Scope

    from services.gateway.http.callers import Callers
    from services.gateway.settings import GatewaySettings

CHALLENGE: Final = 'Bearer realm="bookrunner"'  # RFC 6750 section 3
INVALID_TOKEN: Final = CHALLENGE + ', error="invalid_token"'  # RFC 6750 section 3.1
SEND_THIS: Final = (
    "send `Authorization: Bearer TOKEN` with the GATEWAY_TOKEN that this gateway was started with"
)

WEBHOOK: Final = "/api/signals/webhook"  # of callers without headers of their own: a body shows its secret
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


class CrossOrigin(WebPages):
    """Whose pages may ask, and the headers that let them read an answer; no origins: only our own pages."""

    def __init__(self, settings: GatewaySettings) -> None:
        super().__init__(
            settings.served_names,
            origins_of(settings.cors_origins),
            listed_in="GATEWAY_SERVED_AS",
            allowed_in="GATEWAY_CORS_ORIGINS",
        )

    def headers(self, sent: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return what the answer to a request with these headers needs."""
        if not self._origins:
            return (OWN_PAGES_ONLY,)
        allowed = self._allowed(sent)
        shown = () if allowed is None else (allowed, (b"access-control-expose-headers", SHOWN.encode()))
        return (OWN_PAGES_ONLY, (b"vary", b"Origin"), *shown)

    def preflight(self, scope: Scope) -> Headers | None:
        """Return the headers that answer a preflight; None if it is none, or of a page that may not ask."""
        asked = any(name == b"access-control-request-method" for name, _ in scope["headers"])
        if scope["method"] != "OPTIONS" or not asked or self._allowed(scope["headers"]) is None:
            return None
        return (
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-allow-headers", SENT.encode()),
            (b"access-control-max-age", b"%d" % KEPT_S),
        )

    def _allowed(self, sent: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
        origin = next((value for name, value in sent if name == b"origin"), None)
        for allowed in (ANY.encode(), origin):
            if origin is not None and allowed in self._origins:
                return (b"access-control-allow-origin", allowed)
        return None


class WriteGuard:
    """Refuses what is not allowed, or not yet.

    Parameters
    ----------
    refusals
        Counts refusals by reason.
    clock
        ns that do not go back.
    """

    def __init__(
        self, settings: GatewaySettings, callers: Callers, refusals: Counter[str], clock: Callable[[], int]
    ) -> None:
        secret = settings.token
        self._token = None if secret is None else secret.get_secret_value().encode()
        self._callers = callers
        each = Rate(settings.write_rate_per_s, settings.write_burst)
        self._addresses = AddressBuckets(each, settings.write_max_addresses)
        self._unauthorized = AddressBuckets(each, settings.write_max_addresses)  # of what shows no token
        self._all = TokenBucket(Rate(settings.write_total_rate_per_s, settings.write_total_burst), clock())
        self.refusals = refusals
        self._clock = clock

    @property
    def addresses(self) -> int:
        """How many buckets of addresses are remembered."""
        return len(self._addresses) + len(self._unauthorized)

    def refusal(self, scope: Scope) -> ProblemError | None:
        """Return why a request is not let through, None if it is."""
        if scope["method"] in SAFE:
            return None
        now, address = self._clock(), self._callers.address_of(scope)
        if self._token is not None and (problem := _without_token(scope, self._token)) is not None:
            if wait_ns := self._unauthorized.take(address, now):
                return self._too_fast("unauthorized", f"without the token from {address}", wait_ns)
            if scope["path"] == WEBHOOK:
                return None
            self.refusals[UNAUTHORIZED.slug] += 1
            return problem
        if wait_ns := self._addresses.take(address, now):
            return self._too_fast("address", f"from {address}", wait_ns)
        if wait_ns := self._all.take(now):
            return self._too_fast("total", "from everybody", wait_ns)
        return None

    def _too_fast(self, whose: str, which: str, wait_ns: int) -> ProblemError:
        self.refusals[f"too-fast-{whose}"] += 1
        return too_fast(f"There are too many requests {which}.", wait_ns)


def _without_token(scope: Scope, token: bytes) -> ProblemError | None:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, shown = sent[0].partition(b" ") if sent else (b"", b"", b"")
    challenge = CHALLENGE
    if not sent:
        fault = "Changes need a token"
    elif len(sent) > 1 or scheme.lower() != b"bearer":  # in any case: RFC 9110 section 11.1
        fault = "That is no Bearer token"
    elif not hmac.compare_digest(shown.strip(b" "), token):
        fault, challenge = "The token is wrong", INVALID_TOKEN
    else:
        return None
    return ProblemError(UNAUTHORIZED, f"{fault}: {SEND_THIS}.", asks={"WWW-Authenticate": challenge})
