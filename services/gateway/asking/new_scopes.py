"""How many of the router's scopes one address may name first; pure.

A scope begins with its first command, and what the router keeps of it stays. The router bounds how many there
are in all; this bounds what one address makes of them, so that it does not push out those of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from services.gateway.http.problems import TOO_FAST, ProblemError
from services.gateway.http.token_bucket import AddressBuckets, Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from services.gateway.settings import GatewaySettings

HOUR_S: Final = 3_600


class NewScopes:
    """Counts the scopes that an address names and that the router has not told of.

    Parameters
    ----------
    known
        The keys of the scopes that the router tells of.
    clock
        ns that do not go back.
    """

    def __init__(self, settings: GatewaySettings, known: Container[bytes], clock: Callable[[], int]) -> None:
        self._known = known
        self._clock = clock
        rate = Rate(settings.scopes_per_hour, settings.scopes_burst)
        self._addresses = AddressBuckets(rate, settings.write_max_addresses)
        self.refused = 0  # since the start

    def require(self, scope: str, address: str) -> None:
        """Refuse a scope that is new, once this address has named its share of new ones.

        Raises
        ------
        ProblemError
            429 with when it may name one more.
        """
        if scope.encode() in self._known:
            return
        # a bucket counts tokens by the second; a second of its clock is an hour here
        if wait_ns := self._addresses.take(address, self._clock() // HOUR_S) * HOUR_S:
            self.refused += 1
            detail = f"{address} has named too many new scopes: use one that there is, or wait."
            raise ProblemError(TOO_FAST, detail, retry_after_s=-(-wait_ns // NS_PER_S))
