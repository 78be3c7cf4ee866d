"""The files that pages load: read once, compressed once, addressed by their content."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from fastapi import Response

if TYPE_CHECKING:
    from fastapi import Request

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
KEPT: Final = "public, max-age=31536000, immutable"  # RFC 8246: under this address it never changes
ASKED_AGAIN: Final = "no-cache"  # kept, but not used before the gateway said that it is the same


@dataclass(frozen=True)
class Asset:
    """A file as it is served; its ending says what it is."""

    name: str
    body: bytes

    @property
    def media_type(self) -> str:
        """The Content-Type."""
        return MEDIA_TYPES[PurePath(self.name).suffix]

    @cached_property
    def version(self) -> str:
        """What changes with the body."""
        return sha256(self.body).hexdigest()[:16]

    @cached_property
    def compressed(self) -> bytes:
        """The body as gzip has it, the same in every process."""
        return gzip.compress(self.body, mtime=0)


def asset_answer(request: Request, asset: Asset) -> Response:
    """Return the answer to who asks for a file, compressed where that is understood."""
    etag = f'"{asset.version}"'
    kept = KEPT if request.scope["query_string"] == f"v={asset.version}".encode() else ASKED_AGAIN
    headers = {**HEADERS, "etag": etag, "cache-control": kept, "vary": "accept-encoding"}
    if etag in request.headers.get("if-none-match", ""):  # of a list, weak or not: RFC 9110 section 13.1.2
        return Response(status_code=304, headers=headers)
    headers["content-type"] = asset.media_type
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(asset.compressed, headers=headers | {"content-encoding": "gzip"})
    return Response(asset.body, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """Tell whether a header Accept-Encoding lets gzip through: RFC 9110 section 12.5.3."""
    for coding in accepted.split(","):
        name, _, weight = coding.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
