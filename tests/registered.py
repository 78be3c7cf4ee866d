"""Policies on the registry, for tests in which no execution service puts its own there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from libs.common.events import PolicyRegistered
from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import POLICIES_REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterable


def a_policy_registered(policy_id: str, **changes: Any) -> PolicyRegistered:
    fields: dict[str, Any] = {"kind": "test", "summary": "does what the test says", "version": "1"}
    return PolicyRegistered(policy_id=policy_id, **fields | changes)


async def register(kafka: str, policies: Iterable[str], **settings: Any) -> None:
    """Let the policies be registered before anything is asked."""
    known = ServiceSettings(kafka_bootstrap_servers=kafka, **settings)
    await create_topics(known, [POLICIES_REGISTRY])
    async with Publisher(known, compress=False) as publisher:
        for name in policies:
            event = a_policy_registered(name)
            await publisher.send_and_wait(POLICIES_REGISTRY, name.encode(), event, time.time_ns())
