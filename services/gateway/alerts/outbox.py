"""What waits to be posted: the newest alert per key, and when the receiver is tried again; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from services.gateway.alerts.ledger import Alert

MOST_WAITING: Final = 256  # keys; one more, and the oldest recovery goes, else the oldest alert
FIRST_PAUSE_NS: Final = NS_PER_S  # after a first failure; then twice as long each time
LONGEST_PAUSE_NS: Final = 60 * NS_PER_S
MOST_REFUSALS: Final = 5  # of one message, by a receiver that answers and says no


@dataclass(slots=True)
class _Waiting:
    alert: Alert
    refusals: int = 0


class Outbox:
    """Alerts in the order in which they came; changes in place. Times are monotonic, ns.

    Attributes
    ----------
    sent, failed
        Posts that were taken, and that were not; each try counts.
    replaced
        Alerts that a newer one of their key took the place of, which then tells of them.
    dropped
        Alerts given up: refused again and again, or without a place.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.sent = self.failed = self.replaced = self.dropped = 0
        self._most = most
        self._waiting: dict[str, _Waiting] = {}
        self._failures = 0  # in a row
        self._open_at = 0  # before this nothing is tried

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, alert: Alert) -> None:
        """Take an alert, in the place of one of its key that still waits."""
        old = self._waiting.pop(alert.cause.key, None)
        if old is not None:
            self.replaced += 1
            alert = alert._replace(suppressed=alert.suppressed + old.alert.suppressed + 1)
        elif len(self._waiting) >= self._most:
            recoveries = (key for key, each in self._waiting.items() if each.alert.state == "resolved")
            del self._waiting[next(recoveries, None) or next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[alert.cause.key] = _Waiting(alert)

    def wait_ns(self, now: int) -> int | None:
        """Return how long until one is to be posted; None: until one is put in."""
        return max(0, self._open_at - now) if self._waiting else None

    def head(self) -> Alert:
        """Return the one to be posted first."""
        return next(iter(self._waiting.values())).alert

    def taken(self, alert: Alert) -> None:
        """Note that the receiver took it."""
        self.sent += 1
        self._failures, self._open_at = 0, 0
        if (waiting := self._waiting.get(alert.cause.key)) is not None and waiting.alert is alert:
            del self._waiting[alert.cause.key]

    def not_taken(self, alert: Alert, now: int, *, refused: bool, pause_ns: int = 0) -> None:
        """Note that it did not; `refused`: it answered no, `pause_ns`: and said how long to wait."""
        self.failed += 1
        self._failures += 1
        pause = FIRST_PAUSE_NS * 2 ** min(self._failures - 1, 10)
        self._open_at = now + min(max(pause, pause_ns), LONGEST_PAUSE_NS)
        waiting = self._waiting.get(alert.cause.key)
        if waiting is None or waiting.alert is not alert or not refused:
            return
        del self._waiting[alert.cause.key]  # to the end: the others may be taken
        waiting.refusals += 1
        if waiting.refusals < MOST_REFUSALS:
            self._waiting[alert.cause.key] = waiting
        else:
            self.dropped += 1

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0
