"""``/``: the page, and below ``/page`` the modules, sheets and libraries that it loads, all from here."""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from services.gateway.http import problems as p
from services.gateway.http.assets import HEADERS, MEDIA_TYPES, Asset, asset_answer
from services.gateway.http.problems import MEDIA_TYPE, ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parents[1] / "page"
FRONT: Final = "index.html"
LIBRARIES: Final = "vendor"  # of whose files vendor.lock has the names
HELP: Final = (
    "the page's libraries are not here: run `make setup`, which fetches them, and start the gateway again; a "
    "wheel or an image without them was built by other means than this project's"
)

router = APIRouter(include_in_schema=False)


@cache
def files() -> Mapping[str, Asset]:
    """Return what the page is made of, by name below its folder."""
    paths = (path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    names = ((path.relative_to(FOLDER).as_posix(), path) for path in paths)
    return {name: Asset(name, path.read_bytes()) for name, path in sorted(names)}


@cache
def missing() -> tuple[str, ...]:
    """Return which files of the page's libraries are not there."""
    lines = (FOLDER / f"{LIBRARIES}.lock").read_text(encoding="utf-8").splitlines()
    names = [line.split(" ", 2)[2] for line in lines if line and not line.startswith("#")]
    served = (name for name in names if PurePath(name).suffix in MEDIA_TYPES)
    return tuple(name for name in served if f"{LIBRARIES}/{name}" not in files())


@router.get("/")
async def front(request: Request) -> Response:
    """Return the page."""
    if missing():
        problem = ProblemError(p.UNAVAILABLE, f"{HELP[0].upper()}{HELP[1:]}.")
        return Response(problem.body(), problem.status, HEADERS, MEDIA_TYPE)
    return asset_answer(request, files()[FRONT])


@router.get("/page/{name:path}")
async def file(request: Request, name: str) -> Response:
    """Return a file of the page."""
    found = files().get(name)
    if found is None:
        problem = ProblemError(p.UNKNOWN_ROUTE, f"There is no /page/{name[:200]}; the page is at /.")
        return Response(problem.body(), problem.status, HEADERS, MEDIA_TYPE)
    return asset_answer(request, found)
