"""Ask a service: send a command, and return the event that answers it.

A shell: it waits on the loop's clock. All gateways read all answers, each from the moment it started; an
answer is known by the `command_id` it repeats.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from libs.common import log, topics
from libs.common.cloudevents import CloudEvent
from libs.common.events import CommandRejected, PlanAndExecute, Refusal
from libs.common.kafka import Undecodable, partition_of
from libs.common.kafka_reader import SURVEY_S
from libs.common.metrics import Histogram
from libs.common.monitoring import SECONDS
from libs.common.time_units import NS_PER_S
from services.gateway.http import problems
from services.gateway.http.places import Places
from services.gateway.http.problems import NO_ANSWER, TOO_MANY, FieldError, ProblemError, not_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from typing import Never

    from libs.common.cloudevents import Headers
    from libs.common.events import Command as ServiceCommand
    from libs.common.events import Event
    from libs.common.kafka_reader import OnUndecodable
    from libs.common.topics import Topic
    from services.gateway.reading.sources import OpenSource
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

SOURCE: Final = "/services/gateway"
ASKED: Final[Mapping[Topic, tuple[str, Topic]]] = {  # who does what is commanded there, and answers where
    topics.ROUTER_COMMANDS: ("router", topics.ROUTER_CHOICES),
    topics.VENUES_COMMANDS: ("venues", topics.VENUES_SCORES),
    topics.PORTFOLIO_COMMANDS: ("portfolio", topics.PORTFOLIO_ALLOCATIONS),
    topics.EXECUTION_COMMANDS: ("execution", topics.EXECUTION_PLANS),
}
ANSWER_TOPICS: Final = tuple(answers for _, answers in ASKED.values())
RETRY_S: Final = 1  # when what a command needs may be there
_PROBLEMS: Final = {
    Refusal.UNKNOWN: problems.UNKNOWN_NAME,
    Refusal.INVALID: problems.INVALID,
    Refusal.UNAVAILABLE: problems.UNAVAILABLE,
    Refusal.INTERNAL: problems.COMMAND_FAILED,
}

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """What sends a message and waits until Kafka has it."""

    async def send_and_wait(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> object:
        """Send `event`, or a tombstone, with Kafka timestamp `ts` (ns UTC)."""


class Command(NamedTuple):
    """Who asks: the same request under the same Idempotency-Key has the same id, another one has another."""

    id: UUID
    correlation_id: str
    address: str  # that it counts for


def headers_of(command_id: UUID, kind: str, now: int, correlation_id: str) -> Headers:
    """Return the CloudEvents headers of the message that carries a command."""
    return CloudEvent(command_id, kind, SOURCE, now, correlation_id, causation_id=None).headers()


class Changes:
    """Wakes those who wait for something to become true of the views."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def announce(self) -> None:
        """Let everyone look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Return as soon as `is_true` after a change."""
        while not is_true():
            await self._changed.wait()


