"""
``python -m libs.cli.ready``: say the address once the gateway is ready and every book is LIVE.

Part of `make run`; until then it says about every ten seconds what is waited for.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping

from broker.terminal import say

_POLL_S = 0.25
_PATIENCE_S = 10.0  # between two reports of waiting
_ANSWER_TIMEOUT_S = 5.0
_HTTP_OK = 200


class NotReadyError(Exception):
    """What is still waited for."""


def unfinished(books: Iterable[Mapping[str, object]], expected: Iterable[str]) -> list[str]:
    """
    Name the books that are not LIVE.

    Parameters
    ----------
    books
        The elements of ``GET /api/l2``.
    expected
        Books, as venue:symbol, that must be there; without any, at least one book must.
    """
    states = {f"{book['venue']}:{book['symbol']}": str(book["state"]) for book in books}
    wanted = set(expected) or set(states)
    if not wanted:
        return ["no book yet"]
    return [f"{book} {states.get(book, 'unknown')}" for book in sorted(wanted) if states.get(book) != "LIVE"]


def check(host: str, port: int, expected: Iterable[str]) -> None:
    """
    Ask the gateway once.

    Raises
    ------
    NotReadyError
        If something is still waited for.
    """
    try:
        get(host, port, "/readyz")
        books = json.loads(get(host, port, "/api/l2"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotReadyError(f"the gateway on {host}:{port} ({error})") from error
    waiting = unfinished(books, expected)
    if waiting:
        raise NotReadyError(", ".join(waiting))


def get(host: str, port: int, path: str) -> bytes:
    """
    Return the body of a 200.

    Raises
    ------
    OSError, HTTPException, ValueError
        If nobody answers, not in HTTP, or with another status.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != _HTTP_OK:
        raise ValueError(f"{path} answers {response.status}")
    return body


def main() -> int:
    """Wait as long as it takes; Ctrl-C or the supervisor ends it."""
    host = os.environ.get("GATEWAY_HOST", "127.0.0.1")
    port = int(os.environ.get("GATEWAY_PORT", "5000"))
    expected = [book for book in os.environ.get("L2_BOOKS", "").split(",") if book]
    began = said_at = time.monotonic()
    while True:
        try:
            check(host, port, expected)
        except NotReadyError as missing:
            if time.monotonic() - said_at > _PATIENCE_S:
                said_at = time.monotonic()
                say("ready", f"waiting for {missing}")
            time.sleep(_POLL_S)
        else:
            break
    address = f"http://{host}:{port}"
    example = (expected or ["binance:BTC-USDT"])[0].replace(":", "/")
    took_s = time.monotonic() - began
    say(
        "ready",
        f"bookrunner is ready: {address}  (after {took_s:.1f} s; try: curl {address}/api/l2/{example})",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
