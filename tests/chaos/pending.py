"""`Pending`: a fault from its injection until its books are LIVE again, or until patience ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from tests.chaos.schedule import (
    BLOCKED,
    BOOKLESS_KINDS,
    CLOCK_SET,
    DAILY_CUT,
    FAULT_KINDS,
    L2_KILLED,
    MAINTENANCE,
    ONE_SIDED,
    PROCESS_KINDS,
    SLOW_LINE,
)

if TYPE_CHECKING:
    from tests.chaos.follower import Health
    from tests.chaos.schedule import Action, Book

NOTICE_NS: Final = int(
    1.5 * NS_PER_S
)  # how long a fault may stay unnoticed: longer than the next message takes
UNMET_NS: Final = 5 * NS_PER_S  # a fault that met no message or request in so long is given up
PATIENCE_NS: Final = 60 * NS_PER_S
WITHIN_KINDS: Final = frozenset({DAILY_CUT, SLOW_LINE})  # a book is hit, and heals, before they end
UNUSUAL: Final = frozenset(
    {"GAP", "STALE", "CHECKSUM_FAILED", "DISCONNECTED", "BLOCKED", "HALTED", "ONE_SIDED", "REFUSED"}
)
OWN_STATES: Final = {BLOCKED: "BLOCKED", MAINTENANCE: "HALTED", ONE_SIDED: "ONE_SIDED"}
"""By which a book that left LIVE must have told the condition."""


@dataclass(slots=True)
class Pending:
    """One fault; `look` settles its books one by one.

    Attributes
    ----------
    over_ts
        When the fault itself had ended, ns UTC; from then on the system has to heal.
    must_leave
        Books that cannot have stayed LIVE: their owner was killed or its clock set, they have no sides, or
        their venue matches nothing.
    is_stirred
        Whether all books were in motion meanwhile, so that a state may have been passed over.
    readyz
        All that ``/readyz`` said meanwhile.
    """

    action: Action
    began_ts: int
    books: tuple[Book, ...]
    must_leave: frozenset[Book] = frozenset()
    over_ts: int | None = None
    injected: int = 0
    detected: set[str] = field(default_factory=set)
    healed_s: list[float] = field(default_factory=list)  # per book that had left LIVE
    unharmed: int = 0  # books that stayed LIVE
    failed: list[str] = field(default_factory=list)
    is_stirred: bool = False
    readyz: set[str] = field(default_factory=set)
    _open: set[Book] = field(default_factory=set)
    _live_again: dict[Book, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open = set(self.books)

    @property
    def is_settled(self) -> bool:
        """Whether every book is LIVE again or given up."""
        return not self._open

    @property
    def is_met(self) -> bool:
        """Whether the fault hit anything."""
        return self.injected > 0

    def concerns(self, books: tuple[Book, ...]) -> bool:
        """Whether one of these books is still waited for."""
        return not self._open.isdisjoint(books)

    def heed(self, injected: int, *, is_over: bool, now: int) -> None:
        """Take what the simulator says of the fault."""
        self.injected = max(self.injected, injected)
        if self.over_ts is not None:
            return
        once = self.action.requests[0].get("once") and "durationS" not in self.action.requests[0]
        if is_over:
            self.over_ts = self.began_ts if once else now
        elif not self.injected and now - self.began_ts > UNMET_NS + self._armed_ns:
            self.over_ts = now

    def disarmed(self, now: int) -> None:
        """Take it that the simulator knows the fault no more."""
        if self.action.kind in FAULT_KINDS and self.over_ts is None:
            self.over_ts = now

    def look(self, book: Book, health: Health, now: int) -> None:
        """Settle a book if it is LIVE again for good, or if it took too long."""
        if book not in self._open or self.over_ts is None or self.action.kind in BOOKLESS_KINDS:
            return
        has_left = health.since_ts > self.began_ts
        is_live = health.is_live(now) and health.ts >= self.over_ts
        if is_live and (has_left or book not in self.must_leave):
            back = health.since_ts if has_left else health.ts
            self._live_again.setdefault(book, max(back, self.over_ts))
            # A health said after the time for noticing: nothing is still on its way.
            if health.ts >= self.over_ts + self._settle_ns:
                self._settle(book, health, has_left=has_left)
                return
        if now > self.over_ts + PATIENCE_NS:
            self._open.discard(book)
            self.failed.append(
                f"{':'.join(book)} is {health.state} ({health.reason}) "
                f"{(now - self.over_ts) / NS_PER_S:.0f} s after {self.action.kind}"
            )

    def settle_at_once(self, now: int) -> None:
        """Note that all is well again, whatever the books' healths say."""
        self.healed_s.append((now - (self.over_ts or self.began_ts)) / NS_PER_S)
        self._open.clear()

    def give_up(self, what: str) -> None:
        """Note that it did not heal."""
        self.failed.append(what)
        self._open.clear()

    @property
    def _armed_ns(self) -> int:
        lasts = self.action.requests[0].get("durationS", 0.0)
        return int(float(str(lasts)) * NS_PER_S)

    @property
    def _settle_ns(self) -> int:
        """How long after the fault a book must be looked at: a worker that returns moves books once more."""
        return NOTICE_NS + (int(self.action.away_s * NS_PER_S) if self.action.kind == L2_KILLED else 0)

    def _settle(self, book: Book, health: Health, *, has_left: bool) -> None:
        assert self.over_ts is not None
        self._open.discard(book)
        states = health.states_since(self.began_ts)
        self.detected |= states & UNUSUAL
        own = OWN_STATES.get(self.action.kind)
        if own is not None and has_left and self.is_met and own not in states and not self.is_stirred:
            went = ", ".join(sorted(states))
            self.failed.append(f"{':'.join(book)} never said {own} of {self.action.kind}, but {went}")
        if self.action.kind in (*PROCESS_KINDS, CLOCK_SET) and (has_left or not self.must_leave):
            self.healed_s.append((self._live_again[book] - self.over_ts) / NS_PER_S)
        elif has_left and self.action.kind in WITHIN_KINDS:
            self.healed_s.append(health.longest_absence(self.began_ts) / NS_PER_S)
        elif has_left:
            self.healed_s.append(max(0, health.since_ts - self.over_ts) / NS_PER_S)
        else:
            self.unharmed += 1
