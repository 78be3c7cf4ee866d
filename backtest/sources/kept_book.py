"""`KeptBook`: a book out of history, told as l2 tells its own.

Tops, keyframes and healths are l2's (`services.l2.publication`), on its beats. Of a health `state` is

- LIVE from a snapshot on, or ONE_SIDED while a side is empty;
- GAP from where deltas are missing or the book crosses, up to the next snapshot;
- STALE once the history has been silent for `SILENT_NS`, up to the next message: nobody kept whether the line
  lived meanwhile.

`messages`, `gaps`, `resyncs` and `stales` are counted from the run's beginning. Checksums, refusals and
connections are not in history: their counts are 0.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from backtest.l2_host import BEAT_NS
from libs.common.events import BookDelta, BookSnapshot, BookState
from libs.common.followed_book import FollowedBook, Step
from libs.common.live_books import missing_side
from libs.common.time_units import NS_PER_S
from services.l2.features import TradeFlow
from services.l2.maintainer import Counts
from services.l2.publication import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from libs.common.events import InstrumentTerms
    from libs.common.order_book import OrderBook
    from services.l2.messages import Output
    from services.l2.policy import Policy
    from services.l2.rate_limits import VenueBudget

SILENT_NS: Final = 60 * NS_PER_S
FOLLOWS: Final = "it follows its history"
_SYNCED: Final = (BookState.LIVE, BookState.ONE_SIDED)
_RENEWED: Final = (Step.RENEWED, Step.HEALED, Step.REBUILT)


class Said(NamedTuple):
    """What a step in time brings."""

    messages: list[BookSnapshot | BookDelta]  # of history
    owed: list[Output]  # to the book's readers, after them


class _Table:
    """Stands for the terms of a venue where history has none: the table's hold."""

    @property
    def terms(self) -> InstrumentTerms | None:
        return None


