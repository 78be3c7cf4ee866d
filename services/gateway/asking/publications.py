"""Publish what callers say of policies and contexts; a shell: it waits on the loop's clock.

Each name, of a policy or of an input, has a rate of its own, so that a flood of one leaves room for others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libs.common.token_bucket import AddressBuckets, Rate
from services.gateway.asking.commands import headers_of, in_time
from services.gateway.http.problems import not_ready, too_fast

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.events import Event
    from libs.common.topics import Topic
    from services.gateway.asking.commands import Command, Writer
    from services.gateway.settings import GatewaySettings


@dataclass(eq=False)
class Publications:
    """Writes a message, and returns once Kafka has it."""

    settings: GatewaySettings
    writer: Writer
    away: Callable[[], str | None]  # why Kafka cannot be asked, None if it can
    clock: Callable[[], int]  # int ns UTC
    stopwatch: Callable[[], int]  # ns that do not go back
    refused: int = field(default=0, init=False)  # for their name's rate, since the start
    _rates: AddressBuckets = field(init=False)

    def __post_init__(self) -> None:
        rate = Rate(self.settings.signal_rate_per_s, self.settings.signal_burst)
        self._rates = AddressBuckets(rate, self.settings.write_max_addresses)

    async def publish(self, topic: Topic, key: bytes, event: Event, whose: str, command: Command) -> None:
        """Write what a caller says of `whose`, as "the policy x_mine", whose rate it counts for.

        Raises
        ------
        ProblemError
            429 with when there may be one more of it, 503 while Kafka is away, 504 if it does not take the
            message in time.
        """
        if (why := self.away()) is not None:
            raise not_ready(f"Not sent: {why}.")
        if wait_ns := self._rates.take(whose, self.stopwatch()):
            self.refused += 1
            rate = f"{self.settings.signal_rate_per_s} a second are right"
            raise too_fast(f"There are too many messages of {whose}: {rate}.", wait_ns)
        late = f"Kafka did not take the message of {whose}"
        async with in_time(self.settings.command_timeout_s, str(command.id), late):
            now = self.clock()
            headers = headers_of(command.id, type(event).__name__, now, command.correlation_id)
            await self.writer.send_and_wait(topic, key, event, now, headers)
