"""Ask a service: send a command, and return the event that answers it.

A shell: it waits on the loop's clock. All gateways read all answers, each from the moment it started; an
answer is known by the `command_id` it repeats.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from libs.common import log
from libs.common.cloudevents import CloudEvent
from libs.common.events import CommandRejected, PlanAndExecute, Refusal
from libs.common.kafka import Undecodable, partition_of
from libs.common.metrics import Histogram
from libs.common.monitoring import SECONDS
from libs.common.time_units import NS_PER_S
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_PLANS,
    PORTFOLIO_ALLOCATIONS,
    PORTFOLIO_COMMANDS,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    VENUES_SCORES,
)
from services.gateway.asking.commands import SOURCE
from services.gateway.http.problems import (
    COMMAND_FAILED,
    INVALID,
    NO_ANSWER,
    TOO_MANY,
    UNAVAILABLE,
    UNKNOWN_NAME,
    FieldError,
    ProblemError,
    not_ready,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Never

    from libs.common.events import Command, Event
    from libs.common.kafka_reader import OnUndecodable
    from libs.common.topics import Topic
    from services.gateway.asking.commands import Writer
    from services.gateway.reading.sources import OpenSource
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

DOER: Final[Mapping[Topic, str]] = {
    ROUTER_COMMANDS: "router",
    VENUES_COMMANDS: "venues",
    PORTFOLIO_COMMANDS: "portfolio",
    EXECUTION_COMMANDS: "execution",
}
ANSWERS: Final[Mapping[Topic, Topic]] = {
    ROUTER_COMMANDS: ROUTER_CHOICES,
    VENUES_COMMANDS: VENUES_SCORES,
    PORTFOLIO_COMMANDS: PORTFOLIO_ALLOCATIONS,
    EXECUTION_COMMANDS: EXECUTION_PLANS,
}
ANSWER_TOPICS: Final = tuple(ANSWERS.values())
RETRY_S: Final = 1  # when what a command needs may be there
_PROBLEMS: Final = {
    Refusal.UNKNOWN: UNKNOWN_NAME,
    Refusal.INVALID: INVALID,
    Refusal.UNAVAILABLE: UNAVAILABLE,
    Refusal.INTERNAL: COMMAND_FAILED,
}

_log = logging.getLogger(__name__)


class Questions:
    """Commands on their way, and those who wait for their answers.

    Parameters
    ----------
    views
        What is known of the services, among others.
    open_source
        Opens the answers' topics at their end.
    clock
        int ns UTC.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        views: GatewayViews,
        writer: Writer,
        open_source: OpenSource,
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._views = views
        self._writer = writer
        self._open_source = open_source
        self._clock = clock
        self._count = count(1)
        self._waiting: dict[str, asyncio.Future[Event]] = {}
        self.listening = False  # whether answers are heard
        self.left_out = Counter(dict.fromkeys(ANSWER_TOPICS, 0))  # answers that only another version knows
        self.held_up: dict[Topic, Mapping[int, str]] = {}  # partitions of answers that stand
        self.seconds: dict[tuple[str, str], Histogram] = {}  # by command and outcome

    @property
    def waiting(self) -> int:
        """How many commands have no answer yet."""
        return len(self._waiting)

    @property
    def unheard(self) -> list[str]:
        """What to say of answers that are not heard."""
        said = [self._unheard(topic, number) for topic, found in self.held_up.items() for number in found]
        return [each for each in said if each is not None]

    def new_id(self, route: str, repeatable: str | None) -> UUID:
        """Return a command's id: the same for the same `repeatable`, without one a new id each time."""
        asked = f"key {repeatable}"
        if repeatable is None:
            asked = f"request {self._clock()} {id(self)} {next(self._count)}"
        return uuid5(NAMESPACE_URL, f"{route} {asked}")

    async def ask(
        self, topic: Topic, key: bytes, command: Command, correlation_id: str, timeout_s: float | None = None
    ) -> Event:
        """Send a command and return its answer.

        Raises
        ------
        ProblemError
            404, 422 or 503 if the service refuses it, 503 while the gateway cannot ask or who would do it is
            not there, 504 if no answer comes in `timeout_s` (default: the settings' `command_timeout_s`).
        """
        if not self.listening:
            raise not_ready("The gateway does not hear the services yet.")
        self._require_doers(topic, key, command)
        if command.command_id in self._waiting:
            detail = "The same request is being answered; repeat it when it has been."
            raise ProblemError(TOO_MANY, detail, retry_after_s=RETRY_S)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[command.command_id] = answer
        began = self._clock()
        patience_s = self._settings.command_timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(patience_s):
                await self._send(topic, key, command, correlation_id)
                event: Event = await answer
        except TimeoutError as error:
            self._tell("timeout", command, correlation_id, began)
            detail = f"No answer to {type(command).__name__} on {topic.name} came within {patience_s:g} s."
            raise ProblemError(NO_ANSWER, detail, command_id=command.command_id) from error
        finally:
            del self._waiting[command.command_id]
        if isinstance(event, CommandRejected):
            self._tell("refused", command, correlation_id, began)
            raise _refused(event)
        self._tell("answered", command, correlation_id, began)
        return event

    async def listen(self, on_undecodable: OnUndecodable) -> Never:
        """Hear the services' answers, for ever."""
        async with self._open_source(ANSWER_TOPICS, "end") as source:
            self.listening = True
            try:
                while True:
                    for record in await source.poll():
                        if isinstance(record, Undecodable):
                            self.left_out[record.topic] += record.unknown
                            if not record.unknown:
                                await on_undecodable(record)
                        elif record.event is not None:
                            self._hear(record.event)
                    self.held_up = {topic: source.held_up(topic) for topic in ANSWER_TOPICS}
            finally:
                self.listening = False

    def _require_doers(self, topic: Topic, key: bytes, command: Command) -> None:
        """Refuse a command whose service, or one that it needs, does not do its work now."""
        self._views.require_ready()
        fleet = self._views.fleet
        partition = partition_of(key, self._settings.topic_partitions)
        lacks = [fleet.lack_of(DOER[topic], partition), self._unheard(ANSWERS[topic], partition)]
        if isinstance(command, PlanAndExecute):
            scope = partition_of(command.scope.encode(), self._settings.topic_partitions)
            symbol = partition_of(command.symbol.encode(), self._settings.topic_partitions)
            lacks += [fleet.lack_of("router", scope), fleet.lack_of("venues", symbol)]
            if not self._views.risks.items:
                lacks.append(fleet.lack_of("portfolio") or "portfolio has not told the risk budget yet")
        missing = "; ".join(filter(None, lacks))
        if missing:
            raise not_ready(f"Not sent: {missing}.")

    def _unheard(self, answers: Topic, partition: int) -> str | None:
        """Say why an answer would not be heard, if its partition stands."""
        said = self.held_up.get(answers, {}).get(partition)
        return None if said is None else f"answers on {answers.name}-{partition} are {said}"

    def _tell(self, outcome: str, command: Command, correlation_id: str, began: int) -> None:
        kind, seconds = type(command).__name__, (self._clock() - began) / NS_PER_S
        self.seconds.setdefault((kind, outcome), Histogram(SECONDS)).observe(seconds)
        facts = {"command": kind, "command_id": command.command_id, "seconds": seconds}
        with log.correlated(correlation_id):
            _log.info(f"command_{outcome}", extra=facts)

    async def _send(self, topic: Topic, key: bytes, command: Command, correlation_id: str) -> None:
        now = self._clock()
        kind = type(command).__name__
        attributes = CloudEvent(
            UUID(command.command_id), kind, SOURCE, now, correlation_id, causation_id=None
        )
        await self._writer.send_and_wait(topic, key, command, now, attributes.headers())

    def _hear(self, event: Event) -> None:
        waiting = self._waiting.get(getattr(event, "command_id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(event)


def _refused(answer: CommandRejected) -> ProblemError:
    faults = tuple(FieldError(fault.field, fault.message) for fault in answer.faults)
    retry_after_s = RETRY_S if answer.refusal is Refusal.UNAVAILABLE else None
    return ProblemError(_PROBLEMS[answer.refusal], answer.detail, errors=faults, retry_after_s=retry_after_s)
