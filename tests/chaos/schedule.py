"""What goes wrong when: a seeded list of faults that meets every kind at every venue in each round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Book: TypeAlias = tuple[str, str]  # venue, canonical symbol
Request: TypeAlias = dict[str, object]  # body of POST /control/faults

MESSAGE_KINDS: Final = ("drop", "duplicate", "reorder", "corrupt", "cross", "malformed")
SOCKET_KINDS: Final = ("freeze", "disconnect")
REST_KINDS: Final = ("rate_limit", "server_error")
WIRE_KINDS: Final = (*MESSAGE_KINDS, *SOCKET_KINDS, *REST_KINDS)
BLOCKED: Final = "blocked"
MAINTENANCE: Final = "maintenance"
SHUTDOWN_NOTICE: Final = "shutdown_notice"
ONE_SIDED: Final = "one_sided"
DAILY_CUT: Final = "daily_cut"
SLOW_LINE: Final = "slow_line"
DRIFT: Final = "drift"
CONDITION_KINDS: Final = (
    BLOCKED,
    MAINTENANCE,
    SHUTDOWN_NOTICE,
    ONE_SIDED,
    DAILY_CUT,
    SLOW_LINE,
    DRIFT,
)  # see tests/chaos/conditions.py
FAULT_KINDS: Final = (*WIRE_KINDS, *CONDITION_KINDS)  # whose end the simulator knows
L2_KILLED: Final = "l2 killed"
GATEWAY_KILLED: Final = "gateway killed"
BROKER_KILLED: Final = "broker killed"
PROCESS_KINDS: Final = (L2_KILLED, BROKER_KILLED, GATEWAY_KILLED)
CLOCK_SET: Final = "clock set"
TRANSACTION_OPEN: Final = "transaction left open"
UNKNOWN_RECORDS: Final = "unknown records"
MARKET_QUIET: Final = "market quiet"
SYSTEM_KINDS: Final = (*PROCESS_KINDS, CLOCK_SET, TRANSACTION_OPEN, UNKNOWN_RECORDS)  # one at a time
STIRRING_KINDS: Final = (L2_KILLED, BROKER_KILLED, CLOCK_SET)  # all books
BOOKLESS_KINDS: Final = (GATEWAY_KILLED, TRANSACTION_OPEN, UNKNOWN_RECORDS)  # healed when /readyz says so

# A topic on which a transaction hangs, and the service that dies beside it: a state is read at a start only.
HUNG: Final = (
    ("l2.book-tops.v1", ""),
    ("execution.plans.v1", ""),
    ("router.choices.v1", ""),
    ("router.commands.v1", ""),
    ("router.commands.v1", "router"),
    *((topic.name, topic.writers[0]) for topic in TOPICS.values() if topic.private),
    ("execution.commands.v1", "execution"),
)

MEAN_GAP_S: Final = 0.7
GAP_RANGE_S: Final = (0.05, 2.0)
FIRST_KILL_S: Final = 6.0
KILL_EVERY_S: Final = 12.0
FIRST_QUIET_S: Final = 40.0
QUIET_EVERY_S: Final = 60.0
QUIET_S: Final = (26.0, 31.0)  # longer than any feed's patience with a line, and than most books are doubted
HUNG_S: Final = (1.0, 6.0)  # from the moment that /readyz names it
# Kafka refuses what is dated more than an hour ahead (log.message.timestamp.after.max.ms), so no further.
JUMPS_S: Final = ((1.0, 30.0), (60.0, 3_000.0), (-30.0, -1.0), (-3_000.0, -60.0), (-200_000.0, -86_400.0))
STORM_SHARE: Final = 0.3  # of the message faults; the others hit one message
WHOLE_VENUE_SHARE: Final = 0.3  # of freezes and disconnects
STORM_PROBABILITY: Final = (0.05, 0.4)  # of each message
STORM_S: Final = (1.0, 4.0)
FREEZE_S: Final = (0.5, 14.0)  # shorter and longer than every feed's patience
REFUSAL_S: Final = (0.1, 4.0)
REST_S: Final = (1.0, 5.0)
BROKER_AWAY_S: Final = 5.0
QUICK_RESTART_S: Final = 1.0  # a supervisor's: the worker gets its own books back
SLOW_RESTART_S: Final = 9.0  # longer than a member's session: its books move to other workers, and back


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that goes wrong.

    Attributes
    ----------
    at_s
        On the clock of the run, which stands still while books are compared.
    kind
        Of `FAULT_KINDS` or `SYSTEM_KINDS`, or `MARKET_QUIET`.
    books
        Those that must be LIVE again afterwards.
    requests
        The simulator's faults in their order; the first one gives the kind, unless it is a process that ends.
    """

    at_s: float
    kind: str
    books: tuple[Book, ...]
    requests: tuple[Request, ...] = ()
    worker: int = 0  # which l2, if it is killed
    away_s: float = 0.0  # how long a killed process stays away
    lasts_s: float = 0.0  # of a transaction or a quiet market
    by_s: float = 0.0  # by which the clock is set
    topic: str = ""  # on which a transaction hangs
    service: str = ""  # that is killed beside it
    seed: int = 0  # of the records that nobody knows


def schedule(seed: int, seconds: float, books: Sequence[Book], workers: int) -> tuple[Action, ...]:
    """Return the faults of a run, in the order of their times."""
    random = np.random.Generator(np.random.Philox(key=seed))
    actions = [
        *_faults(random, seconds, books),
        *_system(random, seconds, books, workers),
        *_quiet(random, seconds, books),
    ]
    return tuple(sorted(actions, key=lambda action: action.at_s))


