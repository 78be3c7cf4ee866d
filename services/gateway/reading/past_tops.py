"""The books of one partition of deltas at a moment, all from one reading of it; pure.

Each is rewound and proven as `as_of` has it for one book.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.book_features import features_of
from services.gateway.reading.as_of import Rewind, top_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from libs.common.events import BookTop
    from services.gateway.reading.as_of import PastBook, Row

TOP_LEVELS: Final = 50  # of a side, as l2 tells them


class PastTop(NamedTuple):
    """A book's top as it was, and where the newest message inside stands."""

    top: BookTop
    offset: int


@dataclass(eq=False)
class PastTops:
    """Sifts a partition's records, window by window, for those that make up its books at a moment."""

    at_ms: int
    known: Collection[bytes]  # keys of books that there were, by what else is known of them
    rewinds: dict[bytes, Rewind] = field(default_factory=dict)
    passed: bool = False  # a record after the moment was seen
    _done: set[bytes] = field(default_factory=set)

    def wants(self, key: bytes, timestamp_ms: int) -> bool:
        """Take note of the next record in log order; return whether it is worth decoding."""
        self.passed = self.passed or timestamp_ms > self.at_ms
        return key not in self._done

    def take(self, key: bytes, row: Row) -> None:
        """Take the next record that is wanted."""
        rewind = self.rewinds.get(key)
        if rewind is None:
            rewind = self.rewinds[key] = Rewind(self.at_ms)
        if rewind.take(row):
            self._done.add(key)

    @property
    def complete(self) -> bool:
        """Whether later records tell nothing more of any book that there was."""
        return self.passed and all(key in self._done for key in self._before())

    def open(self) -> list[bytes]:
        """Return the books of which earlier records are needed."""
        return [key for key in self._before() if not self._has_keyframe(key)]

    def told(self) -> list[bytes]:
        """Return the books of which anything was read."""
        return list(self.rewinds)

    def extend(self, earlier: PastTops) -> None:
        """Take what stands before all that was taken so far."""
        for key, rewind in earlier.rewinds.items():
            later = self.rewinds.get(key)
            if later is not None:
                rewind.extend(later)
            self.rewinds[key] = rewind

    def kept(self, key: bytes) -> list[Row]:
        """Return the records that make a book up."""
        rewind = self.rewinds.get(key)
        return [] if rewind is None else rewind.rows

    def proven(self, key: bytes, past: PastBook) -> PastTop | None:
        """Return the top of a book that has followed all it is made of, None if it is not proven."""
        rewind = self.rewinds[key]
        if past.book is None or past.last is None or not rewind.rows:
            return None
        if past.proof(rewind.following, self.at_ms) is None:
            return None
        top = top_of(past.book, past.last, TOP_LEVELS, features_of(past.book))
        return PastTop(top, past.offset)

    def _before(self) -> Iterator[bytes]:
        """Yield the books that there were."""
        yield from (key for key, rewind in self.rewinds.items() if rewind.rows and key not in self.known)
        yield from self.known

    def _has_keyframe(self, key: bytes) -> bool:
        rewind = self.rewinds.get(key)
        return rewind is not None and rewind.has_keyframe
