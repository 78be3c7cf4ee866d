"""Hosts of a setting: `venue=wss://…|https://…,…`, where a half may be left out; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from libs.common.venues import VENUES, UnknownVenueError, venue_named
from libs.common.venues.venue import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORM: Final = "venue=wss://host|https://host, like okx=wss://ws.okx.com:443|https://www.okx.com"


def hosts_of(setting: str) -> Mapping[str, Hosts]:
    """Return the hosts that a setting names, by venue; what it leaves out is the table's.

    Raises
    ------
    ValueError
        If it is none; the text says at which place, and not what it says there.
    """
    found: dict[str, Hosts] = {}
    for place, part in enumerate(setting.split(","), 1):
        if not part.strip():
            continue
        name, equals, bases = part.strip().partition("=")
        stream, bar, rest = (half.strip() for half in bases.partition("|"))
        if not equals or not bar:
            raise ValueError(f"place {place} is not {_FORM}; either half may be empty, the | stays")
        try:
            venue = venue_named(name.strip())
        except UnknownVenueError:
            raise ValueError(f"place {place} names no venue; known: {', '.join(VENUES)}") from None
        if venue.venue in found:
            raise ValueError(f"place {place} names a venue that stands before: one place for each")
        if not stream and not rest:
            raise ValueError(f"place {place} names no host: write it as {_FORM}")
        found[venue.venue] = Hosts(
            _base(stream, ("wss", "ws"), place) if stream else venue.hosts.stream,
            _base(rest, ("https", "http"), place) if rest else venue.hosts.rest,
        )
    return found


def _base(text: str, schemes: tuple[str, str], place: int) -> str:
    half = f"place {place}, {'before' if 'wss' in schemes else 'after'} the |,"
    form = f"write it as {schemes[0]}://host, and :port if need be"
    try:
        address = urlsplit(text)
        host, _ = address.hostname, address.port
        if host:
            host.encode("idna")
    except ValueError:  # of which UnicodeError is one
        raise ValueError(f"{half} is no address: {form}") from None
    if address.scheme not in schemes:
        raise ValueError(f"{half} must begin with {schemes[0]}:// (or {schemes[1]}://)")
    if not host or not text.isprintable() or " " in text:
        raise ValueError(f"{half} is no address: {form}")
    if address.username is not None or address.password is not None:
        raise ValueError(f"{half} has a name or password, which public data need not")
    if address.query or address.fragment or "?" in text or "#" in text:
        raise ValueError(f"{half} has a ? or #: the paths of the venue's protocol are added to it")
    _, _, rest = text.partition(":")
    return f"{address.scheme}:{rest.rstrip('/')}"  # a scheme counts in any case: RFC 3986 section 3.1
