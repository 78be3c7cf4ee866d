"""What venues and markets go through in a run: conditions that hold for a while, each at each venue in turn.

They have a random stream of their own, so that a seed keeps its other faults when a condition is added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from tests.chaos.schedule import (
    BLOCKED,
    CONDITION_KINDS,
    DAILY_CUT,
    DRIFT,
    MAINTENANCE,
    ONE_SIDED,
    SHUTDOWN_NOTICE,
    SLOW_LINE,
    Action,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.chaos.schedule import Book, Request

T = TypeVar("T")

ONLY_AT: Final[Mapping[str, tuple[str, ...]]] = {
    MAINTENANCE: ("kraken",),
    SHUTDOWN_NOTICE: ("binance", "okx"),
}

FIRST_S: Final = 2.0
GAP_S: Final = (1.0, 4.0)
STATUSES: Final = (451, 403, 418, 429)
PLACES: Final = ("socket", "both")
SYSTEMS: Final = ("maintenance", "cancel_only", "post_only", "limit_only")
BLOCKED_S: Final = (2.0, 6.0)
MAINTENANCE_S: Final = (2.0, 8.0)
GRACE_S: Final = (1.0, 8.0)
ONE_SIDED_S: Final = (2.0, 6.0)
AGE_S: Final = (4.0, 10.0)
SLOW_S: Final = (3.0, 8.0)
BYTES_PER_S: Final = (60_000, 300_000)  # a snapshot of Coinbase takes a second or two
DRIFT_BPS: Final = (20.0, 150.0)
DRIFT_S: Final = (1.0, 6.0)
WHOLE_VENUE_SHARE: Final = 0.3
PROVOKED_SHARE: Final = 0.5  # of slow lines: a socket is cut, and a new snapshot comes slowly


def conditions(seed: int, seconds: float, books: Sequence[Book]) -> Iterator[Action]:
    """Yield the conditions of a run, in the order of their times; the first request is the condition."""
    random = np.random.Generator(np.random.Philox(key=[seed, 1]))
    symbols: dict[str, list[str]] = {}
    for venue, symbol in books:
        symbols.setdefault(venue, []).append(symbol)
    pairs = [
        (kind, venue) for kind in CONDITION_KINDS for venue in symbols if venue in ONLY_AT.get(kind, symbols)
    ]
    moved_bps: dict[Book, float] = {}  # by drifts that have not gone back
    at_s = FIRST_S
    while pairs:
        for index in random.permutation(len(pairs)):
            if at_s >= seconds:
                return
            kind, venue = pairs[index]
            one = (venue, symbols[venue][int(random.integers(len(symbols[venue])))])
            whole = tuple((venue, each) for each in symbols[venue])
            concerned, requests = _condition(random, kind, one, whole, moved_bps)
            yield Action(at_s=round(at_s, 3), kind=kind, books=concerned, requests=requests)
            at_s += _drawn(random, GAP_S)


def _condition(
    random: np.random.Generator, kind: str, one: Book, whole: tuple[Book, ...], moved_bps: dict[Book, float]
) -> tuple[tuple[Book, ...], tuple[Request, ...]]:
    """Return the books that it concerns, and the simulator's faults."""
    venue, symbol = one
    request: Request = {"kind": kind, "venue": venue}
    # A block or a slow line is met by those who connect: one does.
    cut: Request = {"kind": "disconnect", "venue": venue, "symbol": symbol, "once": True}
    if kind == BLOCKED:
        request |= {"status": _one_of(random, STATUSES), "at": _one_of(random, PLACES)}
        return whole, ({**request, "durationS": _drawn(random, BLOCKED_S)}, cut)
    if kind == MAINTENANCE:
        request |= {"system": _one_of(random, SYSTEMS), "durationS": _drawn(random, MAINTENANCE_S)}
        return whole, (request,)
    if kind == DAILY_CUT:
        age_s = _drawn(random, AGE_S)  # in as long, every connection comes to it once
        return whole, ({**request, "ageS": age_s, "durationS": age_s},)
    if kind == SLOW_LINE:
        speed = int(random.integers(*BYTES_PER_S))
        request |= {"bytesPerS": speed, "durationS": _drawn(random, SLOW_S)}
        return whole, (request, cut) if random.random() < PROVOKED_SHARE else (request,)
    if kind == DRIFT:
        drawn = _drawn(random, DRIFT_BPS) * _one_of(random, (1, -1))
        bps = -moved_bps.pop(one) if one in moved_bps else moved_bps.setdefault(one, drawn)
        request |= {"symbol": symbol, "bps": bps, "durationS": _drawn(random, DRIFT_S)}
        return (one,), (request,)
    if kind == SHUTDOWN_NOTICE:
        request["graceS"] = _drawn(random, GRACE_S)
    elif kind == ONE_SIDED:
        side = _one_of(random, ("bids", "asks"))
        request |= {"side": side, "durationS": _drawn(random, ONE_SIDED_S)}
    if random.random() < WHOLE_VENUE_SHARE:
        return whole, (request,)
    return (one,), ({**request, "symbol": symbol},)


def _one_of(random: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(random.integers(len(values)))]


def _drawn(random: np.random.Generator, bounds: tuple[float, float]) -> float:
    return round(float(random.uniform(*bounds)), 3)
