"""Which web pages may ask a server: none but its own, and those of origins that are listed; pure.

A browser sends a page's requests to any address that the page names, also to one on this machine. It says
in Host which name it was given and, of everything that changes something, in Origin and Sec-Fetch-Site whose
page it was; a page can set none of them. Programs send no Origin, and are asked for none.

A page whose name was made to resolve to this machine after it was loaded (DNS rebinding) is of one origin
with the server, for the browser. But it has a name, and names that are no server of ours are not served.

References
----------
RFC 9110, HTTP Semantics, sections 7.2 (Host), 7.4 (requests for somebody else) and 15.5.20 (421).
RFC 6454, The Web Origin Concept, section 7. W3C Fetch Metadata Request Headers, section 2.4 Sec-Fetch-Site.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1: they change nothing
ANY: Final = b"*"
# Not for other origins' pages to embed, as picture, script or frame: Fetch, section 3.7.
OWN_PAGES_ONLY: Final = (b"cross-origin-resource-policy", b"same-origin")
NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_ADDRESSES: Final = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}|\[[0-9A-Fa-f:.]{2,45}\]"
_PORT: Final = r"(?::[0-9]{0,5})?"
_OWN: Final = (b"same-origin", b"none")  # none: a person typed the address
_MOST_SHOWN: Final = 80  # signs of what a caller sent


def names_of(setting: str) -> frozenset[str]:
    """Return the names of hosts of a list separated by commas.

    Raises
    ------
    ValueError
        If one is none.
    """
    names = [name for part in setting.split(",") if (name := part.strip().lower())]
    for place, name in enumerate(names, 1):
        if not NAME.fullmatch(name):
            raise ValueError(f"place {place} is no name of a host, like desk.example: without port and path")
    return frozenset(names)


def served_names(setting: str, host: str) -> frozenset[str]:
    """Return the names of a list, and that of the host that is listened on if it is one."""
    return names_of(setting) | frozenset(filter(NAME.fullmatch, [host.lower()]))


class WebPages:
    """Tells requests of web pages that may ask from others.

    Parameters
    ----------
    names
        By which the server is asked, beside its addresses and ``localhost``, in lower case.
    origins
        Whose pages may ask; ``*`` is all.
    listed_in, allowed_in
        The settings that hold both, for the refusals; an empty one: there is none.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        origins: Iterable[str] = (),
        *,
        listed_in: str,
        allowed_in: str = "",
    ) -> None:
        ours = "|".join(map(re.escape, ("localhost", *sorted(names))))
        self._served = re.compile(rf"(?:{_ADDRESSES}|{ours})?{_PORT}".encode(), re.IGNORECASE)
        self._origins = frozenset(origin.encode() for origin in origins)
        self._listed_in = listed_in
        self._allowed_in = allowed_in

    def serves(self, host: bytes) -> bool:
        """Tell whether a header Host names this server; an empty one, which no browser sends, names none."""
        return self._served.fullmatch(host) is not None

    def misdirected(self, host: bytes) -> str:
        """Return what to say of a Host that is not served."""
        return (
            f"This is not {_shown(host)}: ask by an address, like 127.0.0.1, or by localhost; "
            f"for a name that is right, list it in {self._listed_in}."
        )

    def foreign(self, headers: Iterable[tuple[bytes, bytes]], scheme: str = "http") -> str | None:
        """Return why a page may not ask for a change by a request with these headers; None if it may.

        Parameters
        ----------
        headers
            Names in lower case.
        scheme
            In which the server was asked.
        """
        sent = dict(headers)  # what stands twice was refused before
        host, origin, site = sent.get(b"host", b""), sent.get(b"origin"), sent.get(b"sec-fetch-site")
        if self._is_listed(origin):
            return None
        if site is not None and site not in _OWN:
            return self._refused(origin, f"Sec-Fetch-Site is {_shown(site)}, not same-origin")
        ours = {scheme.encode() + b"://" + host.lower()}
        if site == _OWN[0]:
            ours.add(b"https://" + host.lower())  # a proxy's in front, as only the browser can tell
        if origin is None or origin.lower() in ours:
            return None
        return self._refused(origin, f"it was asked as {_shown(scheme.encode() + b'://' + host)}")

    def foreign_read(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return why a page may not read by a request with these headers; None if it may, or is no page.

        It could not read the answer anyway, but have it made. A link that somebody follows is none of a page.
        """
        sent = dict(headers)
        origin, site = sent.get(b"origin"), sent.get(b"sec-fetch-site", _OWN[0])
        if site in _OWN or self._is_listed(origin) or sent.get(b"sec-fetch-dest") == b"document":
            return None
        return self._refused(origin, f"Sec-Fetch-Site is {_shown(site)}, not same-origin")

    def _is_listed(self, origin: bytes | None) -> bool:
        return origin not in (None, b"null") and (origin in self._origins or ANY in self._origins)

    def _refused(self, origin: bytes | None, because: str) -> str:
        page = "A web page of another origin" if origin is None else f"A web page of {_shown(origin)}"
        list_it = f"; list the page's origin in {self._allowed_in} if it may" if self._allowed_in else ""
        return (
            f"{page} may not ask this here, as {because}: send it from the server's own pages, or "
            f"from a program, which sends no Origin{list_it}."
        )


def _shown(sent: bytes) -> str:
    return repr(sent[:_MOST_SHOWN].decode("latin-1"))
