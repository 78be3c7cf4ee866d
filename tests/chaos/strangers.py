"""Who writes beside the services: a transaction left open, and records that this version does not know."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import hypothesis
import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer
from hypothesis import HealthCheck, Phase, given

from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_PLANS,
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_TRADES,
    PORTFOLIO_COMMANDS,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    VENUES_SCORES,
    Topic,
)
from tests.hostile import messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.events import Event

NEWER: Final = (
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_TRADES,
    VENUES_SCORES,
    ROUTER_CHOICES,
    EXECUTION_PLANS,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    PORTFOLIO_COMMANDS,
    EXECUTION_COMMANDS,
)
# Others hold what the checker believes, or what money is counted by: whoever may write there is believed.
HOSTILE: Final = (
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    PORTFOLIO_COMMANDS,
    EXECUTION_COMMANDS,
    ROUTER_CHOICES,
    VENUES_SCORES,
)
HOSTILE_RECORDS: Final = 12
KEYS: Final = (b"binance:BTC-USDT", b"BTC-USDT", b"default", b"x", b"\xff\xfe", b"")


@asynccontextmanager
async def open_transaction(kafka: str, topic: str, partition: int, timeout_s: float) -> AsyncIterator[None]:
    """Hold a transaction open on a partition, behind a record that is never committed."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka,
        transactional_id="chaos-stranger",
        transaction_timeout_ms=round(timeout_s * 1000),
    ) as stranger:
        await stranger.begin_transaction()
        await stranger.send_and_wait(topic, b"of no service", b"x:y", partition=partition)
        try:
            yield
        finally:
            await stranger.abort_transaction()


async def write_unknown(kafka: str, seed: int, partitions: int) -> str:
    """Write what another version and what an enemy would; return on which topics."""
    random = np.random.Generator(np.random.Philox(key=seed))
    hostile = HOSTILE[int(random.integers(len(HOSTILE)))]
    kind = hostile.events[int(random.integers(len(hostile.events)))]
    records = [(hostile, value) for value in _hostile(kind, seed)]
    newer = [NEWER[at] for at in random.choice(len(NEWER), size=3, replace=False)]
    for topic in newer:
        records += [(topic, value) for value in _newer(topic)]
    async with AIOKafkaProducer(bootstrap_servers=kafka) as stranger:
        for topic, value in records:
            key = KEYS[int(random.integers(len(KEYS)))]
            partition = int(random.integers(partitions))
            await stranger.send_and_wait(topic.name, value, key, partition=partition)
    return f"{kind.__name__} on {hostile.name}; newer on {', '.join(topic.name for topic in newer)}"


def _newer(topic: Topic) -> list[bytes]:
    """Return a type that is not known yet, and a name in every field of one that is."""
    known = topic.events[0]
    named = dict.fromkeys(known.__struct_fields__, "not known yet")
    return [
        msgspec.msgpack.encode({"type": "SaidByTheNextVersion", "venue": "mars", "symbol": "BTC-USDT"}),
        msgspec.msgpack.encode({"type": known.__name__, **named}),
    ]


def _hostile(kind: type[Event], seed: int) -> list[bytes]:
    """Return messages of a type with any values that it allows."""
    found: list[bytes] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=HOSTILE_RECORDS,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(messages(kind))
    def collect(message: Event) -> None:
        try:
            found.append(msgspec.msgpack.encode(message))
        except (msgspec.MsgspecError, UnicodeError, OverflowError, ValueError):
            return  # it cannot even be written

    collect()
    return found
