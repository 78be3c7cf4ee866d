"""An execution world whose whole log is taped: what came late, out of order, anew or ahead of its time too.

A decision is made again by a process that knows nothing but the log cut at its instant: each topic up to
there, one topic after the other, and the state's own log.
"""

from __future__ import annotations

from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from libs.common.codec import decode, encode
from libs.common.events import (
    BOOK,
    AuditEntry,
    BookState,
    ChoosePolicy,
    Event,
    ScoreVenues,
    SymbolRisk,
    VenueCandidate,
    VenueShare,
)
from libs.common.topics import book_key, signal_key
from services.execution.app import wiring
from services.execution.handlers import handle
from services.execution.kept import ExecutionState
from services.execution.market_data import MarketData
from tests.execution_market import (
    EPOCH,
    NOW,
    a_book_health,
    a_book_top,
    a_candle,
    a_policy_chosen,
    a_risk_budget,
    a_venue_scored,
)
from tests.execution_world import DAY, MINUTE, ExecutionWorld, S
from tests.policies_of_others import OTHERS, registration, some_signal

if TYPE_CHECKING:
    from libs.common.events import Candle
    from libs.common.views import View
    from services.execution.settings import ExecutionSettings

SYMBOL: Final = "BTC-USDT"
VENUES: Final = ("binance", "bybit", "okx")
POLICIES: Final = ("p_sma", "p_meanrev", "p_obi", "p_breakout", *OTHERS, *OTHERS)
MID: Final = 60_000.25
LATEST_S: Final = 300  # that a record may come after its moment


class Told(NamedTuple):
    """A record of a topic that a view reads."""

    view: int  # its place among those of the service
    key: bytes
    event: Event | None


class Handled(NamedTuple):
    """A message, and what was decided on it."""

    records: int  # told before
    states: int  # changes of the state written before
    message: Any
    now: int  # ns UTC
    entries: tuple[AuditEntry, ...]


class Tape(NamedTuple):
    """The log."""

    settings: ExecutionSettings
    told: list[Told]
    states: list[tuple[bytes, bytes | None]]  # the state's own log
    handled: list[Handled]


