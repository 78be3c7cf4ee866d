"""What a source of a market is to a run: it publishes on the bus what l2 would have, and says what it is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backtest.bus import Bus


class Fidelity(StrEnum):
    """How near a source is to what happened, the nearest first."""

    FRAMES = "frames"
    TOPICS = "topics"
    BOOKS = "books"
    SIMULATOR = "simulator"
    BARS = "bars"


IN_WORDS: Final[Mapping[str, str]] = {
    Fidelity.FRAMES: "recorded raw frames, through l2's own feeds",
    Fidelity.TOPICS: "what a running system had on Kafka",
    Fidelity.BOOKS: "normalised snapshots, deltas and trades",
    Fidelity.SIMULATOR: "the seeded market, through its venues' protocols and l2's own feeds",
    Fidelity.BARS: "candles, with synthetic books",
}


HISTORY_DAYS: Final = 130  # of daily candles before a beginning, as far back as any policy looks


class Provenance(NamedTuple):
    """What a report's head says of where its market is from."""

    fidelity: Fidelity
    synthetic: bool  # whether what was traded on is made up, in whole or in part
    books: tuple[tuple[str, str], ...]  # venue and symbol
    begin_ts: int  # ns UTC
    end_ts: int  # ns UTC
    notes: tuple[str, ...]  # in sentences: what is made up or measured, with its error; who is missing


class Source(Protocol):
    """A market of a stretch of time."""

    @property
    def provenance(self) -> Provenance:
        """What it is."""

    def start(self, bus: Bus) -> None:
        """Publish what was known before the beginning, and schedule with `Bus.at` what comes.

        What was known before is given with `Bus.show`, so that everybody has it from the first instant on.
        What happens is scheduled with rank `SOURCE`, one step ahead of the other: nothing is read of the
        future, and memory does not grow with the length. A source that has no word of its books for longer
        than a feed has (a top where something changed, a health each second) asks to be asked:
        ``bus.before_looking(self.freshen)``.
        """

    def freshen(self, ts: int, partition: int | None, old_ns: int) -> None:
        """Show, with `Bus.show`, what the books of a partition were at `ts` (ns UTC), with their healths.

        As l2 does, a top where the book is another than at the last look, and a health where the last is
        old: each costs every service that reads it.
        Called before somebody looks at them, with a moment a hop ago that never goes back. Sources that tell
        their books all the time never ask for it.

        Parameters
        ----------
        partition
            Of which symbols (`Bus.place` of the key); None: of all.
        old_ns
            From which age on a health is to be told again; a source may tell it sooner.
        """
