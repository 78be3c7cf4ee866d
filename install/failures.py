"""Why pip failed, said as what happened and what helps; pip itself blames versions for a missing network."""

from __future__ import annotations

import re
from typing import Final

_CAUSES: Final = (
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|certificate verify failed",
        (
            "the certificate of the package index is not trusted, as behind a proxy that inspects TLS: set "
            "PIP_CERT and REQUESTS_CA_BUNDLE to the file of that proxy's certificate authority"
        ),
    ),
    (
        r"ProxyError|Cannot connect to proxy|Tunnel connection failed|407 Client Error",
        (
            "the proxy named by HTTPS_PROXY (or `pip config list`) does not let pip through: correct its "
            "address, user and password"
        ),
    ),
    (
        r"40[13] Client Error|401 Error|403 Error",
        "the package index refuses this user: correct what `pip config list` or PIP_INDEX_URL says",
    ),
    (
        (
            r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|NameResolutionError|"
            r"Max retries exceeded|Connection refused|Connection reset|Connection broken|"
            r"RemoteDisconnected|Connection aborted|"
            r"Network is unreachable|Temporary failure in name resolution|Name or service not known|timed out"
        ),
        (
            "the package index could not be reached: connect to the network; behind a proxy set HTTPS_PROXY; "
            "an index of your own is named by PIP_INDEX_URL"
        ),
    ),
    (
        r"DO NOT MATCH THE HASHES|Hashes are required|Hash mismatch",
        "a package arrived with other bytes than those locked: a proxy or mirror changes or truncates it",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full: free some space",
    ),
    (
        r"Permission denied|Read-only file system",
        "a folder is not writable: correct its permissions (was something here made with sudo?)",
    ),
    (
        r"from versions: none",
        (
            "the package index could not be reached, or has nothing of a locked package: connect to the "
            "network; behind a proxy set HTTPS_PROXY; an index of your own is named by PIP_INDEX_URL"
        ),
    ),
    (
        r"No matching distribution|Could not find a version|HTTP error 404|404 Client Error",
        (
            "the configured package index lacks a locked version, or the files of it for this machine: use "
            "another one by PIP_INDEX_URL"
        ),
    ),
)
_LAST_LINES: Final = 5


class NotInstalledError(Exception):
    """Something cannot be installed; the message is written for the person at the terminal."""


def cause_in(log: str) -> str | None:
    """Find a known cause of failure in what pip said."""
    return next((advice for pattern, advice in _CAUSES if re.search(pattern, log)), None)


def explanation(log: str) -> str:
    """Return the known cause, else pip's last words."""
    words = [line for line in log.splitlines() if line.strip() and not line.startswith("[notice]")]
    return cause_in(log) or "pip said:\n  " + "\n  ".join(words[-_LAST_LINES:])
