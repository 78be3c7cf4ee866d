"""What is counted of a symbol against its limits: orders of the last minute, executions that failed; pure.

All orders of a symbol are sent from its own partition, so they are counted in that partition's state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from libs.common.events import Event, LimitsUsed
from libs.common.limit_uses import COUNTED, MINUTE_KEPT_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.handling import State

BUCKET_NS: Final = 5_000_000_000  # orders sent so close to each other are counted together
COUNTED_SYMBOLS: Final = b"limits/symbols"
_NEWEST: Final = (1 << COUNTED) - 1


class LimitCounts(Event, frozen=True, kw_only=True):
    """What is counted of a symbol; state.

    An order counts for a minute and at most `BUCKET_NS` more, never less.
    """

    orders: tuple[
        tuple[int, int], ...
    ] = ()  # when a bucket began, ns, and its orders; oldest first, 13 at most
    ended: int = 0  # newest executions that count
    failed_bits: int = 0  # of those, the newest lowest; 1: failed
    resumed_ts: int = 0  # the newest end of a halt since which executions count; moves with no clock

    @property
    def failed(self) -> int:
        """How many of those that count have failed."""
        return self.failed_bits.bit_count()

    def sent(self, now: int) -> int:
        """Return how many orders count at `now`."""
        return sum(count for start, count in self.orders if now - start < MINUTE_KEPT_NS)


class LimitSymbols(Event, frozen=True, kw_only=True):
    """The symbols that are counted in this partition; state."""

    symbols: tuple[str, ...] = ()


@dataclass(slots=True)
class Watch:
    """What was looked at last, and told of each symbol; in memory, changes in place."""

    seen: tuple[object, ...] = ()
    told: dict[str, tuple[LimitCounts, int]] = field(default_factory=dict)  # and when, ns


def counts_key(symbol: str) -> bytes:
    """Return the state's key of what is counted of a symbol."""
    return f"limits/counts/{symbol}".encode()


def counts_of(state: State[Any], symbol: str) -> LimitCounts:
    """Return what is counted of a symbol."""
    found = state.get(counts_key(symbol))
    return found if isinstance(found, LimitCounts) else LimitCounts()


def counted(state: State[Any]) -> Iterator[tuple[str, LimitCounts]]:
    """Yield each symbol that is counted here, and what is counted of it."""
    known = state.get(COUNTED_SYMBOLS)
    if isinstance(known, LimitSymbols):
        for symbol in known.symbols:
            yield symbol, counts_of(state, symbol)


def note_order(state: State[Any], symbol: str, now: int) -> None:
    """Count an order that is sent at `now`."""
    before = counts_of(state, symbol)
    kept = tuple(each for each in before.orders if now - each[0] < MINUTE_KEPT_NS)
    if kept and 0 <= now - kept[-1][0] < BUCKET_NS:
        start, count = kept[-1]
        kept = (*kept[:-1], (start, count + 1))
    else:
        kept = (*kept, (now, 1))
    put(state, symbol, replace(before, orders=kept))


def note_ended(state: State[Any], symbol: str, failed: bool, now: int) -> None:  # noqa: FBT001 -- the fact that is counted
    """Count an execution that ended at `now`, and drop orders that count no more."""
    before = counts_of(state, symbol)
    after = replace(
        before,
        orders=tuple(each for each in before.orders if now - each[0] < MINUTE_KEPT_NS),
        ended=min(COUNTED, before.ended + 1),
        failed_bits=((before.failed_bits << 1) | failed) & _NEWEST,
    )
    put(state, symbol, after)


def count_anew(state: State[Any], symbol: str, resumed_ts: int) -> None:
    """Let executions of a symbol count from the end of its halt on."""
    put(state, symbol, replace(counts_of(state, symbol), ended=0, failed_bits=0, resumed_ts=resumed_ts))


def put(state: State[Any], symbol: str, counts: LimitCounts) -> None:
    """Keep what is counted of a symbol."""
    key = counts_key(symbol)
    if key not in state:
        known = state.get(COUNTED_SYMBOLS, LimitSymbols())
        if symbol not in known.symbols:
            state.put(COUNTED_SYMBOLS, LimitSymbols(symbols=(*known.symbols, symbol)))
    state.put(key, counts)


def used(symbol: str, counts: LimitCounts, now: int) -> LimitsUsed:
    """Return what is told of a symbol's counts."""
    return LimitsUsed(
        symbol=symbol, orders=counts.sent(now), ended=counts.ended, failed=counts.failed, ts=now
    )


def step_clock(state: State[Any], by_ns: int) -> None:
    """Move the orders that are counted by so many ns, as the clock was set."""
    for symbol, counts in list(counted(state)):
        if counts.orders:
            moved = tuple((start + by_ns, count) for start, count in counts.orders)
            put(state, symbol, replace(counts, orders=moved))