class KeptBook:
    """One book, and what its readers are owed; changed in place.

    Parameters
    ----------
    messages
        Of the book, by time.

    Attributes
    ----------
    flow
        To be told of the book's trades.
    """

    def __init__(
        self,
        venue: str,
        symbol: str,
        messages: Iterator[BookSnapshot | BookDelta],
        *,
        policy: Policy,
        budget: VenueBudget,
        now: int,
    ) -> None:
        self.venue, self.symbol = venue, symbol
        self.state, self.reason, self.since = BookState.DISCONNECTED, "no message yet", now
        self.epoch = self.seq = 0
        self.position: int | None = None
        self.venue_ts: int | None = None
        self.received_ts = now
        self.counts = Counts()
        self.flow = TradeFlow()
        self._owner = policy.owner
        self._followed = FollowedBook()
        self._messages = messages
        self._next = next(messages, None)
        self._publication = Publication(self, self.flow, budget, _Table(), policy)

    @property
    def book(self) -> OrderBook:
        """Its levels."""
        return self._followed.book

    @property
    def live(self) -> bool:
        """Whether the book may be used."""
        return self.state is BookState.LIVE

    @property
    def synced(self) -> bool:
        """Whether the book follows its history, whatever there is in it."""
        return self.state in _SYNCED

    def next_ts(self, now: int) -> int:
        """Return when the next message comes, or something is owed before it, ns."""
        due = self._publication.next_due(now)
        if self.synced:
            due = min(due, self.received_ts + SILENT_NS)
        if due <= now:  # what is still due after a step waits for the next beat
            due = now + BEAT_NS
        return due if self._next is None else min(due, self._next.received_ts)

    def advance(self, now: int) -> Said:
        """Take the messages up to now (ns UTC); return them, and what is owed to the readers after them."""
        said = Said([], [])
        while (event := self._next) is not None and event.received_ts <= now:
            if deltas := self._run(now):
                said.messages.extend(deltas)
                self._apply(deltas)
                continue
            self._next = next(self._messages, None)
            said.messages.append(event)
            if self._take(event):
                said.owed[:] = self._publication.begin(now)
        if said.messages:
            self._judge(now)
        elif self.synced and now >= self.received_ts + SILENT_NS:
            self.counts.stales += 1
            self._move(BookState.STALE, f"nothing was kept for {SILENT_NS / NS_PER_S:g} s", now)
        publication = self._publication
        said.owed.extend(publication.turned(now))
        if self.synced:
            said.owed.extend(publication.periodic(now))
        said.owed.extend(publication.heartbeat(now))
        return said

    def keyframe(self) -> BookSnapshot:
        """Return the whole book under the seq of the state it shows."""
        return BookSnapshot(
            venue=self.venue,
            symbol=self.symbol,
            epoch=self.epoch,
            seq=self.seq,
            venue_seq=self.position,
            bids=self.book.bids(),
            asks=self.book.asks(),
            venue_ts=self.venue_ts,
            received_ts=self.received_ts,
            reason="keyframe",
            owner=self._owner,
        )

    def _run(self, now: int) -> list[BookDelta]:
        """Take off the deltas up to now that follow a book in step, and each other, without a hole."""
        deltas: list[BookDelta] = []
        event, seq = self._next, self.seq
        if not self._followed.in_step:
            return deltas
        while (
            isinstance(event, BookDelta)
            and event.received_ts <= now
            and event.seq == seq + 1
            and event.epoch == self.epoch
        ):
            deltas.append(event)
            seq += 1
            event = next(self._messages, None)
        self._next = event
        return deltas

    def _apply(self, deltas: Sequence[BookDelta]) -> None:
        """Follow such deltas, at once; whether the book crosses is asked after the last one."""
        book, last = self.book, deltas[-1]
        book.apply(
            list(chain.from_iterable([delta.bids for delta in deltas])),
            list(chain.from_iterable([delta.asks for delta in deltas])),
        )
        book.seq, book.venue_seq = last.seq, last.venue_seq
        self._followed.received_ts = self.received_ts = last.received_ts
        self.seq, self.position, self.venue_ts = last.seq, last.venue_seq, last.venue_ts
        self.counts.messages += len(deltas)
        for delta in deltas:
            self._publication.on_delta(delta.received_ts)
        if book.crossed:
            self._lose(last)
        elif self.state is BookState.STALE:
            self._follow_on(last.received_ts)

    def _take(self, event: BookSnapshot | BookDelta) -> bool:
        """Follow a message; return whether the book begins anew with it."""
        step = self._followed.follow(event)
        if step is Step.OLD:
            return False
        self.epoch, self.seq, self.position = event.epoch, event.seq, event.venue_seq
        self.venue_ts, self.received_ts = event.venue_ts, event.received_ts
        self.counts.messages += 1
        if step is Step.HOLE or self.book.crossed:
            self._lose(event)
            return False
        self._publication.on_delta(event.received_ts)
        if step in _RENEWED:
            self.counts.resyncs += self.state is not BookState.DISCONNECTED
            self._follow_on(event.received_ts)
            return True
        if self.state is BookState.STALE:
            self._follow_on(event.received_ts)
        return False

    def _lose(self, event: BookSnapshot | BookDelta) -> None:
        """Leave LIVE: deltas are missing, or the book cannot be true."""
        crossed = self.book.crossed and self._followed.in_step
        reason = "its history is crossed here" if crossed else self._followed.trouble
        self._followed.lose(reason)
        if self.state is not BookState.GAP:
            self.counts.gaps += 1
            self._move(BookState.GAP, reason, event.received_ts)

    def _judge(self, now: int) -> None:
        """Call a synced book ONE_SIDED while a side is empty, else LIVE."""
        if not self.synced:
            return
        missing = missing_side(self.book.best_bid, self.book.best_ask)
        if missing is not None and missing != self.reason:
            self._move(BookState.ONE_SIDED, missing, now)
        elif missing is None and not self.live:
            self._follow_on(now)

    def _follow_on(self, now: int) -> None:
        self._move(BookState.LIVE, FOLLOWS, now)

    def _move(self, state: BookState, reason: str, now: int) -> None:
        self.state, self.reason, self.since = state, reason, now
