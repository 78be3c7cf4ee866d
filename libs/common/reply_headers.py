"""What headers of a venue's answers mean; any text has a meaning or none, and none raises."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from libs.common.printable import printable
from libs.common.time_units import DAY_S

# "Repeatedly violating rate limits ... will result in an automated IP ban ... from 2 minutes to 3 days":
# rest-api.md of binance-spot-api-docs, 2026-07-21. No venue's pause is longer.
LONGEST_PAUSE_S: Final = 3 * DAY_S
_LOCATION_SHOWN: Final = 200
_DELTA_SECONDS: Final = re.compile(r"[0-9]+")
_HTTP_DATE: Final = re.compile(
    r"[A-Za-z]{3}, [0-9]{2} [A-Za-z]{3} [1-9][0-9]{3} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)


def pause_of(retry_after: str, now_s: float) -> float | None:
    """Return the seconds to wait, from 0 to `LONGEST_PAUSE_S`; None if it is no pause.

    Parameters
    ----------
    now_s
        Time UTC, in seconds since 1970.

    References
    ----------
    RFC 9110 section 10.2.3: ``Retry-After = HTTP-date / delay-seconds``, ``delay-seconds = 1*DIGIT``; section
    5.6.7: senders write the first of the three forms of a date.
    """
    text = retry_after.strip(" \t")
    if _DELTA_SECONDS.fullmatch(text):
        digits = text.lstrip("0")
        return (
            LONGEST_PAUSE_S if len(digits) > len(f"{LONGEST_PAUSE_S:.0f}") else _bounded(float(digits or 0))
        )
    if not _HTTP_DATE.fullmatch(text):
        return None
    try:
        moment = parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):  # the last two: CPython 3.11 of some nonsense
        return None
    return _bounded(moment - now_s)


def not_followed(location: str) -> str:
    """Return what is said of an answer that sends its reader to another address."""
    return f"redirected to {printable(location, _LOCATION_SHOWN) or 'nowhere'}, not followed"


def _bounded(seconds: float) -> float:
    return min(LONGEST_PAUSE_S, max(0.0, seconds))
