"""The heartbeat of a process: what it says of itself on ``services.status.v1``, each second and at a change.

It has a producer of its own, which a broken transaction or a full queue of market data does not hold up, and
no record of it is ever in doubt: a heartbeat that Kafka does not take is not sent again, the next one is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from libs.common.codec import encode
from libs.common.events import ServiceState, ServiceStatus
from libs.common.kafka import partition_of
from libs.common.kafka_security import client_arguments
from libs.common.topics import SERVICES_STATUS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Never

    from libs.common.settings import ServiceSettings

REPEAT_S: Final = 1.0
DETAIL_CHARS: Final = 2_000  # names of topics and partitions may be many
LOOK_S: Final = 0.1  # between two looks for a change
TIMEOUT_MS: Final = 3_000  # of one heartbeat; then it is too old to be of use

_log = logging.getLogger(__name__)


class Condition(NamedTuple):
    """What a process is ready for now."""

    state: ServiceState
    owned: tuple[int, ...] = ()
    stopped: tuple[int, ...] = ()
    detail: str = ""


@asynccontextmanager
async def heartbeat(
    settings: ServiceSettings, service: str, instance: str, condition: Callable[[], Condition]
) -> AsyncIterator[None]:
    """Tell what `condition` returns while the context lasts; at its end, unless it failed, delete the status.

    To be cancelled is to be stopped as asked. A failure to tell cancels what runs in the context, for nobody
    asks a process that is not heard.

    Parameters
    ----------
    instance
        Unique and stable per replica of the service.

    Raises
    ------
    KafkaError
        If the producer cannot start.
    Exception
        Whatever `condition` raised.
    """
    producer = AIOKafkaProducer(
        **client_arguments(settings), acks=1, linger_ms=0, request_timeout_ms=TIMEOUT_MS
    )
    await producer.start()
    teller = _Teller(producer, service, instance, settings.topic_partitions)
    telling = asyncio.create_task(teller.tell_for_ever(condition))
    context = asyncio.current_task()
    assert context is not None  # noqa: S101 -- this runs in a task
    telling.add_done_callback(lambda task: None if task.cancelled() else context.cancel())
    try:
        yield
        await _end(telling)
        await teller.send(None)  # not after a failure: a crash is no clean stop, and falls silent
    except asyncio.CancelledError:
        await _end(telling)  # raises what it failed of
        await teller.send(None)
        raise
    finally:
        telling.cancel()
        await producer.stop()


class _Teller:
    def __init__(self, producer: AIOKafkaProducer, service: str, instance: str, partitions: int) -> None:
        self._producer = producer
        self._service = service
        self._instance = instance
        self._key = f"{service}:{instance}".encode()
        self._partition = partition_of(self._key, partitions)
        self._version = version("bookrunner")
        self._taken = True  # by Kafka, the last one

    async def tell_for_ever(self, condition: Callable[[], Condition]) -> Never:
        told: Condition | None = None
        state: ServiceState | None = None
        since_ts, told_s = 0, 0.0
        while True:
            now, now_s = time.time_ns(), time.monotonic()
            found = condition()
            if found != told or now_s - told_s >= REPEAT_S:
                if found.state is not state:
                    state, since_ts = found.state, now
                told, told_s = found, now_s
                await self.send(self._status(found, since_ts, now))
            await asyncio.sleep(LOOK_S)

    def _status(self, found: Condition, since_ts: int, now: int) -> ServiceStatus:
        return ServiceStatus(
            service=self._service,
            instance=self._instance,
            version=self._version,
            state=found.state,
            partitions_owned=found.owned,
            partitions_stopped=found.stopped,
            since_ts=since_ts,
            ts=now,
            detail=found.detail[:DETAIL_CHARS],
        )

    async def send(self, status: ServiceStatus | None) -> None:
        """Send a heartbeat, or a tombstone; while Kafka does not take it, say so once."""
        value = None if status is None else encode(status)
        try:
            await self._producer.send_and_wait(
                SERVICES_STATUS.name, value, self._key, partition=self._partition
            )
        except (KafkaError, TimeoutError) as error:
            if self._taken:
                _log.warning("heartbeat_not_taken", extra={"reason": str(error) or type(error).__name__})
            self._taken = False
        else:
            self._taken = True


async def _end(task: asyncio.Task[Never]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()  # raises what it failed of
