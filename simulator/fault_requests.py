"""The body of POST /control/faults: the kinds, what each must and may say, and why one is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import msgspec

from simulator.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


class FaultKind(StrEnum):
    """What may go wrong; `simulator.faults` says what each does."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    CORRUPT = "corrupt"
    CROSS = "cross"
    MALFORMED = "malformed"
    FREEZE = "freeze"
    DISCONNECT = "disconnect"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    BLOCKED = "blocked"
    MAINTENANCE = "maintenance"
    SHUTDOWN_NOTICE = "shutdown_notice"
    ONE_SIDED = "one_sided"
    QUIET = "quiet"
    DAILY_CUT = "daily_cut"
    SLOW_LINE = "slow_line"
    DRIFT = "drift"


# What may be asked of answers by REST alone: of an `endpoint`, or of a venue that has no books here.
ANSWER_KINDS: Final = frozenset(
    {FaultKind.RATE_LIMIT, FaultKind.SERVER_ERROR, FaultKind.MALFORMED, FaultKind.FREEZE}
)
BOOKLESS_CONDITIONS: Final = frozenset({FaultKind.BLOCKED, FaultKind.SLOW_LINE})
SOCKET_EPISODES: Final = frozenset({FaultKind.FREEZE, FaultKind.DISCONNECT})
REST_KINDS: Final = frozenset({FaultKind.RATE_LIMIT, FaultKind.SERVER_ERROR})
EPISODES: Final = SOCKET_EPISODES | REST_KINDS

System = Literal["maintenance", "cancel_only", "post_only", "limit_only"]
Place = Literal["socket", "rest", "both"]
BookSide = Literal["bids", "asks"]

_CHOICES: Final = {
    "kind": FaultKind,
    "system": get_args(System),
    "at": get_args(Place),
    "side": get_args(BookSide),
}

