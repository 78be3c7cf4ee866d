"""The processes of all services, as they tell of themselves, and which partitions nobody works on; pure.

A heartbeat is believed for five seconds after it was heard, by the monotonic clock of the hearer: neither a
clock that steps nor one that differs between machines makes a dead process live, or a living one dead. What
was heard before Kafka went away does not tell who has found it again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.events import STATUS_SILENCE_NS, ServiceState, ServiceStatus
from libs.common.time_units import NS_PER_S
from libs.common.topics import SERVICES_STATUS
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DECIDING: Final = ("router", "venues", "portfolio", "execution")
SERVICES: Final = ("l2", *DECIDING)
"""Those whose partitions must all be worked on for every route to do its work."""
OPTIONAL: Final[Mapping[str, str]] = {
    "policies": "hosted policies give no signals, and no new one from outside is registered",
    "context": "contexts lack what books do not say",
}
"""Those without which every route does its work, and what does not happen without them."""
FORGET_NS: Final = 600 * NS_PER_S  # a silent process that nobody misses is listed no longer than this


class Heard(NamedTuple):
    """A process, and how long ago it was heard."""

    status: ServiceStatus
    age_ns: int
    doubted: bool  # for it was heard before Kafka went away

    @property
    def silent(self) -> bool:
        """Whether it can no longer be believed."""
        return self.doubted or self.age_ns > STATUS_SILENCE_NS


class Fleet(View[ServiceStatus]):
    """The newest heartbeat of each process, by a stopwatch that is monotonic, in ns."""

    def __init__(self, partitions: int, stopwatch: Callable[[], int]) -> None:
        super().__init__(SERVICES_STATUS)
        self._partitions = frozenset(range(partitions))
        self._stopwatch = stopwatch
        self._heard: dict[bytes, int] = {}
        self._doubted_at = -1  # what was heard until then is not believed

    def doubt(self) -> None:
        """Believe no process before it is heard again."""
        self._doubted_at = self._stopwatch()

    def fold(self, partition: int, offset: int, key: bytes, event: ServiceStatus | None) -> None:
        """Apply one record; see `View.fold`."""
        living = self.ready  # what is read of the past is not heard: who lives is heard again within a second
        super().fold(partition, offset, key, event)
        if event is None:
            self._heard.pop(key, None)
        elif living:
            self._heard[key] = self._stopwatch()

    def processes(self, service: str | None = None) -> Iterator[Heard]:
        """Yield the processes of a service, or all, in order."""
        now = self._stopwatch()
        for key, status in sorted(self._items.items()):
            if service in (None, status.service) and key in self._heard:
                yield self._of(key, status, now)

    def unowned(self, service: str) -> frozenset[int]:
        """Return the partitions of a service that no process works on now."""
        owned = {
            number
            for each in self.processes(service)
            if not each.silent
            for number in each.status.partitions_owned
        }
        return self._partitions - owned

    def lack_of(self, service: str, partition: int | None = None) -> str | None:
        """Say what of a service, or of its work on one partition, is missing; None where nothing is."""
        if partition is not None and self._is_owned(service, partition):  # looked at with every command
            return None
        unowned = self.unowned(service)
        if partition is None and not unowned:
            return self._refuses(service)
        if not unowned or (partition is not None and partition not in unowned):
            return None
        return f"{service} {self._why(service, unowned if partition is None else frozenset({partition}))}"

    def absences(self) -> list[str]:
        """Say of each optional service of which no process is heard what does not happen without it."""
        said = []
        for service, without in OPTIONAL.items():
            if all(each.silent for each in self.processes(service)):
                said.append(f"{service} {self._silence(service)}: {without}")
        return said

    def shown(self) -> list[Heard]:
        """Return the processes to be listed: all but those long silent whose work others do."""
        missed = {service: self.unowned(service) for service in SERVICES}
        return [
            each for each in self.processes() if each.age_ns < FORGET_NS or missed.get(each.status.service)
        ]

    def _of(self, key: bytes, status: ServiceStatus, now: int) -> Heard:
        heard = self._heard[key]
        return Heard(status, now - heard, doubted=heard <= self._doubted_at)

    def _is_owned(self, service: str, partition: int) -> bool:
        """Tell whether a process of the service works on the partition now."""
        now = self._stopwatch()
        return any(
            status.service == service
            and partition in status.partitions_owned
            and key in self._heard
            and not self._of(key, status, now).silent
            for key, status in self._items.items()
        )

    def _refuses(self, service: str) -> str | None:
        """Say why a process that works on all of its partitions would refuse what it is asked."""
        for each in self.processes(service):
            if each.status.state is ServiceState.DEGRADED and not each.silent:
                return f"{service} would refuse: {each.status.detail}"
        return None

    def _why(self, service: str, unowned: frozenset[int]) -> str:
        processes = list(self.processes(service))
        living = [each.status for each in processes if not each.silent]
        stopped = [status for status in living if unowned & set(status.partitions_stopped)]
        if stopped:
            status = stopped[0]
            numbers = _partitions(unowned & set(status.partitions_stopped))
            return f"has stopped {numbers} since {_time(status.since_ts)}: {status.detail}"
        starting = [status for status in living if status.state is ServiceState.STARTING]
        if starting:
            return f"is starting since {_time(starting[0].since_ts)}: {starting[0].detail}"
        if living:
            return f"leaves {_partitions(unowned)} to nobody"
        return self._silence(service)

    def _silence(self, service: str) -> str:
        """Say since when no process of a service is heard."""
        if processes := list(self.processes(service)):
            last = min(processes, key=lambda each: each.age_ns)
            if last.doubted:
                return f"has not been heard since Kafka is back; before, at {_time(last.status.ts)}"
            return f"is silent for {last.age_ns / NS_PER_S:.0f} s, since {_time(last.status.ts)}"
        return "has not been heard"


def _partitions(numbers: frozenset[int]) -> str:
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(map(str, sorted(numbers)))}"


def _time(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // NS_PER_S, UTC):%H:%M:%S} UTC"
