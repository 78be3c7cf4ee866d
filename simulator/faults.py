"""Faults on demand, by POST /control/faults; GET tells what each did (`injected`), DELETE ends all or /{id}.

**Of messages and requests**, on the wire only: the books themselves never know. To the subscribers of a venue
or of one of its symbols:

- ``drop``: a book message is not sent; ``duplicate``: sent twice; ``reorder``: sent after the next one.
- ``corrupt``: a level is damaged so that a careful client notices: on Kraken the checksum no longer fits;
  on Binance, where nothing proves a level, the update ids are damaged with it.
- ``cross``: a bid above the best ask is added, ids and checksum intact.
- ``malformed``: truncated JSON, a wrong type, NaN or a negative size, one after the other.
- ``freeze``: nothing is sent for `durationS`, pings excepted; what would have been sent is lost. Without a
  symbol heartbeats and replies cease as well.
- ``disconnect``: the sockets are cut at once; for `durationS` new ones are refused.
- ``rate_limit``: REST answers 429 with Retry-After; ``server_error``: 500 and 503 in turn; for `durationS`.

With an `endpoint` (a path of `simulator.endpoints`) a fault is of the answers of that path alone, and so are
those of venues that have no books here (deribit, binance-usdm), with or without one. Of answers there are
``rate_limit`` and ``server_error``, and two more:

- ``malformed``: truncated JSON, a web page, numbers that are objects, NaN or negative, one after the other.
- ``freeze``: for `durationS` (10) the answers are as of the first one that it meets, with its time.

`once` is the next book message (or request; at once for freeze and disconnect), for everyone who would have
got it; `probability` is tried at each. `durationS` is the length of an episode of the last four kinds, and
for the others how long the fault stays armed. Snapshots are never touched.

**Conditions** (`simulator.conditions`) begin at once and hold for `durationS`, seconds:

- ``blocked``: the venue does not serve this address: `status` (451, 403, 418 or 429, the last two with
  Retry-After) `at` the "socket"'s handshake, "rest" or "both" (the default). Sockets that are open stay.
- ``maintenance``: every client is told the `system` (maintenance, the default; cancel_only, post_only,
  limit_only), and ``online`` at the end; who connects meanwhile is told first. But for limit_only nothing is
  matched and nothing changes; heartbeats go on. Kraken only, as the others tell of none.
- ``shutdown_notice``: every client, or those of a `symbol`, are told that the connection will end, which
  it does after `graceS` (5); new ones are taken. Binance and OKX, as the others announce none.
- ``one_sided``: the `side` (asks, the default, or bids) of a book or of all of a venue is gone from the truth
  itself, so snapshots, REST and checksums agree; then its levels come back, but for those that would cross.
- ``quiet``: nothing happens in a market or in all of a venue, while its lines live.
- ``daily_cut``: each connection of a venue is cut when it becomes `ageS` old, by its own age.
- ``slow_line``: frames arrive, and REST answers are written, at `bytesPerS` a connection. Nothing is lost or
  out of order; a client for whom too much waits is cut, as ever.
- ``drift``: traders believe in a price that moves by `bps` over `durationS`, at a venue or in one market, and
  stays there; what is cleared meanwhile stays where it had come to. The whole book follows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from simulator.conditions import Conditions
from simulator.fault_requests import (
    ANSWER_KINDS,
    CONDITIONS,
    EPISODES,
    REST_KINDS,
    SOCKET_EPISODES,
    FaultKind,
    FaultStatus,
)
from simulator.malformations import MALFORMATIONS, SPOILT_ANSWERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from simulator.conditions import Condition
    from simulator.fault_requests import FaultRequest
    from simulator.venues.venue import Frame, RestReply, Update

_DEFAULT_FREEZE_S: Final = 10.0


@dataclass(slots=True)
class _Fault:
    id: int
    request: FaultRequest
    armed_until_ns: int | None
    active_until_ns: int = 0
    injected: int = 0
    spent: bool = False
    begun_ns: int = 0  # of the last episode

    def is_armed(self, now_ns: int) -> bool:
        return not self.spent and (self.armed_until_ns is None or now_ns < self.armed_until_ns)

    def concerns(self, venue: str, symbol: str | None) -> bool:
        request = self.request
        return (
            request.endpoint is None
            and request.venue == venue
            and (request.symbol is None or request.symbol == symbol)
        )

    def concerns_answer(self, venue: str, symbol: str | None, path: str, *, has_books: bool) -> bool:
        request = self.request
        if request.venue != venue or request.symbol not in {None, symbol}:
            return False
        if request.endpoint is not None:
            return request.endpoint == path
        return request.kind in (REST_KINDS if has_books else ANSWER_KINDS)


@dataclass(frozen=True, slots=True)
class RestFault:
    """What a REST request gets instead of its answer."""

    status: int
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class RestSpoiled:
    """What happens to the answer of a REST request: it is as of a time, or it is spoilt."""

    as_of_ns: int | None = None
    spoil: Callable[[RestReply], RestReply] | None = None


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Sockets to cut: all of a venue, or those that carry a symbol."""

    venue: str
    symbol: str | None


