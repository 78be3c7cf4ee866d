"""`Conditions`: the faults that begin when they are asked for, hold for a while and end by themselves.

They are of a market or of a whole line, not of a message; whoever runs the exchanges asks what holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from simulator.fault_requests import DEFAULT_GRACE_S, FaultKind
from simulator.schedule import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simulator.fault_requests import FaultRequest

_TIMED: Final = frozenset({418, 429})  # that say when to come again


@dataclass(slots=True, eq=False)
class Condition:
    """One of them.

    Attributes
    ----------
    told_end_ns
        When it was to end, though it may be ended before.
    injected
        How often it met something: refused clients, told or cut connections, pairs and lines it changed.
    """

    id: int
    request: FaultRequest
    begins_ns: int
    ends_ns: int
    told_end_ns: int
    injected: int = 0

    def concerns(self, venue: str, symbol: str | None) -> bool:
        """Whether it is about a symbol of a venue, or, asked with None, about the whole venue."""
        request = self.request
        return request.venue == venue and (request.symbol is None or request.symbol == symbol)


@dataclass(frozen=True, slots=True)
class Block:
    """What a client gets that the venue does not serve; without a time if it is for good."""

    status: int
    retry_after_s: int | None


class Conditions:
    """What holds now, and the sums of what was; pure."""

    def __init__(self) -> None:
        self._all: list[Condition] = []
        self._holding: list[Condition] = []
        self.totals: Counter[FaultKind] = Counter()

    def begin(self, number: int, request: FaultRequest, now_ns: int) -> Condition:
        """Let one begin."""
        lasts_s = request.duration_s or request.grace_s or DEFAULT_GRACE_S
        ends_ns = now_ns + int(lasts_s * NS_PER_S)
        condition = Condition(number, request, now_ns, ends_ns, ends_ns)
        self._all.append(condition)
        self._holding.append(condition)
        return condition

    @property
    def due_ns(self) -> int:
        """When the first ends; `NEVER` while none holds."""
        return min((condition.ends_ns for condition in self._holding), default=NEVER)

    def end_due(self, now_ns: int) -> Sequence[Condition]:
        """End what has held long enough, and return it."""
        if not self._holding:
            return ()
        ended = [condition for condition in self._holding if condition.ends_ns <= now_ns]
        if ended:
            self._holding = [condition for condition in self._holding if condition.ends_ns > now_ns]
        return ended

    def end(self, number: int, now_ns: int) -> bool:
        """Forget one, and let the next `end_due` end it; return whether it was known."""
        known = [condition for condition in self._all if condition.id == number]
        for condition in known:
            condition.ends_ns = min(condition.ends_ns, now_ns)
            self._all.remove(condition)
        return bool(known)

    def clear(self) -> Sequence[Condition]:
        """Forget all, and return what held."""
        ended, self._all, self._holding = self._holding, [], []
        return ended

    @property
    def all(self) -> Sequence[Condition]:
        """Every one since the last clearing, ended ones too."""
        return self._all

    def met(self, condition: Condition, times: int = 1) -> None:
        """Count what it did."""
        condition.injected += times
        self.totals[condition.request.kind] += times

    def holding(self, kind: FaultKind, venue: str | None = None) -> Iterator[Condition]:
        """Yield those of a kind that hold, of one venue or of all."""
        for condition in self._holding:
            if condition.request.kind is kind and venue in (None, condition.request.venue):
                yield condition

    def block(self, venue: str, place: str, now_ns: int) -> Block | None:
        """Return what a client meets at a venue's ``socket`` or ``rest``, and count it."""
        for condition in self.holding(FaultKind.BLOCKED, venue):
            if condition.request.at in (None, "both", place) and condition.request.status is not None:
                self.met(condition)
                status = condition.request.status
                left_s = max(1, ceil((condition.ends_ns - now_ns) / NS_PER_S))
                return Block(status, left_s if status in _TIMED else None)
        return None

    def is_resting(self, venue: str, symbol: str) -> bool:
        """Whether nothing happens in a market."""
        return any(
            condition.concerns(venue, symbol) and rests(condition.request) for condition in self._holding
        )

    def bytes_per_s(self, venue: str) -> int | None:
        """Return how fast a venue's lines are now; None is as fast as they can be."""
        return min(
            (
                condition.request.bytes_per_s
                for condition in self.holding(FaultKind.SLOW_LINE, venue)
                if condition.request.bytes_per_s is not None
            ),
            default=None,
        )

    def cut_at_age(self, venue: str, opened_ns: int, last_ns: int, now_ns: int) -> bool:
        """Return whether a connection came to the end of a venue's day since `last_ns`, and count it.

        One that was older when the fault began is cut at the next multiple of the age, as though the venue
        had always counted so.
        """
        for condition in self.holding(FaultKind.DAILY_CUT, venue):
            age_ns = max(1, int((condition.request.age_s or 0.0) * NS_PER_S))
            since_ns = max(last_ns, condition.begins_ns)
            if (now_ns - opened_ns) // age_ns > max(0, since_ns - opened_ns) // age_ns:
                self.met(condition)
                return True
        return False


def rests(request: FaultRequest) -> bool:
    """Return whether a market rests while this holds.

    References
    ----------
    docs.kraken.com, WebSocket v2, status, as of 2026-08: in `maintenance` orders are neither placed nor
    cancelled; in `cancel_only` and `post_only` "no order matching will occur". The few changes that those two
    allow are not simulated. `limit_only` matches on.
    """
    if request.kind is FaultKind.MAINTENANCE:
        return request.system != "limit_only"
    return request.kind is FaultKind.QUIET
