"""The routes of ``/docs``: the page, and the files it loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from services.gateway.http import docs
from services.gateway.http.problems import MEDIA_TYPE, UNKNOWN_ROUTE, ProblemError

if TYPE_CHECKING:
    from services.gateway.http.docs import Asset

KEPT: Final = "public, max-age=31536000, immutable"  # RFC 8246: under this address it never changes
ASKED_AGAIN: Final = "no-cache"  # kept, but not used before the gateway said that it is the same

router = APIRouter(prefix="/docs", include_in_schema=False)


@router.get("")
async def documentation(request: Request) -> Response:
    """Return the page."""
    return _answer(request, docs.page(request.app.title))


@router.get("/{name:path}")
async def file(request: Request, name: str) -> Response:
    """Return a file of the page."""
    found = docs.files().get(name)
    if found is None:
        problem = ProblemError(UNKNOWN_ROUTE, f"There is no /docs/{name[:200]}; see /docs.")
        return Response(problem.body(), problem.status, docs.HEADERS, MEDIA_TYPE)
    return _answer(request, found)


def _answer(request: Request, asset: Asset) -> Response:
    etag = f'"{asset.version}"'
    kept = KEPT if request.scope["query_string"] == f"v={asset.version}".encode() else ASKED_AGAIN
    headers = {**docs.HEADERS, "etag": etag, "cache-control": kept}
    if etag in request.headers.get(
        "if-none-match", ""
    ):  # one of a list, weak or not: RFC 9110 section 13.1.2
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers | {"content-type": asset.media_type})