class TapedWorld(ExecutionWorld):
    """One execution after the other, in a market of which everything may be told late."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.coming: list[tuple[int, Told]] = []  # what is not told yet, with when it will be
        super().__init__(
            allow_short=True, split_fixed_bps=0.0, deadline_s=240.0, horizon_s=90.0, remember_s=60.0
        )
        self.tape = Tape(self.settings, [], [], [])
        self.mid, self.closed, self.version = MID, NOW // MINUTE, "v0"
        self.epochs = dict.fromkeys(VENUES, EPOCH)
        for n in range(60, 0, -1):
            close = MID * (1 - 0.004 * n) * (1 + 0.01 * (-1) ** n)
            self._candle(a_candle("1d", NOW - n * DAY, close), 0)
            for venue in VENUES:
                close = MID * (1 + 0.0004 * self.random.gauss(0, 1))
                self._candle(a_candle("1m", NOW - n * MINUTE, close, venue=venue), 0)
        risks = {SYMBOL: SymbolRisk(cvar=0.05, vol=0.02, weight=0.0, used=0.0)}
        self.fold(self.market.risk, BOOK.encode(), a_risk_budget(by_symbol=risks))
        for name in OTHERS:
            self.fold(self.market.policies, name.encode(), registration(name, self.version))
        self.beat()

    # The log

    def fold(self, view: View[Any], key: bytes, event: Event | None) -> None:
        at = next(n for n, each in enumerate(self.market.views) if each is view)
        self.tape.told.append(Told(at, key, event))
        super().fold(view, key, event)

    def deliver(self, message: Any) -> list[Event]:
        records, states = len(self.tape.told), len(self.tape.states)
        events = super().deliver(message)
        changes = [(key, None if of is None else encode(of)) for key, of in self.state.take_changes()]
        entries = tuple(event for event in events if isinstance(event, AuditEntry))
        self.tape.handled.append(Handled(records, states, message, self.now, entries))
        self.tape.states.extend(changes)
        return events

    # The market

    def run(self, executions: int) -> None:
        """Let so many executions begin and end."""
        for n in range(executions):
            self._pass(self.random.choice((0.5, 3.0, 20.0, 70.0)))
            self.execute(f"execution {n}", urgency=self.random.choice((1.0, 1.0, 0.5)), max_venues=3)
            while self.open:
                while self.unanswered:
                    self.answer()
                self._pass(self.random.choice((0.02, 0.1, 1.0, 5.0)))

    def answer_to(self, command: Event) -> Event:
        if isinstance(command, ChoosePolicy):
            return a_policy_chosen(command.command_id, self.random.choice(POLICIES), forecast_vol=0.02)
        if isinstance(command, ScoreVenues):
            over = VENUES[: self.random.choice((1, 2, 3))]
            shares = tuple(VenueShare(venue=venue, size=command.size / len(over)) for venue in over)
            candidates = tuple(
                VenueCandidate(venue=each, eligible=True, score=-10.0, reasons=()) for each in over
            )
            given = {"candidates": candidates, "allocation": shares}
            return a_venue_scored(command.command_id, command.size, command.side, **given)
        return super().answer_to(command)

    def beat(self) -> None:
        """Tell all books."""
        for venue in VENUES:
            if self.random.random() < 0.02:
                self.epochs[venue] += 1  # it was synchronised anew
            sizes = [self.random.choice((0.3, 1.0, 2.0)) for _ in range(80)]
            bids = tuple((round(self.mid - 0.25 - 0.5 * n, 4), sizes[n]) for n in range(40))
            asks = tuple((round(self.mid + 0.25 + 0.5 * n, 4), sizes[40 + n]) for n in range(40))
            book = {"venue": venue, "epoch": self.epochs[venue]}
            top = a_book_top(**book, received_ts=self.now, bids=bids, asks=asks)
            self.fold(self.market.tops, book_key(venue, SYMBOL), top)
            state = BookState.GAP if self.random.random() < 0.03 else BookState.LIVE
            health = a_book_health(**book, state=state, ts=self.now)
            self.fold(self.market.healths, book_key(venue, SYMBOL), health)

    def _pass(self, seconds: float) -> None:
        self.mid += 0.5 * self.random.randrange(-40, 41)
        self._say()
        self.advance(seconds)
        while self.closed < self.now // MINUTE:
            self._close()
        due = sorted((each for each in self.coming if each[0] <= self.now), key=itemgetter(0))
        self.coming = [each for each in self.coming if each[0] > self.now]
        for _, (view, key, event) in due:
            self.fold(self.market.views[view], key, event)
        self.beat()

    def _close(self) -> None:
        """Let a minute close; some are told late, some again and otherwise, and one in ten by nobody."""
        for venue in VENUES:
            for _ in range(self.random.choices((0, 1, 2), (1, 8, 1))[0]):
                close = self.mid * (1 + 0.0003 * self.random.gauss(0, 1))
                candle = a_candle("1m", self.closed * MINUTE, close, venue=venue)
                self._candle(candle, self.random.choice((0, 0, 1, 30, LATEST_S)))
        self.closed += 1

    def _candle(self, candle: Candle, late_s: int) -> None:
        view = self.market.candles.views[0]
        self._tell(view, f"{candle.venue}:{SYMBOL}".encode(), candle, late_s)

    def _say(self) -> None:
        """Let policies of others signal, and be registered anew."""
        for name in OTHERS:
            if self.random.random() < 0.5:
                signal = some_signal(self.random, name, SYMBOL, self.version, self.now)
                late_s = self.random.choice((0, 0, 5, 30))
                self._tell(self.market.signals, signal_key(name, SYMBOL), signal, late_s)
        if self.random.random() < 0.03:
            self.version = f"v{self.now}"
            for name in OTHERS:
                self._tell(self.market.policies, name.encode(), registration(name, self.version), 1)

    def _tell(self, view: View[Any], key: bytes, event: Event | None, late_s: int) -> None:
        """Tell it now, or when so many seconds have passed."""
        if not late_s:
            self.fold(view, key, event)
            return
        at = next(n for n, each in enumerate(self.market.views) if each is view)
        self.coming.append((self.now + late_s * S, Told(at, key, event)))


def decisions(tape: Tape, kinds: set[str]) -> list[tuple[Handled, AuditEntry]]:
    """Return the recorded decisions of these kinds, with the message on which each was made."""
    return [(each, entry) for each in tape.handled for entry in each.entries if entry.kind in kinds]


def made_again(tape: Tape, handled: Handled) -> tuple[AuditEntry, ...]:
    """Return what is decided on a message by who knows the log cut at its instant."""
    market, state = MarketData(tape.settings), ExecutionState()
    told = sorted(enumerate(tape.told[: handled.records]), key=_topic)
    for offset, (place, key, event) in told:  # topic after topic
        market.views[place].fold(0, offset, key, event)
    log, compacted = wiring(tape.settings).state, dict[bytes, bytes | None]()
    for key, value in tape.states[: handled.states]:
        compacted.pop(key, None)
        compacted[key] = value
    for key, value in compacted.items():
        state.restore(key, None if value is None else decode(log, value))
    events = handle(state, handled.message, handled.now, market)
    return tuple(event for event in events if isinstance(event, AuditEntry))


def _topic(record: tuple[int, Told]) -> int:
    return record[1].view


def all_made_again(tape: Tape, places: list[int]) -> list[tuple[AuditEntry, ...]]:
    """Return the same of several messages, each for itself; called in another process."""
    return [made_again(tape, tape.handled[place]) for place in places]


def minutes_told(tape: Tape, handled: Handled, venue: str) -> list[tuple[int, float]]:
    """Return begins and closes of a venue's minutes that were told before, by the last word on each."""
    found: dict[int, float] = {}
    for _, _, event in tape.told[: handled.records]:
        if getattr(event, "interval", "") == "1m" and getattr(event, "venue", "") == venue:
            candle: Any = event
            found[candle.open_ts] = candle.close
    return sorted(found.items())
