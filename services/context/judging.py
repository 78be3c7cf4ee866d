"""What follows from a source's answers: how it stands, what it gives, and when it is asked again; pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from libs.common.events import ContextInput, SourceState
from libs.common.live_books import EARLY_NS
from libs.common.printable import printable
from libs.common.time_units import NS_PER_S
from services.context.source import RANGES, MalformedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from services.context.source import Reading, Source, Value

POLLS_VALID: Final = 3  # an input holds for so many polls
OK: Final = 200
REFUSED: Final = 400  # whose body says what it refuses, as a symbol that is not listed
# Pauses without Retry-After, s. 418 is Binance's ban, "from 2 minutes to 3 days" (rest-api.md, 2026-07-21);
# 403 and 451 are blocks, of Bybit for 10 minutes (rate-limit.mdx, 2026-07-24).
PAUSES_S: Final = {429: 60.0, 418: 120.0, 403: 600.0, 451: 600.0}
BLOCKED: Final = frozenset({403, 451})
LEAST_PAUSE_S: Final = 1.0
BACKOFF_S: Final = 10.0
MOST_BACKOFF_S: Final = 300.0
FAULTS_SHOWN: Final = 3
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    status: int  # of HTTP; 0: there is no answer
    body: bytes = b""
    retry_after_s: float | None = None
    fault: str = ""  # why there is no answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from one poll."""

    state: SourceState
    reason: str
    inputs: tuple[ContextInput, ...]
    pause_ns: int  # until the next poll

    @property
    def failed(self) -> bool:
        """Whether the poll gave nothing, for a reason."""
        return not self.inputs and self.state is not SourceState.FRESH


def judge(
    source: Source,
    replies: Mapping[str, Reply],
    symbols: Collection[str],
    pace: float,
    failures: int,
    took_ns: int,
    now: int,
) -> Verdict:
    """Return what follows from the answers to what was asked for these symbols.

    Parameters
    ----------
    replies
        By path, one for each of `source.requests`.
    pace
        What every pause between polls is multiplied by.
    failures
        Polls before this one that gave nothing, in a row.
    took_ns
        From the first request to the last answer: of many symbols, a rate lets a poll take its time.
    now
        When the last of them came, ns UTC.
    """
    period_ns = int(source.period_s * pace * NS_PER_S)
    if limits := [reply for reply in replies.values() if reply.status in PAUSES_S]:
        return _limited(limits)
    backoff = backoff_ns(source.name, failures, pace)
    for reply in replies.values():
        if reply.status not in {OK, REFUSED}:
            asked = int((reply.retry_after_s or 0.0) * NS_PER_S)
            return failing(reply.fault or f"it answered with status {reply.status}", max(backoff, asked))
    try:
        bodies = {path: reply.body for path, reply in replies.items()}
        reading = source.read(bodies, symbols, now)
    except MalformedError as error:
        return failing(str(error), backoff)
    until_ts = now + POLLS_VALID * (period_ns + took_ns)
    faults, stale, inputs = _sorted_out(source, reading, until_ts, now)
    state = SourceState.FAILING if faults else SourceState.STALE if stale else SourceState.FRESH
    pause_ns = backoff if faults and not inputs else period_ns
    return Verdict(state, _told(faults or stale), tuple(inputs), pause_ns)


def failing(reason: str, pause_ns: int) -> Verdict:
    """Return the verdict on a source that gives nothing."""
    return Verdict(SourceState.FAILING, printable(reason, _SHOWN), (), pause_ns)


def backoff_ns(name: str, failures: int, pace: float) -> int:
    """Return how long a source rests that failed once more: 10 s, doubled up to 300.

    It is doubled with each failure before. Of that a share from one half to all, drawn from a hash of the
    source's name and the count: sources that failed together do not come back together, and the same run has
    the same pauses.
    """
    longest_s = min(MOST_BACKOFF_S, BACKOFF_S * 2.0 ** min(failures, 10)) * pace
    drawn = int.from_bytes(hashlib.sha256(f"{name}/{failures}".encode()).digest()[:4], "big") / 2**32
    return int(longest_s * (1 + drawn) / 2 * NS_PER_S)


def _limited(limits: Iterable[Reply]) -> Verdict:
    pause_s, status = max((_pause_s(each), each.status) for each in limits)
    reason = f"it answered with status {status}; it is asked again in {pause_s:g} s"
    return Verdict(SourceState.LIMITED, reason, (), int(pause_s * NS_PER_S))


def _pause_s(reply: Reply) -> float:
    if reply.retry_after_s is None:
        return PAUSES_S[reply.status]
    return max(reply.retry_after_s, PAUSES_S[reply.status] if reply.status in BLOCKED else LEAST_PAUSE_S)


def _sorted_out(
    source: Source, reading: Reading, until_ts: int, now: int
) -> tuple[list[str], list[str], list[ContextInput]]:
    """Return what is wrong, what is old, and what may be told."""
    faults, stale, inputs = list(reading.faults), [], []
    for value in reading.values:
        if fault := _fault(value, now):
            faults.append(fault)
        elif now - value.ts > source.oldest_s * NS_PER_S:
            stale.append(
                f"{value.symbol} {value.name} is {(now - value.ts) / NS_PER_S:.3g} s old, "
                f"over {source.oldest_s:g}"
            )
        else:
            inputs.append(_input(source, value, until_ts))
    return faults, stale, inputs


def _fault(value: Value, now: int) -> str:
    low, high = RANGES[value.name]
    if not low <= value.value <= high:  # a NaN is in no range
        return f"{value.symbol} {value.name} is {value.value:g}, and must be from {low:g} to {high:g}"
    if value.ts > now + EARLY_NS:
        return f"{value.symbol} {value.name} is {(value.ts - now) / NS_PER_S:.3g} s ahead of this clock"
    return ""


def _input(source: Source, value: Value, until_ts: int) -> ContextInput:
    return ContextInput(
        symbol=value.symbol,
        name=value.name,
        value=value.value,
        source=source.name,
        ts=value.ts,
        valid_until_ts=until_ts if value.until_ts is None else value.until_ts,
    )


def _told(faults: list[str]) -> str:
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return printable("; ".join(faults[:FAULTS_SHOWN]), _SHOWN) + more
