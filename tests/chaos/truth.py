"""`Comparer`: the simulator's own books against those rebuilt from Kafka.

While the market runs, a book is asked for at a venue's id and held against the replica when it carried that
id. Coinbase and Kraken give books no id: there the replica must have been exactly this book a moment
before or after, which is asked only of books that no fault concerns. While the market is paused, every book
must become equal to the truth, and so must what the gateway shows.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos.replica import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.chaos.follower import Follower
    from tests.chaos.replica import Moment
    from tests.chaos.schedule import Book
    from tests.chaos.world import World

DEPTH: Final = {
    "kraken": 10,
    "okx": 400,
    "bybit": 50,
}  # levels a side that l2 subscribes to; else the whole book
WINDOWS: Final = {"binance": 5_000}  # levels a side of a snapshot; what is further off is told at its change
INNER: Final = 1_000  # levels a side that are known of a book which is deeper than that
WITHOUT_IDS: Final = frozenset({"coinbase", "kraken"})
IDS_STAND_STILL: Final = frozenset({"bybit"})  # while nobody is subscribed: good within an epoch only
ANSWER_S: Final = 10.0  # for a replica to reach a truth, behind a busy l2
CALM_S: Final = 2.0  # after its last fault, before a book without ids is asked for
GATEWAY_DEPTH: Final = 50
POLL_S: Final = 0.05

Levels = list[list[float]]


@dataclass(frozen=True, slots=True)
class Truth:
    """The exchange's book, as deep as a subscriber knows it."""

    book: Book
    venue_seq: int
    bids: Levels
    asks: Levels
    fingerprint: int
    asked_s: float  # monotonic
    epoch: int  # of the replica at that time
    is_window: bool = False  # of a book deeper than a snapshot: its inner levels


