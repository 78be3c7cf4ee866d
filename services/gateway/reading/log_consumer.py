"""The consumer with which partitions are read from any place to any other; a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer

from libs.common.kafka_security import client_arguments

if TYPE_CHECKING:
    from services.gateway.settings import GatewaySettings


def log_consumer(settings: GatewaySettings, fetch_bytes: int, **waits: Any) -> AIOKafkaConsumer:  # noqa: ANN401 -- aiokafka's own arguments
    """Return a consumer of no group, not yet connected, of committed messages.

    Parameters
    ----------
    fetch_bytes
        Of a partition, as it is stored, which it holds in memory.
    **waits
        How long it waits for what, as aiokafka names it.
    """
    return AIOKafkaConsumer(
        **client_arguments(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",  # raise when retention overtakes the reader; skip nothing
        isolation_level="read_committed",
        max_partition_fetch_bytes=fetch_bytes,
        **waits,
    )
