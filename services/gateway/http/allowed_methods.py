"""What an address can be asked by, for the header Allow (RFC 9110 section 10.2.1); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute


def methods_at(path: str, routes: Iterable[BaseRoute]) -> list[str]:
    """Return the methods of every route at `path`, in order; HEAD goes where GET does, see `Edge`."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
