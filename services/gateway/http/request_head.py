"""What the head of a request must be before anything reads it; pure.

References
----------
RFC 9112, HTTP/1.1, section 3.2 (Host); RFC 9110, HTTP Semantics, section 5.3 (fields that stand once).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of each the routes read one value; which of two is meant, nobody knows. Host has a rule of its own.
ONCE: Final = frozenset({b"content-type", b"idempotency-key", b"last-event-id", b"origin", b"sec-fetch-site"})
# RFC 3986 section 3.2.2: a name, an IPv4 address, or an IP literal in brackets; then a port.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


def host_fault(http_version: str, hosts: Sequence[bytes]) -> str | None:
    """Return what is wrong with the values of the header Host; None if nothing is."""
    if len(hosts) == 1:
        return None if _HOST.fullmatch(hosts[0]) else "The header Host is no host, like localhost:5000."
    if hosts:
        return f"The header Host stands {len(hosts)} times; send it once."
    return None if http_version == "1.0" else f"HTTP/{http_version} needs the header Host."


def repeated_fault(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return which header stands several times that may stand once; None if none does."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in ONCE:
            if name in seen:
                return f"The header {name.decode().title()} stands several times; send it once."
            seen.add(name)
    return None
