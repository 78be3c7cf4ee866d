"""What a person writes for a time, a length of time, a list and a sweep, made exact; pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from libs.cli.errors import UsageError
from libs.cli.names import symbol_named
from libs.cli.starts import iso_moment
from libs.common.time_units import NS_PER_S, UNITS_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d|w)")
LEAST_INTERVAL_NS: Final = NS_PER_S
EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)


def span_named(option: str, text: str) -> int:
    """Return a length of time, ns.

    Raises
    ------
    UsageError
        If it is none, or is zero.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    ns = int(Decimal(found[1]) * UNITS_NS[found[2]]) if found else 0
    if ns <= 0:
        raise UsageError(f"{option} {text!r} is no length of time: write it like 1m, 90s, 6h or 1d")
    return ns


def interval_named(text: str) -> int:
    """Return the time between two decisions about a symbol, ns.

    Raises
    ------
    UsageError
        If it is none, or too short.
    """
    ns = span_named("--interval", text)
    if ns < LEAST_INTERVAL_NS:
        raise UsageError(f"--interval {text!r} is too short: at least 1s is right")
    return ns


def moment_named(option: str, text: str, origin: int | None = None) -> int:
    """Return a time, ns UTC: ISO 8601, or `+6h` after an origin.

    Raises
    ------
    UsageError
        If it is none, or no origin is known.
    """
    stripped = text.strip()
    if stripped.startswith("+"):
        if origin is None:
            raise UsageError(f"{option} {text!r} counts from --from: name it too, as --from 2026-01-05")
        moment_ts = origin + span_named(option, stripped[1:])
        if moment_ts >= _ts(LATEST):
            raise UsageError(f"{option} {text!r} is not between {EARLIEST:%Y} and {LATEST:%Y}")
        return moment_ts
    try:
        moment = iso_moment(stripped)
    except ValueError:
        further = " or +6h (after --from)" if option == "--to" else ""
        raise UsageError(
            f"{option} {text!r} is no time: write it like 2026-01-05, 2026-01-05T09:30Z{further}"
        ) from None
    if not EARLIEST <= moment < LATEST:
        raise UsageError(f"{option} {text!r} is not between {EARLIEST:%Y} and {LATEST:%Y}")
    return _ts(moment)


def _ts(moment: datetime) -> int:
    past = moment - EARLIEST
    since_epoch = int(EARLIEST.timestamp()) * NS_PER_S
    return since_epoch + (past.days * 86_400 + past.seconds) * NS_PER_S + past.microseconds * 1000


def stretch_named(begin: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Return the beginning and the end of a stretch of time, ns UTC.

    Raises
    ------
    UsageError
        If one is no time, or they are not in this order.
    """
    begin_ts = None if begin is None else moment_named("--from", begin)
    end_ts = None if end is None else moment_named("--to", end, begin_ts)
    if begin_ts is not None and end_ts is not None and end_ts <= begin_ts:
        raise UsageError(f"--to {end!r} is not after --from {begin!r}")
    return begin_ts, end_ts


def symbols_named(text: str | None) -> tuple[str, ...]:
    """Return symbols of a list with commas, in any spelling, each once.

    Raises
    ------
    UsageError
        If one is no symbol.
    """
    return tuple(dict.fromkeys(symbol_named(each) for each in listed("--symbols", text))) if text else ()


def listed(option: str, text: str) -> list[str]:
    """Return the words of a list with commas.

    Raises
    ------
    UsageError
        If one is empty.
    """
    words = [each.strip() for each in text.split(",")]
    if not all(words):
        raise UsageError(f"{option} {text!r} has an empty place: separate values by single commas")
    return words


def swept(options: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each parameter of a sweep.

    Raises
    ------
    UsageError
        If one is not `parameter=a,b,c`, or is named twice.
    """
    found: dict[str, list[str]] = {}
    for option in options:
        name, given, values = option.partition("=")
        if not given or not name.strip():
            raise UsageError(f"--sweep {option!r} is not parameter=a,b,c, like urgency=.2,.5,.9")
        if name.strip() in found:
            raise UsageError(f"--sweep names {name.strip()!r} twice: put all its values behind one of them")
        found[name.strip()] = list(dict.fromkeys(listed("--sweep", values)))
    return found
