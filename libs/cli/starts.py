"""Where in a topic to begin, as a person writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

from libs.cli.errors import UsageError
from libs.common.time_units import NS_PER_MS, UNITS_NS

_AGO: Final = re.compile(r"-(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)")
_OFFSET: Final = re.compile(r"\d{1,18}")


class Beginning(NamedTuple):
    """The oldest record kept."""


class End(NamedTuple):
    """Behind the newest record: only what comes from now on."""


class At(NamedTuple):
    """The first record of this Kafka timestamp or a later one."""

    timestamp_ms: int


class Offset(NamedTuple):
    """The same offset in every partition read."""

    offset: int


Start: TypeAlias = Beginning | End | At | Offset


def parse_start(text: str, now_ms: int, option: str = "--from") -> Start:
    """Return where to begin: ``beginning``, ``end``, ``-10m``, an ISO 8601 time (else UTC), an offset.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    lowered = text.strip().lower()
    if lowered in {"beginning", "start"}:
        return Beginning()
    if lowered in {"end", "now"}:
        return End()
    if ago := _AGO.fullmatch(lowered):
        return At(max(0, now_ms - round(float(ago[1]) * UNITS_NS[ago[2]]) // NS_PER_MS))
    if _OFFSET.fullmatch(lowered):
        return Offset(int(lowered))
    try:
        moment = iso_moment(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is none of: beginning, end, -10m (ms s m h d), 2026-08-24T12:00:00Z, "
            "an offset"
        ) from None
    return At(max(0, int(moment.timestamp() * 1000)))


def iso_moment(text: str) -> datetime:
    """Return an ISO 8601 time, in UTC where it names no zone; raises ValueError if it is none."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
