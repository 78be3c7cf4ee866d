"""What services say of themselves: statuses as data, and heartbeats of services that a test stands in for."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from libs.common.events import ServiceState, ServiceStatus
from libs.common.status import Condition, heartbeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.settings import ServiceSettings

SERVICES = ("l2", "venues", "router", "portfolio", "execution")


def a_status(service: str = "router", partitions: int = 8, **changes: Any) -> ServiceStatus:
    fields: dict[str, Any] = {
        "service": service,
        "instance": "0",
        "version": "0.1.0",
        "state": ServiceState.READY,
        "partitions_owned": tuple(range(partitions)),
        "since_ts": 1_767_225_600_000_000_000,
        "ts": 1_767_225_600_000_000_000,
    }
    return ServiceStatus(**fields | changes)


@asynccontextmanager
async def standing_in(settings: ServiceSettings, *services: str) -> AsyncIterator[None]:
    """Say that these services are ready, as they would themselves; the topics must exist."""
    ready = Condition(ServiceState.READY, tuple(range(settings.topic_partitions)))
    async with AsyncExitStack() as stack:
        for service in services or SERVICES:
            await stack.enter_async_context(heartbeat(settings, service, "stand-in", lambda: ready))
        yield
