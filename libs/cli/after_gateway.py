"""
``python -m libs.cli.after_gateway -m services.router``: become that Python command once the gateway is ready.

At the start of `make run` the books and the gateway come first; services that decide on books have nothing to
do before. A restart finds the gateway ready and waits for nothing; without a gateway it waits a few seconds.
"""

import http.client
import os
import sys
import time

from libs.cli.ready import get

_POLL_S = 0.25
_PATIENCE_S = 8.0


def wait_for(host: str, port: int, patience_s: float) -> bool:
    """Return whether the gateway became ready in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            get(host, port, "/readyz")
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(_POLL_S)
        else:
            return True
    return False


if __name__ == "__main__":
    wait_for(
        os.environ.get("GATEWAY_HOST", "127.0.0.1"), int(os.environ.get("GATEWAY_PORT", "5000")), _PATIENCE_S
    )
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606 -- becoming the command is the purpose
