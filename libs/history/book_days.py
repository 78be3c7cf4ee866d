"""`BookDays`: the messages of one book, written as days whose row groups begin with the whole book."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from libs.common.events import BookSnapshot
from libs.common.time_units import DAY_NS
from libs.history.book_group import BookGroup, sides_of
from libs.history.columns import BookColumns
from libs.history.day_file import DayFiles
from libs.history.faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libs.common.events import BookDelta, Level
    from libs.history.faults import FaultReport

_STRETCH_LEVELS: Final = 65_536  # of what is taken in bulk, at most about so many


class BookDays:
    """The days of one book in the making; changed in place by each message.

    Attributes
    ----------
    keyframes
        Repeated ones that showed the book that its deltas gave, and so were left out.
    """

    def __init__(
        self, root: Path, venue: str, symbol: str, faults: FaultReport, *, overwrite: bool, source: str
    ) -> None:
        self.keyframes = 0
        self.rows = 0
        self._venue, self._symbol = venue, symbol
        self._faults, self._source = faults, source
        self._files = DayFiles(root, venue, symbol, "book", overwrite=overwrite)
        self._known = False  # whether the book is
        self._place = (0, 0)  # epoch and seq of the last message
        self._bids: dict[float, float] = {}  # size by price; 0.0 where it was deleted
        self._asks: dict[float, float] = {}
        self._head: tuple[Any, ...] = ()  # of the last message, as a repeated keyframe has it
        self._owner = ""
        self._group = BookGroup()

    def write(self, event: BookSnapshot | BookDelta) -> None:
        """Take the next message.

        One that was there before is left out, and told as a fault; where deltas are missing before it, the
        book is unknown up to the next snapshot.

        Raises
        ------
        HistoryError
            If its day cannot be written.
        """
        is_snapshot = isinstance(event, BookSnapshot)
        if not (self._takes_snapshot(event) if isinstance(event, BookSnapshot) else self._takes_delta(event)):
            return
        if event.received_ts // DAY_NS > self._files.day:
            self._flush()
            self._files.begin(event.received_ts)
        elif self._group.full:
            self._flush()
        group = self._group
        if not group.count and self._known and not is_snapshot:
            self._repeat()
        if isinstance(event, BookSnapshot):
            self._bids, self._asks = dict(event.bids), dict(event.asks)
            self._owner, self._known = event.owner, True
            kind, reason, owner = "BookSnapshot", event.reason, event.owner
        else:
            self._bids.update(event.bids)
            self._asks.update(event.asks)
            kind, reason, owner = "BookDelta", None, None
        self._place = (event.epoch, event.seq)
        self._head = (event.epoch, event.seq, event.venue_seq, event.venue_ts, event.received_ts)
        group.add((kind, *self._head, reason, owner, False), event.bids, event.asks)
        self.rows += 1

    def write_columns(self, columns: BookColumns) -> None:
        """Take the next messages; raises what `write` raises."""
        if not len(columns):
            return
        for first, end in _stretches(columns):
            part = _part(columns, first, end)
            if not part.snapshot[0] and self._follows(part):
                self._write_deltas(part)
            else:
                for event in part.events():
                    self.write(event)

    def _follows(self, deltas: BookColumns) -> bool:
        """Return whether these deltas come next, in the day that is being written."""
        place = (int(deltas.epoch[0]), int(deltas.seq[0]) - 1)
        return (
            self._known and place == self._place and int(deltas.received_ts[0]) // DAY_NS <= self._files.day
        )

    def _write_deltas(self, deltas: BookColumns) -> None:
        """Take deltas of one day without a hole."""
        if self._group.full:
            self._flush()
        if not self._group.count:
            self._repeat()
        sides = sides_of(deltas)
        for held, levels in zip((self._bids, self._asks), sides, strict=True):
            held.update(zip(levels.price.tolist(), levels.size.tolist(), strict=True))
        self._group.add_deltas(deltas, sides)
        venue_seq = None if deltas.venue_seq is None else int(deltas.venue_seq[-1])
        self._place = (int(deltas.epoch[-1]), int(deltas.seq[-1]))
        self._head = (*self._place, venue_seq, int(deltas.venue_ts[-1]), int(deltas.received_ts[-1]))
        self.rows += len(deltas)

    def close(self) -> None:
        """Write what is left, and give the last day its name."""
        self._flush()
        self._files.close()

    def discard(self) -> None:
        """Drop the day that is not finished."""
        self._files.discard()

    def _takes_delta(self, event: BookDelta) -> bool:
        epoch, seq = self._place
        if event.epoch == epoch and event.seq == seq + 1:
            return True
        if (event.epoch, event.seq) <= self._place:
            self._note(FaultKind.DUPLICATE, event, f"it comes after {seq} of epoch {epoch}, and is left out")
            return False
        if self._known:
            self._note(
                FaultKind.GAP, event, f"it follows {seq} of epoch {epoch}: the book is unknown from it on"
            )
            self._known = False
        return True

    def _takes_snapshot(self, event: BookSnapshot) -> bool:
        epoch, seq = self._place
        if (event.epoch, event.seq) < self._place:
            self._note(FaultKind.DUPLICATE, event, f"it comes after {seq} of epoch {epoch}, and is left out")
            return False
        if not self._known or event.epoch != epoch:
            return True
        if event.seq > seq:
            self._note(FaultKind.GAP, event, f"it follows {seq} of epoch {epoch}: deltas are missing")
            return True
        if (event.bids, event.asks) == (_best_first(self._bids, -1.0), _best_first(self._asks, 1.0)):
            self.keyframes += 1
            self._bids, self._asks = dict(event.bids), dict(event.asks)
            return False
        self._note(FaultKind.MISMATCH, event, "it shows another book than its deltas gave, and is kept")
        return True

    def _note(self, kind: FaultKind, event: BookSnapshot | BookDelta, what: str) -> None:
        place = f"{self._venue} {self._symbol}: {type(event).__name__} {event.seq} of epoch {event.epoch}"
        self._faults.note(kind, self._source, None, event.received_ts, f"{place}: {what}")

    def _repeat(self) -> None:
        """Begin a row group with the book as it is."""
        bids, asks = _best_first(self._bids, -1.0), _best_first(self._asks, 1.0)
        self._bids, self._asks = dict(bids), dict(asks)
        self._group.add(("BookSnapshot", *self._head, "keyframe", self._owner, True), bids, asks)

    def _flush(self) -> None:
        if self._group.count:
            self._files.write(self._group.table(self._venue, self._symbol))
        self._group = BookGroup()


def _part(columns: BookColumns, first: int, end: int) -> BookColumns:
    """Return some of the messages."""
    low, high = columns.first[first], columns.first[end]
    return BookColumns(
        venue=columns.venue,
        symbol=columns.symbol,
        epoch=columns.epoch[first:end],
        seq=columns.seq[first:end],
        snapshot=columns.snapshot[first:end],
        venue_seq=None if columns.venue_seq is None else columns.venue_seq[first:end],
        venue_ts=columns.venue_ts[first:end],
        received_ts=columns.received_ts[first:end],
        first=columns.first[first : end + 1] - low,
        is_bid=columns.is_bid[low:high],
        price=columns.price[low:high],
        size=columns.size[low:high],
    )


def _stretches(columns: BookColumns) -> Iterator[tuple[int, int]]:
    """Yield stretches of messages of one day and one epoch, with few levels, whose seqs are without a hole.

    Each snapshot is one of its own.
    """
    days, ends = columns.received_ts // DAY_NS, columns.first[1:] // _STRETCH_LEVELS
    apart = (np.diff(days) != 0) | (np.diff(ends) != 0) | (np.diff(columns.epoch) != 0)
    apart |= (np.diff(columns.seq) != 1) | columns.snapshot[1:] | columns.snapshot[:-1]
    yield from pairwise([0, *(np.flatnonzero(apart) + 1).tolist(), len(columns)])


def _best_first(held: dict[float, float], sign: float) -> tuple[Level, ...]:
    """Return the levels that are there, by the price times `sign`."""
    return tuple(sorted([level for level in held.items() if level[1]], key=lambda level: sign * level[0]))