@asynccontextmanager
async def in_time(seconds: float, command_id: str, late: str) -> AsyncIterator[None]:
    """Give up what is not done within so many seconds: 504, and `late` says what did not happen."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ProblemError(NO_ANSWER, f"{late} within {seconds:g} s.", command_id=command_id) from error


@dataclass(eq=False)
class Commands:
    """Commands on their way, and those who wait for their answers."""

    settings: GatewaySettings
    views: GatewayViews  # of what is known of the services, among others
    writer: Writer
    open_source: OpenSource  # opens the answers' topics at their end
    clock: Callable[[], int]  # int ns UTC
    unique: Iterator[str]  # texts that no other process has, none of them twice
    places: Places = field(init=False)
    waiters: Places = field(init=False)
    listening: bool = field(default=False, init=False)  # whether answers are heard
    left_out: Counter[Topic] = field(init=False)  # answers that only another version knows
    held_up: dict[Topic, Mapping[int, str]] = field(default_factory=dict, init=False)  # partitions that stand
    seconds: dict[tuple[str, str], Histogram] = field(default_factory=dict, init=False)  # by command, outcome
    _waiting: dict[str, asyncio.Future[Event]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.places = Places.of(settings, "max_commands", "commands", "commands wait for their answers")
        self.waiters = Places.of(
            settings, "max_waiters", "waiters", "requests wait for the end of an execution"
        )
        self.left_out = Counter(dict.fromkeys(ANSWER_TOPICS, 0))

    @property
    def waiting(self) -> int:
        """How many commands have no answer yet."""
        return len(self._waiting)

    @property
    def unheard(self) -> list[str]:
        """What to say of answers that are not heard."""
        said = (self._unheard(topic, number) for topic, found in self.held_up.items() for number in found)
        return list(filter(None, said))

    def new_id(self, route: str, repeatable: str | None) -> UUID:
        """Return a command's id: the same for the same `repeatable`, without one a new id each time."""
        asked = f"request {next(self.unique)}" if repeatable is None else f"key {repeatable}"
        return uuid5(NAMESPACE_URL, f"{route} {asked}")

    async def ask(
        self,
        topic: Topic,
        key: bytes,
        command: ServiceCommand,
        correlation_id: str,
        timeout_s: float | None = None,
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
        kind, command_id = type(command).__name__, command.command_id
        if command_id in self._waiting:
            detail = "The same request is being answered; repeat it when it has been."
            raise ProblemError(TOO_MANY, detail, retry_after_s=RETRY_S)
        answer = self._waiting[command_id] = asyncio.get_running_loop().create_future()
        began = self.clock()
        headers = headers_of(UUID(command_id), kind, began, correlation_id)
        seconds = self.settings.command_timeout_s if timeout_s is None else timeout_s
        try:
            async with in_time(seconds, command_id, f"No answer to {kind} on {topic.name} came"):
                await self.writer.send_and_wait(topic, key, command, began, headers)
                event: Event = await answer
        except ProblemError as problem:
            if problem.problem is NO_ANSWER:
                self._tell("timeout", command, correlation_id, began)
            raise
        finally:
            del self._waiting[command_id]
        if isinstance(event, CommandRejected):
            self._tell("refused", command, correlation_id, began)
            raise _refused(event)
        self._tell("answered", command, correlation_id, began)
        return event

    async def listen(self, on_undecodable: OnUndecodable) -> Never:
        """Hear the services' answers, for ever."""
        clock, surveyed_s = asyncio.get_running_loop().time, float("-inf")
        async with self.open_source(ANSWER_TOPICS, "end") as source:
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
                    if clock() - surveyed_s >= SURVEY_S:
                        self.held_up = {topic: source.held_up(topic) for topic in ANSWER_TOPICS}
                        surveyed_s = clock()
            finally:
                self.listening = False

    def _require_doers(self, topic: Topic, key: bytes, command: ServiceCommand) -> None:
        """Refuse a command whose service, or one that it needs, does not do its work now."""
        self.views.require_ready()
        fleet, partitions = self.views.fleet, self.settings.topic_partitions
        (doer, answers), partition = ASKED[topic], partition_of(key, partitions)
        lacks = [fleet.lack_of(doer, partition), self._unheard(answers, partition)]
        if isinstance(command, PlanAndExecute):
            for service, its_key in (("router", command.scope), ("venues", command.symbol)):
                lacks.append(fleet.lack_of(service, partition_of(its_key.encode(), partitions)))
            if not self.views.risks.items:
                lacks.append(fleet.lack_of("portfolio") or "portfolio has not told the risk budget yet")
        if missing := "; ".join(filter(None, lacks)):
            raise not_ready(f"Not sent: {missing}.")

    def _unheard(self, answers: Topic, partition: int) -> str | None:
        """Say why an answer would not be heard, if its partition stands."""
        said = self.held_up.get(answers, {}).get(partition)
        return None if said is None else f"answers on {answers.name}-{partition} are {said}"

    def _tell(self, outcome: str, command: ServiceCommand, correlation_id: str, began: int) -> None:
        kind, seconds = type(command).__name__, (self.clock() - began) / NS_PER_S
        self.seconds.setdefault((kind, outcome), Histogram(SECONDS)).observe(seconds)
        facts = {"command": kind, "command_id": command.command_id, "seconds": seconds}
        with log.correlated(correlation_id):
            _log.info(f"command_{outcome}", extra=facts)

    def _hear(self, event: Event) -> None:
        waiting = self._waiting.get(getattr(event, "command_id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(event)


def _refused(answer: CommandRejected) -> ProblemError:
    faults = tuple(FieldError(fault.field, fault.message) for fault in answer.faults)
    retry_after_s = RETRY_S if answer.refusal is Refusal.UNAVAILABLE else None
    return ProblemError(_PROBLEMS[answer.refusal], answer.detail, errors=faults, retry_after_s=retry_after_s)
