"""What a feed says of a frame that is no book's and cannot be read: it costs itself, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.l2.feeds.venue_messages import FrameNumber, Ignored, Unread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.l2.feeds.venue_messages import VenueMessage


def is_spared(said: Sequence[VenueMessage], raw: bytes, *, trades: bool = True) -> bool:
    """Tell whether nothing but the frame is lost, and whether trades were in it, as the test says."""
    *numbers, last = said
    assert isinstance(last, Unread), said
    assert all(isinstance(number, FrameNumber) for number in numbers)
    return (last.raw, last.trades) == (raw, trades) and bool(last.reason)


def is_ignored(said: Sequence[VenueMessage]) -> bool:
    """Tell whether a frame is counted and says nothing."""
    *numbers, last = said
    return isinstance(last, Ignored) and all(isinstance(number, FrameNumber) for number in numbers)
