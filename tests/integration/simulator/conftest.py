from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web

from simulator.app import create_app
from simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """Return a client whose base is a simulator on a free port, without outages of its own."""
    settings = SimulatorSettings(rate=900.0, outages=0.0, history_days=3, feed="simulator")
    runner = web.AppRunner(create_app(settings), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with ClientSession(f"http://{host}:{port}") as session:
        yield session
    await runner.cleanup()
