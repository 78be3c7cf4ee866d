"""What of the standing causes is told, and when: once each, once more when over, one a minute; pure.

Per key:

- A cause that stands for its hold time is told. Where it goes sooner, nothing is said.
- Once told, it is told again only if it has happened again, or is graver (`occurrences`).
- When it is gone, its recovery is told at once, with how long it lasted.
- Between two messages of a kind (firing, resolved) lies a minute. What comes sooner waits; what goes while it
  waits is counted, and the next message says how many. A cause that is back before its recovery was told
  counts as if it had never gone.

State is of this process: after a restart what stands is told once again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from services.gateway.alerts.cause import Cause, Moment

APART_NS: Final = 60 * NS_PER_S  # between two messages of one key and state
MOST_KEYS: Final = 4_096  # remembered; then those that are gone longest are forgotten


class Alert(NamedTuple):
    """Something to tell."""

    cause: Cause
    state: Literal["firing", "resolved"]
    since: int  # ns UTC
    ts: int  # ns UTC: when it was found due, or gone
    suppressed: int = 0  # of its key since the last message, not told
    lasted_ns: int | None = None  # None while it stands


@dataclass(slots=True)
class _Track:
    """What is known of a key; `told` is 0 while no message stands that says it fires."""

    cause: Cause
    since: int  # ns UTC
    begun: int  # monotonic, as are all that follow
    seen: int
    gone: int | None = None
    ended: int = 0  # ns UTC
    told: int = 0  # occurrences
    fired: int | None = None
    resolved: int | None = None
    suppressed: int = 0


class Ledger:
    """What was told of each key; changes in place.

    Attributes
    ----------
    suppressed
        Messages not told since the start, as a minute had not passed.
    """

    def __init__(self) -> None:
        self.suppressed = 0
        self._tracks: dict[str, _Track] = {}

    def judge(self, causes: Iterable[Cause], now: Moment) -> list[Alert]:
        """Return what is to be told now that these, and no others, stand."""
        standing = {cause.key: cause for cause in causes}
        alerts: list[Alert] = []
        for cause in standing.values():
            alerts += self._stands(cause, now)
        for key, track in self._tracks.items():
            if key not in standing:
                alerts += self._is_gone(track, now)
        self._forget(now.monotonic_ns)
        return alerts

    def _stands(self, cause: Cause, now: Moment) -> Iterator[Alert]:
        track = self._track(cause, now)
        track.cause, track.seen = cause, now.monotonic_ns
        track.told = min(track.told, cause.occurrences)
        if track.told == cause.occurrences or not _is_due(track) or _is_soon(track.fired, now):
            return
        self._count(track, cause.occurrences - track.told - 1)
        track.told, track.fired = cause.occurrences, now.monotonic_ns
        yield Alert(cause, "firing", track.since, now.ts, _taken(track))

    def _is_gone(self, track: _Track, now: Moment) -> Iterator[Alert]:
        if track.gone is None:
            track.gone, track.ended = now.monotonic_ns, now.ts
            if _is_due(track):
                self._count(track, track.cause.occurrences - track.told)
        if track.told and not _is_soon(track.resolved, now):
            track.told, track.resolved = 0, now.monotonic_ns
            lasted_ns = track.gone - track.begun
            yield Alert(track.cause, "resolved", track.since, track.ended, _taken(track), lasted_ns)

    def _track(self, cause: Cause, now: Moment) -> _Track:
        """Return the track of a cause that stands, begun anew if nothing of it was left to tell."""
        since = now.ts if cause.since is None else min(cause.since, now.ts)
        begun = now.monotonic_ns - (now.ts - since)
        track = self._tracks.get(cause.key)
        if track is None:
            track = self._tracks[cause.key] = _Track(cause, since, begun, now.monotonic_ns)
        elif track.gone is not None and track.told:
            track.gone = None
            self._count(track, 1)
        elif track.gone is not None:
            track.since, track.begun, track.gone = since, begun, None
        return track

    def _count(self, track: _Track, messages: int) -> None:
        track.suppressed += messages
        self.suppressed += messages

    def _forget(self, monotonic_ns: int) -> None:
        """Drop what is gone and has nothing left to tell; at `MOST_KEYS` also what would count."""
        past = monotonic_ns - APART_NS
        gone = [key for key, track in self._tracks.items() if track.gone is not None and not track.told]
        for key in gone:
            track = self._tracks[key]
            last = max(track.fired or 0, track.resolved or 0, track.gone or 0)
            if (not track.suppressed and last <= past) or len(self._tracks) > MOST_KEYS:
                del self._tracks[key]


def _is_due(track: _Track) -> bool:
    return track.seen - track.begun >= track.cause.hold


def _is_soon(last: int | None, now: Moment) -> bool:
    return last is not None and now.monotonic_ns - last < APART_NS


def _taken(track: _Track) -> int:
    suppressed, track.suppressed = track.suppressed, 0
    return suppressed