BLOCK_STATUSES: Final = (403, 418, 429, 451)
DEFAULT_GRACE_S: Final = 5.0

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is asked for; `CONDITIONS` says which kinds take the last seven."""

    kind: FaultKind
    venue: str
    symbol: str | None = None  # canonical; None is every symbol
    endpoint: str | None = None  # a path of `ENDPOINTS`: the fault is of its answers; None is the whole venue
    once: bool = False
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    duration_s: _Seconds | None = None
    status: int | None = None  # of HTTP
    at: Place | None = None
    system: System | None = None
    side: BookSide | None = None
    grace_s: _Seconds | None = None
    age_s: _Seconds | None = None
    bytes_per_s: Annotated[int, msgspec.Meta(ge=100, le=10**9)] | None = None
    bps: Annotated[float, msgspec.Meta(ge=-5_000, le=5_000)] | None = None


class FaultStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One fault as GET /control/faults shows it."""

    id: int
    kind: FaultKind
    venue: str
    symbol: str | None
    once: bool
    probability: float | None
    duration_s: float | None
    injected: int
    state: str  # armed, active (an episode or a condition holds) or spent
    endpoint: str | None = None
    status: int | None = None
    at: Place | None = None
    system: System | None = None
    side: BookSide | None = None
    grace_s: float | None = None
    age_s: float | None = None
    bytes_per_s: int | None = None
    bps: float | None = None

    @classmethod
    def of(cls, request: FaultRequest, **found: object) -> FaultStatus:
        """Return a request and, from `found`, what has become of it."""
        fields: dict[str, Any] = msgspec.structs.asdict(request) | found
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a condition must and may say beside its kind, venue and ``"once": true``."""

    must: tuple[str, ...]
    may: tuple[str, ...] = ()


# Conditions begin when they are asked for and end by themselves: nothing about them is drawn.
CONDITIONS: Final[Mapping[FaultKind, Terms]] = {
    FaultKind.BLOCKED: Terms(("status", "durationS"), ("at",)),
    FaultKind.MAINTENANCE: Terms(("durationS",), ("system",)),
    FaultKind.SHUTDOWN_NOTICE: Terms((), ("symbol", "graceS")),
    FaultKind.ONE_SIDED: Terms(("durationS",), ("symbol", "side")),
    FaultKind.QUIET: Terms(("durationS",), ("symbol",)),
    FaultKind.DAILY_CUT: Terms(("ageS", "durationS")),
    FaultKind.SLOW_LINE: Terms(("bytesPerS", "durationS")),
    FaultKind.DRIFT: Terms(("bps", "durationS"), ("symbol",)),
}

# Who has words for it: Kraken's channel `status` (docs.kraken.com, WebSocket v2, as of 2026-08); Binance's
# `serverShutdown` (binance-spot-api-docs, web-socket-streams.md, as of 2026-07-21) and OKX's notice 64008
# (okx.com/docs-v5/en, WebSocket, notification, as of 2026-07-07).
SPEAKERS: Final[Mapping[FaultKind, tuple[str, ...]]] = {
    FaultKind.MAINTENANCE: ("kraken",),
    FaultKind.SHUTDOWN_NOTICE: ("binance", "okx"),
}
_INSTEAD: Final[Mapping[FaultKind, str]] = {
    FaultKind.MAINTENANCE: "it has no status stream here, so its clients see disconnect and server_error",
    FaultKind.SHUTDOWN_NOTICE: "it announces no cut here, so its clients see disconnect",
}

_OWN_FIELDS: Final = {
    field.encode_name: field.name
    for field in msgspec.structs.fields(FaultRequest)
    if field.name not in {"kind", "venue", "symbol", "endpoint", "once", "probability", "duration_s"}
}


def parse_fault(
    body: bytes,
    pairs: Iterable[tuple[str, str]],
    canonical: Callable[[str], str],
    bookless: Collection[str] = (),
) -> FaultRequest:
    """Read and check the body of POST /control/faults.

    Parameters
    ----------
    pairs
        The (venue, canonical symbol) that exist.
    canonical
        Turns a caller's spelling of a symbol into the canonical one; raises ValueError.
    bookless
        Venues of which there are no books and no sockets here, only answers by REST.

    Raises
    ------
    ValueError
        If the body is not right; the text says what would be.
    """
    try:
        request = msgspec.json.decode(body, type=FaultRequest)
    except msgspec.DecodeError as error:
        choices = "; ".join(f"{name} one of: {' '.join(choice)}" for name, choice in _CHOICES.items())
        raise ValueError(
            f"{error}; send {{kind, venue, symbol?, endpoint?, once? | probability?, durationS?}}, {choices}"
        ) from error
    _check_fields(request)
    known = list(pairs)
    if request.venue not in {venue for venue, _ in known}:
        raise ValueError(
            f"unknown venue {request.venue[:40]!r}; there are {', '.join(sorted({v for v, _ in known}))}"
        )
    speakers = SPEAKERS.get(request.kind)
    if speakers is not None and request.venue not in speakers:
        raise ValueError(
            f"{request.venue} does not tell of {request.kind}, {' and '.join(speakers)} would: "
            f"{_INSTEAD[request.kind]}"
        )
    _check_scope(request, bookless)
    if request.symbol is None:
        return request
    symbol = canonical(request.symbol)
    if (request.venue, symbol) not in known:
        there = ", ".join(s for v, s in known if v == request.venue)
        raise ValueError(f"{request.venue} has no {symbol}; it has {there}")
    return msgspec.structs.replace(request, symbol=symbol)


def _check_scope(request: FaultRequest, bookless: Collection[str]) -> None:
    """Refuse a fault of books where there are none, and an endpoint that does not exist."""
    kind, venue, endpoint = request.kind, request.venue, request.endpoint
    if endpoint is not None:
        known = ENDPOINTS.get(venue, ())
        if endpoint not in known:
            there = ", ".join(known) or "none that a fault can name"
            raise ValueError(f"{venue} has no endpoint {endpoint[:80]!r}; it has {there}")
        if kind not in ANSWER_KINDS:
            raise ValueError(f"{kind} takes no endpoint: that is for {' '.join(sorted(ANSWER_KINDS))}")
    elif venue in bookless and kind not in ANSWER_KINDS | BOOKLESS_CONDITIONS:
        takes = " ".join(sorted(ANSWER_KINDS | BOOKLESS_CONDITIONS))
        raise ValueError(f"{venue} has no books here, so it takes no {kind}; it takes {takes}")


def _check_fields(request: FaultRequest) -> None:
    """Refuse what a kind does not understand, and what it lacks."""
    kind, terms = request.kind, CONDITIONS.get(request.kind)
    said = {name for name, field in _OWN_FIELDS.items() if getattr(request, field) is not None}
    if terms is None:
        if said:
            owners = " ".join(kind for kind, own in CONDITIONS.items() if said & {*own.must, *own.may})
            raise ValueError(f"{kind} takes no {', '.join(sorted(said))}: that is for {owners}")
        if request.once == (request.probability is not None):
            raise ValueError('say either "once": true or "probability": a number above 0, up to 1')
        return
    takes = ", ".join((*terms.must, *(f"{name}?" for name in terms.may))) or "nothing more"
    if request.probability is not None:
        raise ValueError(f"{kind} begins at once, so it has no probability; it takes {takes}")
    said |= {"durationS"} if request.duration_s is not None else set()
    said |= {"symbol"} if request.symbol is not None else set()
    if missing := [name for name in terms.must if name not in said]:
        raise ValueError(f"{kind} lacks {', '.join(missing)}; it takes {takes}")
    if foreign := sorted(said - {*terms.must, *terms.may}):
        raise ValueError(f"{kind} takes no {', '.join(foreign)}; it takes {takes}")
    if request.status is not None and request.status not in BLOCK_STATUSES:
        raise ValueError(f"status is one of {', '.join(map(str, BLOCK_STATUSES))}")
