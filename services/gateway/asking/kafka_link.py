"""What the gateway has of Kafka: a publisher once it is up, and when it answered last; a shell."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

from libs.common.kafka import (
    Publisher,
    TooLargeError,
    UnreachableError,
    await_answer,
    create_topics,
)
from services.gateway.http.problems import TOO_LARGE, ProblemError, not_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Never

    from libs.common.cloudevents import Headers
    from libs.common.events import Event
    from libs.common.topics import Topic
    from services.gateway.settings import GatewaySettings

PROBE_S: Final = 1.0  # between two questions whether Kafka answers

_log = logging.getLogger(__name__)


class KafkaLink:
    """Writes, and asks Kafka whether it is there; `refused` fails when the process must end."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._publisher: Publisher | None = None
        self._answered_s: float | None = None  # monotonic
        self._away_because = "no answer yet"
        self._unreachable = False
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Publisher]:
        """Create the topics and connect the publisher, waiting for Kafka as long as the settings say."""
        await create_topics(self._settings)
        async with Publisher(self._settings, compress=False) as publisher:
            self._publisher = publisher
            try:
                yield publisher
            finally:
                self._publisher = None

    async def send_and_wait(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> None:
        """Send a message and wait until Kafka has it.

        Raises
        ------
        ProblemError
            413 if its topic takes no message of this size, which is a refusal of this one alone. 503 before
            Kafka is there, or if it refused the message; then the process ends, for the producer may be of no
            more use.
        """
        if self._publisher is None:
            raise not_ready("Kafka is not there yet.")
        try:
            await self._publisher.send_and_wait(topic, key, event, ts, headers)
        except TooLargeError as error:
            raise ProblemError(TOO_LARGE, f"Nothing was sent: {error}.") from error
        except KafkaError as error:
            if not self.refused.done():
                self.refused.set_exception(error)
            raise not_ready(f"Kafka refused the message: {type(error).__name__}.") from error

    async def probe(self) -> Never:
        """Ask Kafka again and again whether it is there."""
        while True:
            try:
                async with asyncio.timeout(self._settings.kafka_silence_s):
                    await await_answer(self._settings)
            except (KafkaError, TimeoutError, OSError) as error:
                self._tell(str(error) or type(error).__name__)
                self._unreachable |= isinstance(error, UnreachableError)  # until it answers
            else:
                self._unreachable = False
                self._tell("")
                self._answered_s = time.monotonic()
            await asyncio.sleep(PROBE_S)

    @property
    def away(self) -> str | None:
        """Why Kafka cannot be asked; None if somebody is there and answered within the setting."""
        silent_s = float("inf") if self._answered_s is None else time.monotonic() - self._answered_s
        if silent_s <= self._settings.kafka_silence_s and not self._unreachable:
            return None
        because = self._away_because or f"nothing for {silent_s:.0f} s"
        return f"Kafka at {self._settings.kafka_bootstrap_servers} does not answer: {because}"

    def _tell(self, away_because: str) -> None:
        servers = self._settings.kafka_bootstrap_servers
        if away_because and not self._away_because:
            _log.warning("kafka_away", extra={"servers": servers, "reason": away_because})
        elif self._away_because and not away_because:
            _log.info("kafka_answers", extra={"servers": servers, "routine": self._answered_s is None})
        self._away_because = away_because
