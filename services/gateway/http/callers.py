"""Whom a request counts for, wherever something is counted by address, also through proxies; pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Network, IPv6Network
    from typing import Any

    Network: TypeAlias = IPv4Network | IPv6Network
    Address: TypeAlias = IPv4Address | IPv6Address

# As proxies write a hop: an address, in brackets if it is IPv6 with a port.
_HOP: Final = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?"
    r"|(?P<four>[0-9.]+)(?::[0-9]{1,5})?"
    r"|(?P<six>[0-9A-Fa-f:.]+)"
)


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


@lru_cache(maxsize=1024)
def counted(host: str) -> str:
    """Return whom a host counts for: an IPv4 address, or the /64 of which one host has all of IPv6's."""
    address = _address(host)  # None of a peer as the server names it: callers cannot choose it
    return (
        f"{IPv6Address(int(address) >> 64 << 64)}/64"
        if isinstance(address, IPv6Address)
        else str(address or host)
    )


def networks_of(setting: str) -> tuple[Network, ...]:
    """Return the networks of a list separated by commas; a single address is a network of one.

    Raises
    ------
    ValueError
        If one is none.
    """
    return tuple(ip_network(part.strip()) for part in setting.split(",") if part.strip())


def address_in(text: str) -> Address | None:
    """Return the address that a hop of X-Forwarded-For is; None if it is none."""
    found = _HOP.fullmatch(text.strip(" \t"))
    return None if found is None else _address(str(found[str(found.lastgroup)]))


def origin_of(peer: str, headers: Iterable[tuple[bytes, bytes]], believed: tuple[Network, ...]) -> str:
    """Return the address nearest to the caller that somebody believed has told of.

    Each proxy adds to the right whom it heard, so the hops are walked from there, as long as the teller is
    believed. What is no address is not believed, nor is anything left of it.
    """
    teller = _address(peer)
    if teller is None:
        return peer
    told = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
    hops = reversed(told.split(",")) if told else iter(())
    while any(teller in network for network in believed):
        hop = address_in(next(hops, ""))
        if hop is None:
            break
        teller = hop
    return str(teller)


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
