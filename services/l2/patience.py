"""How long a book waits before it asks its venue again: longer with each failure."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from libs.common.time_units import NS_PER_S
from services.l2.policy import NEVER

SETTLED_NS: Final = 5 * NS_PER_S  # LIVE for so long, a book's earlier failures are forgotten
ATTEMPTS_AFTER_LIVE: Final = 2  # LIVE at all, most of them are; the venue's budgets stop a storm
SHORT_LIFE_NS: Final = 15 * NS_PER_S  # a book that was LIVE for less is in trouble
SHORT_LIVES: Final = 3  # so many are forgiven, then pauses grow
REFUSED_ATTEMPTS: Final = 7  # as after so many failures: a venue hardly changes its mind at once
REFUSALS: Final = 2  # in a row; who says no twice means it


class Patience:
    """The failures of one book in a row; changed in place.

    Parameters
    ----------
    key
        Spreads the pauses, so that books do not retry in step.
    shortest_ns, longest_ns
        Pause after the first failure, and the longest after any.
    """

    def __init__(self, key: str, shortest_ns: int, longest_ns: int) -> None:
        self._key = key
        self._shortest_ns, self._longest_ns = shortest_ns, longest_ns
        self._attempts = 0
        self._refusals = 0
        self._short_lives = 0
        self._live_since: int | None = None

    @property
    def refused_for_good(self) -> bool:
        """Whether the venue has said no as often as it takes to believe it."""
        return self._refusals >= REFUSALS

    def on_refusal(self) -> None:
        """Note that the venue said no."""
        self._refusals += 1
        self._attempts = max(self._attempts, REFUSED_ATTEMPTS)

    def on_live(self, now: int) -> None:
        """Note that the book is LIVE."""
        self._attempts = min(self._attempts, ATTEMPTS_AFTER_LIVE)
        self._refusals, self._live_since = 0, now

    def on_tick(self, now: int) -> None:
        """Forget the failures of a book that has stayed LIVE."""
        if self._live_since is not None and now - self._live_since > SETTLED_NS:
            self._attempts = 0

    @property
    def settles_at(self) -> int:
        """When `on_tick` has something to forget (ns)."""
        if self._live_since is None or not self._attempts:
            return NEVER
        return self._live_since + SETTLED_NS + 1

    def on_loss(self, now: int) -> None:
        """Note that the book is not LIVE any more, if it was."""
        if self._live_since is not None:
            short = now - self._live_since < SHORT_LIFE_NS
            self._short_lives, self._live_since = self._short_lives + 1 if short else 0, None

    def on_clock_set(self) -> None:
        """Forget how long the book is LIVE, which is no fault of its own; its failures stay."""
        self._live_since = None

    def pause(self, now: int) -> int:
        """Return the next pause in ns: exponential, spread by +-25 %."""
        self._attempts += 1
        failures = max(self._attempts, self._short_lives - SHORT_LIVES)
        pause = min(self._longest_ns, self._shortest_ns << min(failures - 1, 20))
        spread = crc32(f"{self._key}:{self._attempts}:{now}".encode()) / 0xFFFFFFFF
        return int(pause * (0.75 + spread / 2))