@dataclass(slots=True)
class Sent:
    """What goes out instead of an update: (topic, text) in order, and whether the sockets are cut."""

    messages: list[tuple[str, str]] = field(default_factory=list)
    disconnect: Disconnect | None = None


class Faults:
    """Decides, for each message and request, what really happens; seeded and pure."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - faults are no secret
        self._faults: list[_Fault] = []
        self._count = 0
        self._totals = dict.fromkeys(FaultKind, 0)
        self._held: dict[tuple[str, str], tuple[_Fault, Update]] = {}
        self._malformation = self._random.randrange(len(MALFORMATIONS))
        self._server_error = 0
        self._spoilt_answers = -1
        self.conditions = Conditions()

    def begin(self, request: FaultRequest, now_ns: int) -> Condition:
        """Let a condition begin."""
        self._count += 1
        return self.conditions.begin(self._count, request, now_ns)

    def add(self, request: FaultRequest, now_ns: int) -> FaultStatus:
        """Arm a fault that is no condition."""
        if request.kind in CONDITIONS:
            raise AssertionError(f"{request.kind} is not armed, it begins")
        self._count += 1
        lasts = None
        if request.duration_s is not None and request.kind not in EPISODES:
            lasts = now_ns + int(request.duration_s * NS_PER_S)
        fault = _Fault(self._count, request, lasts)
        self._faults.append(fault)
        return self._status(fault, now_ns)

    def clear(self) -> list[tuple[str, Update]]:
        """Disarm everything, end every episode and return the updates held back, with their venues."""
        self._faults.clear()
        return self.release()

    def end(self, number: int, now_ns: int) -> bool:
        """Forget a fault, or let a condition end and forget it; return whether there is one of this id."""
        kept = [fault for fault in self._faults if fault.id != number]
        found, self._faults = len(kept) < len(self._faults), kept
        return found or self.conditions.end(number, now_ns)

    def release(self) -> list[tuple[str, Update]]:
        """Return the updates held back, for when no next one comes; their faults stay armed."""
        held = [(venue, update) for (venue, _), (_, update) in self._held.items()]
        self._held.clear()
        return held

    def statuses(self, now_ns: int) -> Sequence[FaultStatus]:
        """Return every fault since the last clearing, spent ones too."""
        found = [self._status(fault, now_ns) for fault in self._faults]
        found += [condition_status(condition, now_ns) for condition in self.conditions.all]
        return sorted(found, key=lambda status: status.id)

    @property
    def totals(self) -> dict[FaultKind, int]:
        """How often each kind was injected since the start."""
        return self._totals | self.conditions.totals

    def outgoing(self, venue: str, update: Update, now_ns: int) -> Sent:
        """Return what the wire carries for an update."""
        if not self._faults:
            return Sent(_true(update))
        if self.is_silent(venue, update.symbol, now_ns):
            return Sent()
        key = (venue, update.symbol)
        if key in self._held:
            fault, earlier = self._held.pop(key)
            self._injected(fault)
            return Sent(_true(update) + _true(earlier))
        for fault in self._faults:
            request = fault.request
            if request.kind in REST_KINDS or not (
                fault.is_armed(now_ns) and fault.concerns(venue, update.symbol)
            ):
                continue
            if not (request.once or self._random.random() < (request.probability or 0.0)):
                continue
            sent = self._apply(fault, venue, update, now_ns)
            if sent is not None:
                return sent
        return Sent(_true(update))

    def due(self, connected: Callable[[str, str | None], bool], now_ns: int) -> list[Disconnect]:
        """Begin the freezes and disconnects that wait for nothing but a connection; return cuts to make."""
        cuts = []
        for fault in self._faults:
            request = fault.request
            if not (request.kind in SOCKET_EPISODES and request.once and fault.is_armed(now_ns)):
                continue
            if connected(request.venue, request.symbol):
                self._begin(fault, now_ns)
                if request.kind is FaultKind.DISCONNECT:
                    cuts.append(Disconnect(request.venue, request.symbol))
        return cuts

    def is_silent(self, venue: str, symbol: str | None, now_ns: int) -> bool:
        """Return whether a freeze covers messages of a symbol, or of the connection if None."""
        return any(
            fault.active_until_ns > now_ns
            for fault in self._faults
            if fault.request.kind is FaultKind.FREEZE and fault.concerns(venue, symbol)
        )

    def is_refused(self, venue: str, now_ns: int) -> bool:
        """Return whether a venue takes no new connections."""
        return any(
            fault.active_until_ns > now_ns
            for fault in self._faults
            if fault.request.kind is FaultKind.DISCONNECT and fault.request.venue == venue
        )

    def rest(
        self, venue: str, symbol: str | None, now_ns: int, *, path: str = "", has_books: bool = True
    ) -> RestFault | RestSpoiled | None:
        """Return the fault a REST request meets, if any."""
        for fault in self._faults:
            request = fault.request
            if not fault.concerns_answer(venue, symbol, path, has_books=has_books):
                continue
            if fault.active_until_ns <= now_ns:
                if not fault.is_armed(now_ns):
                    continue
                if not (request.once or self._random.random() < (request.probability or 0.0)):
                    continue
                self._begin(fault, now_ns)
            else:
                self._count_injection(fault)
            return self._rest_fault(fault, now_ns)
        return None

    def _rest_fault(self, fault: _Fault, now_ns: int) -> RestFault | RestSpoiled:
        match fault.request.kind:
            case FaultKind.RATE_LIMIT:
                left_s = ceil(max(0, fault.active_until_ns - now_ns) / NS_PER_S)
                return RestFault(429, max(1, left_s))
            case FaultKind.FREEZE:
                return RestSpoiled(as_of_ns=fault.begun_ns)
            case FaultKind.MALFORMED:
                self._spoilt_answers += 1
                return RestSpoiled(spoil=SPOILT_ANSWERS[self._spoilt_answers % len(SPOILT_ANSWERS)])
            case _:
                self._server_error += 1
                return RestFault(500 if self._server_error % 2 else 503, 0)

    def _apply(self, fault: _Fault, venue: str, update: Update, now_ns: int) -> Sent | None:
        """Return the spoilt update, or None if this fault can do nothing with this one."""
        match fault.request.kind:
            case FaultKind.REORDER:
                if any(holder is fault for holder, _ in self._held.values()):
                    return None  # it already holds one of another symbol
                self._held[venue, update.symbol] = (fault, update)
                return Sent()  # counted when the next update overtakes it
            case FaultKind.FREEZE:
                self._begin(fault, now_ns)
                return Sent()
            case FaultKind.DISCONNECT:
                self._begin(fault, now_ns)
                return Sent(disconnect=Disconnect(venue, update.symbol))
            case kind:
                sent = self._spoilt(kind, update)
                if sent is not None:
                    self._injected(fault)
                return sent

    def _spoilt(self, kind: FaultKind, update: Update) -> Sent | None:
        match kind:
            case FaultKind.DROP:
                return Sent()
            case FaultKind.DUPLICATE:
                return Sent(_true(update) * 2)
            case FaultKind.CORRUPT:
                return self._corrupted(update)
            case FaultKind.CROSS:
                return Sent([(frame.topic, frame.crossed(self._random)) for frame in update.frames])
            case FaultKind.MALFORMED:
                return self._malformed(update.frames)
            case _:
                raise AssertionError(f"{kind} is no fault of a message")

    def _corrupted(self, update: Update) -> Sent | None:
        spoilt = [(frame, frame.corrupted(self._random)) for frame in update.frames]
        if all(text is None for _, text in spoilt):
            return None
        return Sent([(frame.topic, frame.text() if text is None else text) for frame, text in spoilt])

    def _malformed(self, frames: Iterable[Frame]) -> Sent:
        spoil = MALFORMATIONS[self._malformation]
        self._malformation = (self._malformation + 1) % len(MALFORMATIONS)
        return Sent([(frame.topic, spoil(frame.text())) for frame in frames])

    def _begin(self, fault: _Fault, now_ns: int) -> None:
        duration_s = fault.request.duration_s
        if duration_s is None:
            duration_s = _DEFAULT_FREEZE_S if fault.request.kind is FaultKind.FREEZE else 0.0
        if fault.request.kind is FaultKind.MALFORMED:
            duration_s = 0.0  # its `durationS` is how long it stays armed
        fault.begun_ns = now_ns
        fault.active_until_ns = now_ns + int(duration_s * NS_PER_S)
        self._injected(fault)

    def _injected(self, fault: _Fault) -> None:
        fault.spent = fault.request.once
        self._count_injection(fault)

    def _count_injection(self, fault: _Fault) -> None:
        fault.injected += 1
        self._totals[fault.request.kind] += 1

    def _status(self, fault: _Fault, now_ns: int) -> FaultStatus:
        state = "armed" if fault.is_armed(now_ns) else "spent"
        state = "active" if fault.active_until_ns > now_ns else state
        return FaultStatus.of(fault.request, id=fault.id, injected=fault.injected, state=state)


def condition_status(condition: Condition, now_ns: int) -> FaultStatus:
    """Return a condition as GET /control/faults shows it."""
    state = "active" if condition.ends_ns > now_ns else "spent"
    injected = condition.injected
    return FaultStatus.of(condition.request, id=condition.id, injected=injected, state=state, once=True)


def _true(update: Update) -> list[tuple[str, str]]:
    return [(frame.topic, frame.text()) for frame in update.frames]
