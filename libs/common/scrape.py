"""
Answers a scraper: ``GET`` of one path over HTTP/1.1, one request a connection.

Every service has this, so it must cost nothing to start: a web framework takes as long to import as all the
rest of a small service.

On loopback it is asked by address or as localhost: by another name a web page asks that had its name resolve
to this machine. In a network of its own a process has any name.

References
----------
RFC 9112 (2022), sections 2.1 (the head ends at an empty line), 3 (request line) and 9.6 (Connection: close).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from libs.common.loopback import is_loopback
from libs.common.web_pages import OWN_PAGES_ONLY, WebPages

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD_BYTES: Final = 16 * 1024
PATIENCE_S: Final = 10.0  # for the request, and for the taking of the answer
_METHODS: Final = ("GET", "HEAD")


async def listen(
    host: str, port: int, path: str, content_type: str, content: Callable[[], bytes]
) -> asyncio.Server:
    """Serve what `content` returns at each request, which it makes on this event loop.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """
    pages = WebPages(listed_in="METRICS_HOST") if is_loopback(host) else None

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, path, content_type, content, pages))
                writer.close()
                await writer.wait_closed()  # once all of it is taken
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, takes nothing, or does not speak HTTP
        finally:
            writer.transport.abort()

    return await asyncio.start_server(answer, host, port, limit=MAX_HEAD_BYTES)


def _response(
    head: bytes, path: str, content_type: str, content: Callable[[], bytes], pages: WebPages | None
) -> bytes:
    method, _, rest = head.decode("latin-1").partition(" ")
    target = rest.partition(" ")[0].partition("?")[0]
    body = b""
    hosts = _hosts(head)
    if hosts is None:
        status = HTTPStatus.BAD_REQUEST
    elif pages is not None and not all(map(pages.serves, hosts)):
        status = HTTPStatus.MISDIRECTED_REQUEST
    elif target != path:
        status = HTTPStatus.NOT_FOUND
    elif method not in _METHODS:
        status = HTTPStatus.METHOD_NOT_ALLOWED
    else:
        status, body = HTTPStatus.OK, content()
    lines = [
        f"HTTP/1.1 {status} {status.phrase}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        ": ".join(each.decode() for each in OWN_PAGES_ONLY),
        *([f"Content-Type: {content_type}"] if status is HTTPStatus.OK else []),
        *([f"Allow: {', '.join(_METHODS)}"] if status is HTTPStatus.METHOD_NOT_ALLOWED else []),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + (
        b"" if method == "HEAD" else body
    )


def _hosts(head: bytes) -> list[bytes] | None:
    """Return the values of the header Host; None if the lines of the head are none of HTTP."""
    found = []
    for line in head.split(b"\r\n")[1:-2]:
        name, colon, value = line.partition(b":")
        if b"\n" in line or not colon or name != name.strip():
            return None
        if name.lower() == b"host":
            found.append(value.strip(b" \t"))
    return found