class Comparer:
    """Counts comparisons and keeps what was wrong; a wrong book is written to the folder in full."""

    def __init__(self, world: World, follower: Follower, folder: Path) -> None:
        self.running = Counter[str]()  # comparisons while the market ran, by venue
        self.paused = 0  # comparisons while it was held
        self.gateway = 0  # of which the gateway's page was the third
        self.unanswered = 0  # truths that no replica can be held against: lost to a fault
        self.wrong: list[str] = []
        self._world = world
        self._follower = follower
        self._folder = folder
        self._open: list[Truth] = []

    async def ask(self, book: Book) -> Truth:
        """Return the truth about a book now."""
        said = await self._world.control("GET", "books/" + "/".join(book))
        is_window = max(len(said["bids"]), len(said["asks"])) > WINDOWS.get(book[0], sys.maxsize)
        depth = INNER if is_window else DEPTH.get(book[0])
        bids, asks = said["bids"][:depth], said["asks"][:depth]
        epoch, at_s = self._follower.replica(book).epoch, time.monotonic()
        return Truth(book, said["venueSeq"], bids, asks, fingerprint(bids, asks), at_s, epoch, is_window)

    async def watch(self, books: Sequence[Book], calm_since: Callable[[Book], float]) -> None:
        """Ask for one book after the other, for ever.

        Parameters
        ----------
        calm_since
            Since when no fault concerns a book (monotonic); infinite while one does.
        """
        while True:
            for book in books:
                await asyncio.sleep(POLL_S)
                self._answer(calm_since)
                if book[0] not in WITHOUT_IDS or time.monotonic() - calm_since(book) > CALM_S:
                    truth = await self.ask(book)
                    if not truth.is_window:  # whose past is not kept by its inner levels
                        self._open.append(truth)

    async def compare_all(self, books: Sequence[Book]) -> list[Book]:
        """Compare every book while the market is held; return those that were not LIVE."""
        truths = [await self.ask(book) for book in books]
        deadline = time.monotonic() + ANSWER_S
        while truths and time.monotonic() < deadline:
            truths = [truth for truth in truths if not self._is_equal(truth)]
            await asyncio.sleep(POLL_S)
        not_live = []
        for truth in truths:
            if self._follower.health(truth.book).is_live(self._world.now()):
                self.paused += 1
                self._note(truth, None, f"LIVE, but not the truth {ANSWER_S:g} s after the market was held")
            else:
                not_live.append(truth.book)
        await self._compare_gateway([book for book in books if book not in not_live])
        return not_live

    def _is_equal(self, truth: Truth) -> bool:
        replica = self._follower.replica(truth.book)
        if not self._follower.health(truth.book).is_live(self._world.now()):
            return False
        if truth.is_window:
            if replica.top(INNER) != (truth.bids, truth.asks):
                return False
        elif replica.fingerprint != truth.fingerprint:
            return False
        self.paused += 1
        return True

    async def _compare_gateway(self, books: Sequence[Book]) -> None:
        deadline = time.monotonic() + ANSWER_S
        for book in books:
            while True:
                page = await self._world.gateway(f"/api/l2/{'/'.join(book)}?depth={GATEWAY_DEPTH}")
                replica = self._follower.replica(book)
                shown = replica.top(GATEWAY_DEPTH)
                if page is not None and page["seq"] == replica.seq and (page["bids"], page["asks"]) == shown:
                    self.gateway += 1
                    break
                if time.monotonic() > deadline:
                    at = f"epoch {page['epoch']} seq {page['seq']} {page['state']}" if page else "nothing"
                    self.wrong.append(
                        f"{':'.join(book)}: the gateway shows {at} {ANSWER_S:g} s after the market was held, "
                        f"the topic is at epoch {replica.epoch} seq {replica.seq}"
                    )
                    break
                await asyncio.sleep(POLL_S)

    def _answer(self, calm_since: Callable[[Book], float]) -> None:
        now_s = time.monotonic()
        still_open = []
        for truth in self._open:
            replica = self._follower.replica(truth.book)
            if truth.book[0] in WITHOUT_IDS:
                is_answered = replica.at_fingerprint(truth.fingerprint) is not None
                moment = None
            else:
                moment = replica.at_id(truth.venue_seq)
                if moment and truth.book[0] in IDS_STAND_STILL and moment.epoch != truth.epoch:
                    moment = None
                is_answered = moment is not None
            if is_answered:
                self.running[truth.book[0]] += 1
                if moment is not None and moment.fingerprint != truth.fingerprint:
                    self._note(truth, moment, f"not the truth at the venue's id {truth.venue_seq}")
            elif now_s - truth.asked_s < ANSWER_S:
                still_open.append(truth)
            elif truth.book[0] in WITHOUT_IDS and self._must_have_seen(truth, calm_since):
                self.running[truth.book[0]] += 1
                self._note(truth, None, f"LIVE without a fault, and never the truth of {ANSWER_S:g} s ago")
            else:
                self.unanswered += 1
        self._open = still_open

    def _must_have_seen(self, truth: Truth, calm_since: Callable[[Book], float]) -> bool:
        return (
            calm_since(truth.book) < truth.asked_s
            and self._follower.replica(truth.book).epoch == truth.epoch
            and self._follower.health(truth.book).is_live(self._world.now())
        )

    def _note(self, truth: Truth, moment: Moment | None, what: str) -> None:
        replica = self._follower.replica(truth.book)
        at = moment or replica
        bids, asks = replica.top(max(len(truth.bids), len(truth.asks), len(replica.bids), len(replica.asks)))
        path = self._folder / f"wrong-{len(self.wrong) + 1}.json"
        path.write_text(
            json.dumps(
                {
                    "what": what,
                    "truth": {"venueSeq": truth.venue_seq, "bids": truth.bids, "asks": truth.asks},
                    "at": {"epoch": at.epoch, "seq": at.seq, "venueSeq": at.venue_seq},
                    "replicaNow": {
                        "epoch": replica.epoch,
                        "seq": replica.seq,
                        "venueSeq": replica.venue_seq,
                        "bids": bids,
                        "asks": asks,
                    },
                }
            )
        )
        self.wrong.append(
            f"{':'.join(truth.book)}: epoch {at.epoch} seq {at.seq} venue_seq {at.venue_seq}: {what} "
            f"(all levels in {path.name})"
        )
