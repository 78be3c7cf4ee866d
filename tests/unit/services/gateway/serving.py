"""A world behind real sockets, by the gateway's own HTTP protocol."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from uvicorn import Config
from uvicorn.server import ServerState

from services.gateway.http.protocol import BoundedHttpProtocol
from tests.e2e.system import until
from tests.unit.services.gateway.wire import Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.services.gateway.world import World

PATIENCE_S = 20.0
KEEP_ALIVE_S = 1


class Serving:
    """Serves a world; `send_buffer` is what the system keeps of an answer, bytes, None: as it likes."""

    def __init__(self, world: World, send_buffer: int | None = None) -> None:
        self.state = ServerState()
        self._send_buffer = send_buffer
        self._config = Config(
            Served(world),
            http=BoundedHttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, int]]:
        """Listen on a free port, and yield host and port."""
        listener = socket.create_server(("127.0.0.1", 0))
        if self._send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: BoundedHttpProtocol(self._config, self.state, {}), sock=listener
        )
        try:
            yield listener.getsockname()
        finally:
            server.close()
            for protocol in [*self.state.connections]:
                protocol.transport.abort()

    async def all_gone(self) -> None:
        """Wait until no connection is left."""

        async def gone() -> bool:
            return not self.state.connections

        await until("every connection is cut", gone, PATIENCE_S)
