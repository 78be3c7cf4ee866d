"""A stretch of time as callers name it: from a moment to a moment, each in ms or so long ago; pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S, UNITS_NS
from services.gateway.http.problems import FieldError, invalid

DEFAULT_FROM: Final = "-1d"
MOST_DAYS: Final = 3 * 365  # for which equity is kept

_AGO: Final = re.compile(r"-([1-9]\d{0,9})([smhd])")
_MS: Final = re.compile(r"\d{1,15}")


class Span(NamedTuple):
    """From a moment to a moment, both included; ns UTC."""

    begin_ts: int
    end_ts: int


def span_of(begin: str | None, end: str | None, now: int) -> Span:
    """Return the stretch that is asked for so, at `now` (ns UTC).

    Raises
    ------
    ProblemError
        422 if a moment is none, or they are in the wrong order, lie ahead or too far back.
    """
    found = moments_of(DEFAULT_FROM if begin is None else begin, end, now)
    if found.begin_ts < now - MOST_DAYS * DAY_NS:
        raise invalid(
            [FieldError("from", f"must be within the last {MOST_DAYS} days: equity is kept so long")]
        )
    return found


def moments_of(begin: str, end: str | None, now: int) -> Span:
    """Return the stretch from one moment to another, by default now, however long ago.

    Raises
    ------
    ProblemError
        422 if a moment is none, or they are in the wrong order or lie ahead.
    """
    found = Span(_moment("from", begin, now), now if end is None else _moment("to", end, now))
    if found.begin_ts >= found.end_ts:
        begin_ms, end_ms = found.begin_ts // NS_PER_MS, found.end_ts // NS_PER_MS
        raise invalid([FieldError("from", f"must be before `to`: it is {begin_ms}, and `to` {end_ms}")])
    return found


def _moment(field: str, text: str, now: int) -> int:
    if ago := _AGO.fullmatch(text):
        return max(0, now - int(ago[1]) * UNITS_NS[ago[2]])
    if not _MS.fullmatch(text):
        raise invalid([FieldError(field, "must be ms since 1970 UTC, or so long ago: -10m, -24h, -30d")])
    moment = int(text) * NS_PER_MS
    if moment > now + NS_PER_S:
        raise invalid([FieldError(field, f"must not lie ahead: now is {now // NS_PER_MS}")])
    return moment
