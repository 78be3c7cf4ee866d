"""``python -m services.gateway``: serve HTTP until told to stop, or until Kafka fails for good."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from broker.terminal import CANNOT_RUN
from libs.common import log
from libs.common.metrics import announced
from libs.common.startup import begin, end
from services.gateway.app import create_app
from services.gateway.http.protocol import KEEP_ALIVE_S, BoundedHttpProtocol
from services.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.gateway.app import Gateway

STOP_S = 5  # how long open requests may take to end

_log = logging.getLogger("services.gateway")


class Server(uvicorn.Server):
    """uvicorn, which closes streams before it waits for their connections, and exits 0 when told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            uvicorn.Config(
                gateway,
                http=BoundedHttpProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the write guard reads them, and believes addresses only
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_S,
            )
        )
        self._gateway = gateway

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on the first SIGINT or SIGTERM, at once on the second."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything else."""
        await self._gateway.close_streams()
        await super().shutdown(sockets)


async def serve(settings: GatewaySettings, listener: socket.socket) -> int:
    """Serve on `listener`, and return the process's exit code."""
    gateway = create_app(settings)
    server = Server(gateway)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    with announced(settings, "gateway", f"{host}:{port}"):
        await asyncio.wait({serving, gateway.failed}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    if gateway.failed.done():
        if (sentence := log.permanent_cause(gateway.failed.exception() or AssertionError())) is not None:
            _log.critical("%s%s", CANNOT_RUN, sentence)
            return os.EX_CONFIG
        _log.error("gateway_failed", exc_info=gateway.failed.exception())
        return 1
    _log.info("gateway_stopped")
    return 0


def main() -> int:
    """Run the gateway with settings from the environment."""
    # Until `serve` takes over nothing is open; an exception, which the loop may swallow, would not end it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    settings = begin(GatewaySettings, "gateway")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        end(
            "gateway",
            f"nobody can listen on {host}:{port} ({error.strerror}): set GATEWAY_PORT to a free port, "
            "GATEWAY_HOST to an address of this machine",
        )
    _log.info("gateway_listens", extra={"url": f"http://{host}:{listener.getsockname()[1]}"})
    with listener:
        return uvloop.run(serve(settings, listener))


if __name__ == "__main__":
    sys.exit(main())
