"""Who may change something, and how often: asked before a request goes any further.

In this order: the request shows the gateway's token, where one is set; its address has a token left in its
bucket; all addresses together have one left. So whoever has no token takes nothing from those who have it,
not even from the same address. What does not show it has a bucket of its own, per address, and is 429 instead
of 401 once that is empty; a right token passes all the same, so it is its length that guesses fail at.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from libs.common.web_pages import SAFE
from services.gateway.http.callers import Callers
from services.gateway.http.problems import TOO_FAST, UNAUTHORIZED, ProblemError
from services.gateway.http.token_bucket import AddressBuckets, Rate, TokenBucket

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from starlette.types import Scope

    from services.gateway.settings import GatewaySettings

CHALLENGES: Final = "WWW-Authenticate"
CHALLENGE: Final = 'Bearer realm="bookrunner"'  # RFC 6750 section 3
INVALID_TOKEN: Final = CHALLENGE + ', error="invalid_token"'  # RFC 6750 section 3.1
SEND_THIS: Final = (
    "send `Authorization: Bearer TOKEN` with the GATEWAY_TOKEN that this gateway was started with"
)


class WriteGuard:
    """Refuses what is not allowed, or not yet.

    Parameters
    ----------
    refusals
        Counts refusals by reason.
    clock
        ns that do not go back.
    """

    def __init__(self, settings: GatewaySettings, refusals: Counter[str], clock: Callable[[], int]) -> None:
        secret = settings.gateway_token
        self._token = None if secret is None else secret.get_secret_value().encode()
        self._callers = Callers(settings.gateway_trusted_proxies)
        now = clock()
        each = Rate(settings.write_rate_per_s, settings.write_burst)
        self._addresses = AddressBuckets(each, settings.write_max_addresses)
        self._unauthorized = AddressBuckets(each, settings.write_max_addresses)  # of what shows no token
        self._all = TokenBucket(Rate(settings.write_total_rate_per_s, settings.write_total_burst), now)
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
        now = self._clock()
        address = self._callers.address_of(scope)
        if self._token is not None and (problem := _without_token(scope, self._token)) is not None:
            if wait_ns := self._unauthorized.take(address, now):
                detail = f"There are too many requests without the token from {address}."
                return self._too_fast("too-fast-unauthorized", detail, wait_ns)
            self.refusals[UNAUTHORIZED.slug] += 1
            return problem
        if wait_ns := self._addresses.take(address, now):
            return self._too_fast("too-fast-address", f"There are too many requests from {address}.", wait_ns)
        if wait_ns := self._all.take(now):
            return self._too_fast("too-fast-total", "There are too many requests from everybody.", wait_ns)
        return None

    def _too_fast(self, reason: str, detail: str, wait_ns: int) -> ProblemError:
        self.refusals[reason] += 1
        return ProblemError(TOO_FAST, detail, retry_after_s=-(-wait_ns // NS_PER_S))


def _without_token(scope: Scope, token: bytes) -> ProblemError | None:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if not sent:
        return ProblemError(UNAUTHORIZED, f"Changes need a token: {SEND_THIS}.", asks={CHALLENGES: CHALLENGE})
    scheme, _, shown = sent[0].partition(b" ")  # the scheme is in any case: RFC 9110 section 11.1
    if len(sent) > 1 or scheme.lower() != b"bearer":
        return ProblemError(
            UNAUTHORIZED, f"That is no Bearer token: {SEND_THIS}.", asks={CHALLENGES: CHALLENGE}
        )
    if not hmac.compare_digest(shown.strip(b" "), token):
        return ProblemError(
            UNAUTHORIZED, f"The token is wrong: {SEND_THIS}.", asks={CHALLENGES: INVALID_TOKEN}
        )
    return None
