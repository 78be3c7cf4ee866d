"""Times that a venue writes as RFC 3339 text, within the bounds of a sane one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from services.l2.feeds.feed import BadFrameError

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2255, 1, 1, tzinfo=UTC)  # ns of later times do not fit in 63 bits


def ns_of(venue: str, moment: datetime) -> int:
    """Return ns UTC; what the wire says below a microsecond is lost.

    Raises
    ------
    BadFrameError
        If it is before 1970 or after 2254.
    """
    if not _EPOCH <= moment < _LATEST:
        raise BadFrameError(f"{venue}: {moment.isoformat()} is no time of a market")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
