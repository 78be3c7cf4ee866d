"""What a venue says that is no use to a book and costs it nothing: counted, and told now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.time_units import MINUTE_NS
from services.l2.messages import DeadLetter, FalseStamp, MessageIgnored
from services.l2.publication import REASON_CHARS
from services.l2.seldom import Seldom

if TYPE_CHECKING:
    from services.l2.feeds.venue_messages import Unread
    from services.l2.maintainer import Counts
    from services.l2.messages import Output

TOLD_NS: Final = MINUTE_NS  # in which a book logs one false stamp and one ignored message, and
KEPT: Final = 100  # keeps so many unreadable frames that are no book's


class Oddities:
    """Those of one book; changes its counts."""

    def __init__(self, key: str, counts: Counts) -> None:
        self._key = key
        self._counts = counts
        self._ignored, self._stamps, self._kept = Seldom(TOLD_NS), Seldom(TOLD_NS), Seldom(TOLD_NS, KEPT)

    def ignored(self, what: str, now: int) -> list[Output]:
        """Count a message that the feed does not know or cannot use, or a late one."""
        self._counts.ignored += 1
        return [MessageIgnored(self._key, what)] if self._ignored.due(now) else []

    def unread(self, item: Unread, now: int) -> list[Output]:
        """Count and keep a frame that is no book's and could not be read."""
        self._counts.bad_frames += 1
        letter = DeadLetter(self._key, item.raw, item.reason[:REASON_CHARS])
        return [letter] if self._kept.due(now) else []

    def false_stamp(self, stamp: int, now: int) -> list[Output]:
        """Count a time that cannot be true."""
        self._counts.false_stamps += 1
        return [FalseStamp(self._key, stamp)] if self._stamps.due(now) else []
