"""`kafka_within`: how long a reading of the logs may take, and how it fails if Kafka is away; a shell."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from libs.common.kafka import MissingTopicError
from services.gateway.http.problems import not_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.gateway.http.problems import ProblemError


@asynccontextmanager
async def kafka_within(seconds: float, late: ProblemError) -> AsyncIterator[None]:
    """Give what is read of Kafka inside this context so long.

    Raises
    ------
    ProblemError
        `late` once the time is up; 503 if Kafka is away.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise late from error
    except (KafkaError, MissingTopicError, OSError) as error:
        raise not_ready(f"Kafka does not answer: {type(error).__name__}.") from error
