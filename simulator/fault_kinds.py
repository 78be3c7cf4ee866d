"""GET /control/kinds: every kind of fault, what each must and may say, and what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import msgspec

from simulator.fault_requests import (
    ANSWER_KINDS,
    BLOCK_STATUSES,
    CONDITIONS,
    SPEAKERS,
    BookSide,
    FaultKind,
    Place,
    System,
    Terms,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHEN: Final = "once|probability"  # one of the two
MEANINGS: Final[Mapping[FaultKind, str]] = {
    FaultKind.DROP: "a book message is not sent",
    FaultKind.DUPLICATE: "a book message is sent twice",
    FaultKind.REORDER: "a book message is sent after the next one",
    FaultKind.CORRUPT: "a level is damaged so that a careful client notices",
    FaultKind.CROSS: "a bid above the best ask is added, ids and checksum intact",
    FaultKind.MALFORMED: "truncated JSON, a wrong type, NaN or a negative size, one after the other",
    FaultKind.FREEZE: "nothing is sent for durationS; what would have been sent is lost",
    FaultKind.DISCONNECT: "the sockets are cut at once, and new ones are refused for durationS",
    FaultKind.RATE_LIMIT: "REST answers 429 with Retry-After for durationS",
    FaultKind.SERVER_ERROR: "REST answers 500 and 503 in turn for durationS",
    FaultKind.BLOCKED: "the venue does not serve this address: status at the handshake, at REST or both",
    FaultKind.MAINTENANCE: "every client is told of maintenance; nothing is matched, heartbeats go on",
    FaultKind.SHUTDOWN_NOTICE: "clients are told that the connection ends, which it does after graceS",
    FaultKind.ONE_SIDED: "a side of the book is gone from the truth itself, then comes back",
    FaultKind.QUIET: "nothing happens in the market, while its lines live",
    FaultKind.DAILY_CUT: "each connection is cut when it becomes ageS old",
    FaultKind.SLOW_LINE: "frames arrive at bytesPerS a connection; nothing is lost or out of order",
    FaultKind.DRIFT: "the price moves by bps over durationS and stays there",
}
_CHOICES: Final[Mapping[str, tuple[str | int, ...]]] = {
    "status": BLOCK_STATUSES,
    "at": get_args(Place),
    "system": get_args(System),
    "side": get_args(BookSide),
}


class KindOfFault(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What may be asked for."""

    kind: FaultKind
    must: tuple[str, ...]  # beside kind and venue; `a|b` is one of the two
    may: tuple[str, ...]
    venues: tuple[str, ...]  # that have words for it; empty: all
    choices: Mapping[str, tuple[str | int, ...]]  # of the fields that take no other values
    meaning: str


def kinds() -> list[KindOfFault]:
    """Return all of them."""
    return [_kind(kind) for kind in FaultKind]


def _kind(kind: FaultKind) -> KindOfFault:
    terms = CONDITIONS.get(kind)
    if terms is None:
        terms = Terms((_WHEN,), ("symbol", "durationS", *(("endpoint",) if kind in ANSWER_KINDS else ())))
    return KindOfFault(
        kind=kind,
        must=terms.must,
        may=terms.may,
        venues=SPEAKERS.get(kind, ()),
        choices={field: _CHOICES[field] for field in (*terms.must, *terms.may) if field in _CHOICES},
        meaning=MEANINGS[kind],
    )
