"""Which causes of alerts stand now, and have for their hold time; for who asks, not for who is told; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.gateway.alerts.cause import Cause, Moment


class Standing(NamedTuple):
    """A cause, and when it began."""

    cause: Cause
    since: int  # ns UTC
    begun: int  # monotonic, ns


class Watched:
    """What stood at the last look; changes in place."""

    def __init__(self) -> None:
        self._standing: dict[str, Standing] = {}
        self._seen = 0  # monotonic, ns

    def look(self, causes: Iterable[Cause], now: Moment) -> None:
        """Take what stands now; what does not is gone."""
        before, self._standing, self._seen = self._standing, {}, now.monotonic_ns
        for cause in causes:
            known = before.get(cause.key)
            if known is not None:
                self._standing[cause.key] = known._replace(cause=cause)
                continue
            since = now.ts if cause.since is None else min(cause.since, now.ts)
            self._standing[cause.key] = Standing(cause, since, now.monotonic_ns - (now.ts - since))

    def due(self) -> list[Standing]:
        """Return what has stood long enough to be told, the newest first."""
        found = [each for each in self._standing.values() if self._seen - each.begun >= each.cause.hold]
        return sorted(found, key=lambda each: (-each.since, each.cause.key))
