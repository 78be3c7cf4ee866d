"""
``python -m libs.cli.ready``: say the address once every route does its work.

Part of `make run`; until then it says about every ten seconds what is waited for.
"""

import http.client
import json
import os
import sys
import time

from broker.terminal import say
from libs.cli.run_folder import host_and_port

_POLL_S = 0.1
_PATIENCE_S = 10.0  # between two reports of waiting
_ANSWER_TIMEOUT_S = 5.0
_HTTP_OK = 200


def ask(host: str, port: int) -> tuple[bool, list[str]]:
    """
    Ask ``/readyz`` once; return whether the system is ready, and what is missing or degraded, in words.

    Raises
    ------
    OSError, HTTPException, ValueError
        If nobody answers, not in HTTP, or not in JSON.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        said = json.loads(response.read())
    finally:
        connection.close()
    if not isinstance(said, dict):
        raise ValueError("/readyz does not answer with an object")  # noqa: TRY004 -- it is the peer's fault
    if response.status == _HTTP_OK:
        return True, list(said["degraded"])
    return False, list(said.get("missing") or [f"{said.get('detail', response.status)}"])


def wait(host: str, port: int) -> list[str]:
    """Return once the system is ready, with what is degraded; wait as long as it takes, and say for what."""
    said_at = time.monotonic()
    while True:
        try:
            ready, what = ask(host, port)
        except (OSError, http.client.HTTPException, ValueError):
            ready, what = False, [f"the gateway on {host_and_port(host, port)} does not answer yet"]
        if ready:
            return what
        if time.monotonic() - said_at > _PATIENCE_S:
            said_at = time.monotonic()
            say("ready", f"waiting: {'; '.join(what)}")
        time.sleep(_POLL_S)


def main() -> int:
    """Wait as long as it takes; Ctrl-C or the supervisor ends it."""
    host = os.environ.get("GATEWAY_HOST", "127.0.0.1")
    port = int(os.environ.get("GATEWAY_PORT", "5000"))
    expected = [book for book in os.environ.get("L2_BOOKS", "").split(",") if book]
    began = time.monotonic()
    for each in wait(host, port):
        say("ready", f"degraded: {each}")
    address = f"http://{host_and_port(host, port)}"
    example = (expected or ["binance:BTC-USDT"])[0].replace(":", "/")
    took_s = time.monotonic() - began
    say(
        "ready",
        f"bookrunner is ready: {address}  (after {took_s:.1f} s; try: curl {address}/api/l2/{example})",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