def _faults(random: np.random.Generator, seconds: float, books: Sequence[Book]) -> Iterator[Action]:
    symbols: dict[str, list[str]] = {}
    for venue, symbol in books:
        symbols.setdefault(venue, []).append(symbol)
    pairs = [(kind, venue) for kind in WIRE_KINDS for venue in symbols]
    at_s = 0.0
    while True:
        for index in random.permutation(len(pairs)):
            at_s += float(np.clip(random.exponential(MEAN_GAP_S), *GAP_RANGE_S))
            if at_s >= seconds:
                return
            kind, venue = pairs[index]
            yield _fault(random, at_s, kind, venue, symbols)


def _fault(
    random: np.random.Generator, at_s: float, kind: str, venue: str, symbols: Mapping[str, Sequence[str]]
) -> Action:
    symbol = symbols[venue][int(random.integers(len(symbols[venue])))]
    one: tuple[Book, ...] = ((venue, symbol),)
    target: Request = {"kind": kind, "venue": venue, "symbol": symbol}
    if kind in MESSAGE_KINDS:
        if random.random() < STORM_SHARE:
            return Action(at_s=at_s, kind=kind, books=one, requests=(_storm(random, kind, venue, symbol),))
        return Action(at_s=at_s, kind=kind, books=one, requests=({**target, "once": True},))
    if kind in SOCKET_KINDS:
        lasts = _drawn(random, FREEZE_S if kind == "freeze" else REFUSAL_S)
        request: Request = {**target, "once": True, "durationS": lasts}
        if random.random() < WHOLE_VENUE_SHARE:
            del request["symbol"]
            one = tuple((venue, each) for each in symbols[venue])
        return Action(at_s=at_s, kind=kind, books=one, requests=(request,))
    refusal: Request = {**target, "once": True, "durationS": _drawn(random, REST_S)}
    # Nobody asks by REST while all is well, so a fault that needs a new snapshot comes with it.
    provocation: Request = {**target, "kind": ("drop", "disconnect")[int(random.integers(2))], "once": True}
    return Action(at_s=at_s, kind=kind, books=one, requests=(refusal, provocation))


def _system(
    random: np.random.Generator, seconds: float, books: Sequence[Book], workers: int
) -> Iterator[Action]:
    at_s, ahead_s = FIRST_KILL_S, 0.0
    while True:
        for index in random.permutation(len(SYSTEM_KINDS)):
            if at_s >= seconds:
                return
            kind = SYSTEM_KINDS[index]
            if kind in PROCESS_KINDS:
                yield _kill(random, at_s, kind, books, workers)
            elif kind == CLOCK_SET:
                by_s = -ahead_s or _jump(random)  # there, and the next time back
                ahead_s += by_s
                yield Action(at_s=at_s, kind=kind, books=tuple(books), by_s=by_s)
            elif kind == TRANSACTION_OPEN:
                topic, service = HUNG[int(random.integers(len(HUNG)))]
                lasts_s = _drawn(random, HUNG_S)
                yield Action(at_s=at_s, kind=kind, books=(), lasts_s=lasts_s, topic=topic, service=service)
            else:
                yield Action(at_s=at_s, kind=kind, books=(), seed=int(random.integers(2**31)))
            at_s += KILL_EVERY_S


def _kill(random: np.random.Generator, at_s: float, kind: str, books: Sequence[Book], workers: int) -> Action:
    away_s = BROKER_AWAY_S if kind == BROKER_KILLED else QUICK_RESTART_S
    worker = int(random.integers(workers))
    if kind == L2_KILLED and workers > 1 and random.random() < 0.5:
        away_s = SLOW_RESTART_S
    storms = tuple(
        _storm(random, MESSAGE_KINDS[int(random.integers(len(MESSAGE_KINDS)))], *books[which])
        for which in random.choice(len(books), size=min(2, len(books)), replace=False)
    )
    concerned = () if kind == GATEWAY_KILLED else tuple(books)
    requests = storms if concerned else ()
    return Action(at_s=at_s, kind=kind, books=concerned, requests=requests, worker=worker, away_s=away_s)


def _jump(random: np.random.Generator) -> float:
    return _drawn(random, JUMPS_S[int(random.integers(len(JUMPS_S)))])


def _quiet(random: np.random.Generator, seconds: float, books: Sequence[Book]) -> Iterator[Action]:
    at_s = FIRST_QUIET_S
    while at_s < seconds:
        venue, symbol = books[int(random.integers(len(books)))]
        quiet: tuple[Book, ...] = ((venue, symbol),)
        request: Request = {
            "kind": "quiet",
            "venue": venue,
            "symbol": symbol,
            "durationS": _drawn(random, QUIET_S),
        }
        if random.random() < WHOLE_VENUE_SHARE:
            del request["symbol"]
            quiet = tuple(book for book in books if book[0] == venue)
        lasts_s = float(str(request["durationS"]))
        yield Action(at_s=at_s, kind=MARKET_QUIET, books=quiet, requests=(request,), lasts_s=lasts_s)
        at_s += QUIET_EVERY_S


def _storm(random: np.random.Generator, kind: str, venue: str, symbol: str) -> Request:
    return {
        "kind": kind,
        "venue": venue,
        "symbol": symbol,
        "probability": _drawn(random, STORM_PROBABILITY),
        "durationS": _drawn(random, STORM_S),
    }


def _drawn(random: np.random.Generator, bounds: tuple[float, float]) -> float:
    return round(float(random.uniform(*bounds)), 3)
