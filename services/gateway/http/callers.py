"""Whom a request counts for, wherever something is counted by address; pure."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from services.gateway.http.forwarded import networks_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Callers:
    """Tells the address of a request.

    Parameters
    ----------
    trusted_proxies
        Addresses or networks, separated by commas, whose X-Forwarded-For is believed.
    """

    def __init__(self, trusted_proxies: str) -> None:
        self._proxies = networks_of(trusted_proxies)

    def address_of(self, scope: Mapping[str, Any]) -> str:
        """Return the address that the request of this ASGI scope counts for."""
        client: tuple[str, int] | None = scope["client"]
        if client is None:
            return "unknown"
        host = client[0]
        return counted(origin_of(host, scope["headers"], self._proxies) if self._proxies else host)


def counted(host: str) -> str:
    """Return whom a host counts for: an IPv4 address, or the /64 of which one host has all of IPv6's."""
    try:
        address = ip_address(host)
    except ValueError:
        return host  # of a peer, as the server names it: callers cannot choose it
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
