"""What a book asks of its venue about its symbol, and what it does with the answer."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.common.events import BookHealth, BookSnapshot, BookState, BookTop, InstrumentTerms
from libs.common.time_units import DAY_NS, NS_PER_MS
from services.l2.app import policy_of
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.instruments import RETRY_MAX_NS, RETRY_MIN_NS, START_SPREAD_NS, InstrumentRequests
from services.l2.messages import (
    BookWanted,
    CandlesKnown,
    ClockSet,
    CloseSocket,
    DeadLetter,
    Fetch,
    L2Message,
    OpenSocket,
    PongReceived,
    ReplyReceived,
    SocketOpened,
    TermsChanged,
    TermsUnknown,
    Tick,
)
from services.l2.rate_limits import RESERVE, VenueBudget
from services.l2.settings import L2Settings
from tests.l2_world import POLICY, START
from tests.model_exchange import BinanceModel

if TYPE_CHECKING:
    from services.l2.session import BookSession

S = BookState
SECOND = 1000 * NS_PER_MS
INVALID = 400, b'{"code":-1121,"msg":"Invalid symbol."}'
GIVEN_UP_S = POLICY.given_up_ns // SECOND
UNLISTED_REASON = f"the venue says: -1121 Invalid symbol.; given up for {GIVEN_UP_S} s"


def info(tick: str = "0.01", lot: str = "0.00001", status: str = "TRADING") -> tuple[int, bytes]:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "stepSize": lot},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ]
    answer = {"symbols": [{"symbol": "BTCUSDT", "status": status, "filters": filters}]}
    return 200, json.dumps(answer).encode()


TERMS = InstrumentTerms(
    tick=Decimal("0.01"), lot=Decimal("0.00001"), min_qty=Decimal("0.00001"), min_notional=Decimal(5)
)


@dataclass
class Venue:
    """Binance's BTC-USDT, which it answers for as the test says; a step is 50 ms, an answer takes one."""

    instrument: tuple[int, bytes]
    snapshot: tuple[int, bytes] = field(default_factory=lambda: (200, BinanceModel(3).snapshot()))
    venue: str = "binance"
    now: int = START
    asked: Counter[str] = field(default_factory=Counter)  # requests by purpose, and sockets
    fetches: list[Fetch] = field(default_factory=list)
    said: list[object] = field(default_factory=list)
    healths: list[BookHealth] = field(default_factory=list)
    open: bool = False

    def __post_init__(self) -> None:
        policy = dataclasses.replace(POLICY, history_days=2)
        self.l2 = State(FEEDS, lambda _: ("ws://test", "http://test"), policy)
        self.key = f"{self.venue}:BTC-USDT"
        self.tell(BookWanted(self.venue, "BTC-USDT", 0))
        self.tell(CandlesKnown(self.key, ()))

    def tell(self, message: L2Message) -> None:
        for output in handle(self.l2, message, self.now):
            match output:
                case OpenSocket():
                    self.asked["socket"] += 1
                    self.open = True
                    self.tell(SocketOpened(output.key, output.connection))
                case CloseSocket():
                    self.open = False
                case Fetch():
                    self.asked[output.purpose.partition("-")[0]] += 1
                    self.fetches.append(output)
                case BookHealth():
                    self.healths.append(output)
                case _:
                    self.said.append(output)

    def run(self, seconds: float, step: int = 50 * NS_PER_MS) -> None:
        end = self.now + round(seconds * SECOND)
        while self.now < end:
            self.now += step
            pending, self.fetches = self.fetches, []
            for each in pending:
                kind = each.purpose
                answers = {"instrument": self.instrument, "snapshot": self.snapshot}
                status, body = answers.get(kind, (400, INVALID[1]))
                self.tell(ReplyReceived(each.key, each.request, each.purpose, status, body))
            if self.open:
                self.tell(PongReceived(self.key, self.session.connection))
            self.tell(Tick())

    def until_told(self, kind: type) -> BookHealth:
        """Go on by seconds, for a day, until something of that kind is said; return the health before."""
        for _ in range(DAY_NS // SECOND):
            before, told = self.health, len(self.said)
            self.run(1, step=SECOND)
            if any(isinstance(each, kind) for each in self.said[told:]):
                return before
        raise AssertionError(f"no {kind.__name__} within a day")

    @property
    def session(self) -> BookSession:
        return self.l2.sessions[self.key]

    @property
    def health(self) -> BookHealth:
        return self.healths[-1]

    def state(self) -> BookState:
        return self.health.state

    def told(self, kind: type) -> list[object]:
        return [each for each in self.said if isinstance(each, kind)]


def test_the_terms_of_the_venue_are_in_every_health_and_ask_for_nothing_else() -> None:
    venue = Venue(info())
    assert venue.healths == [] or venue.health.terms is None
    venue.run(5)
    assert venue.state() is S.LIVE
    assert venue.health.terms == TERMS
    assert venue.asked["instrument"] == 1
    assert venue.told(TermsChanged) == venue.told(TermsUnknown) == []


@pytest.mark.parametrize(
    "answer",
    [(404, b"404: Not Found"), (200, b"<html>"), info("0"), (0, b"no route"), (503, b""), (429, b"")],
    ids=lambda answer: str(answer)[:20],
)
def test_a_venue_that_does_not_tell_is_no_gate_and_the_tables_terms_hold(answer: tuple[int, bytes]) -> None:
    venue = Venue(answer)
    venue.run(100)
    assert venue.state() is S.LIVE
    assert {health.state for health in venue.healths[12:]} == {S.LIVE}
    assert venue.health.terms is None
    assert venue.asked["socket"] == 1
    answered = answer[0] in {200, 404}
    assert len(venue.told(TermsUnknown)) == answered, "said once"
    assert len(venue.told(DeadLetter)) == (answer[0] == 200)
    assert venue.asked["instrument"] == 1 if answered else venue.asked["instrument"] in {2, 3}


def test_what_is_not_answered_is_asked_again_after_growing_pauses() -> None:
    requests = InstrumentRequests(FEEDS["okx"], "BTC-USDT", "u", VenueBudget.of("okx"), POLICY, START)
    now, pauses = START, []
    for _ in range(8):
        asked = now
        while not (out := requests.fetch(now)):
            now += SECOND
        pauses.append(now - asked)
        (fetch,) = out
        assert isinstance(fetch, Fetch)
        requests.on_reply(ReplyReceived(fetch.key, fetch.request, "instrument", 0, b"reset"), now, live=True)
    assert pauses[0] <= START_SPREAD_NS
    assert pauses[1:] == [min(RETRY_MAX_NS, RETRY_MIN_NS << n) for n in range(7)]


def test_it_is_asked_again_within_a_day_and_no_two_books_at_the_same_time() -> None:
    ages = []
    for venue in ("binance", "okx", "kraken", "coinbase", "bybit"):
        requests = InstrumentRequests(FEEDS[venue], "BTC-USDT", "u", VenueBudget.of(venue), POLICY, START)
        (fetch,) = requests.fetch(START + START_SPREAD_NS)
        assert isinstance(fetch, Fetch)
        answered = START + 2 * SECOND
        requests.on_reply(
            ReplyReceived(fetch.key, fetch.request, "instrument", 404, b""), answered, live=True
        )
        now = answered
        while not requests.fetch(now):
            now += 60 * SECOND
        ages.append(now - answered)
    assert all(0.75 * DAY_NS <= age <= DAY_NS for age in ages)
    assert len(set(ages)) == len(ages)


def test_asking_costs_what_the_venue_counts_and_leaves_the_reserve_alone() -> None:
    budget = VenueBudget.of("binance")
    requests = InstrumentRequests(FEEDS["binance"], "BTC-USDT", "u", budget, POLICY, START)
    capacity = budget.limits.rest_capacity
    budget.rest.take(capacity * (1 - RESERVE) - 19, START + SECOND)  # a request weighs 20
    assert requests.fetch(START + SECOND) == []
    assert requests.fetch(START + 2 * SECOND) != []
    assert budget.rest.left(START + 2 * SECOND) >= RESERVE


def test_a_symbol_that_is_not_listed_opens_no_socket_after_the_first_answer() -> None:
    venue = Venue(INVALID, snapshot=INVALID)
    venue.run(2)
    assert venue.state() is S.REFUSED
    assert venue.health.reason == UNLISTED_REASON
    assert not venue.open
    began = venue.now - 2 * SECOND
    sockets, requests = venue.asked["socket"], venue.asked.total() - venue.asked["socket"]
    assert sockets == 1
    assert requests <= 3
    venue.run(600 - (venue.now - began) / SECOND)
    assert venue.asked["socket"] == sockets
    assert venue.asked.total() == sockets + requests
    since = venue.health.since_ts
    venue.run(GIVEN_UP_S)
    assert venue.asked["instrument"] == 2, "one request in so many seconds"
    assert venue.asked.total() == sockets + requests + 1
    assert (venue.health.since_ts, venue.health.reason) == (since, UNLISTED_REASON)
    assert venue.health.disconnects == 1


def test_the_snapshot_says_it_too_where_the_instrument_is_not_told() -> None:
    venue = Venue((404, b"404: Not Found"), snapshot=INVALID)
    venue.run(GIVEN_UP_S)
    assert venue.state() is S.REFUSED
    assert "-1121" in venue.health.reason
    assert venue.asked["socket"] == 2, "who says no twice means it"


def test_a_venue_that_is_not_asked_refuses_by_its_snapshot() -> None:
    venue = Venue((404, b""), snapshot=INVALID, venue="binance-usdm")
    venue.run(GIVEN_UP_S - 20)
    assert venue.asked["instrument"] == 0
    assert venue.asked["socket"] == 2
    assert venue.state() is S.REFUSED


def a_live_book_said_to_be_halted() -> Venue:
    venue = Venue((503, b""))
    venue.run(5)
    venue.instrument = info(status="HALT")
    venue.run(RETRY_MIN_NS / SECOND)
    assert venue.asked["instrument"] == 2
    return venue


def test_a_live_book_is_let_go_of_only_when_the_venue_says_so_twice() -> None:
    venue = a_live_book_said_to_be_halted()
    assert venue.state() is S.LIVE, "it streams the book, and says that there is none"
    venue.run(RETRY_MIN_NS / SECOND + 1)
    assert venue.asked["instrument"] == 3
    assert venue.state() is S.REFUSED
    assert venue.health.reason.startswith("the venue says: status HALT")
    assert not venue.open


def test_an_answer_that_takes_itself_back_costs_nothing() -> None:
    venue = a_live_book_said_to_be_halted()
    venue.instrument = info()
    venue.run(RETRY_MIN_NS / SECOND + 60)
    assert (venue.asked["socket"], venue.asked["snapshot"], venue.asked["instrument"]) == (1, 1, 3)
    assert venue.state() is S.LIVE


@pytest.mark.parametrize("answer", [info(), (404, b"404: Not Found")], ids=["trades", "unknown"])
def test_a_halted_symbol_that_trades_again_comes_back_by_itself(answer: tuple[int, bytes]) -> None:
    venue = Venue(info(status="BREAK"), snapshot=(500, b"busy"))
    venue.run(5)
    assert venue.state() is S.REFUSED
    venue.instrument, venue.snapshot = answer, (200, BinanceModel(3).snapshot())
    venue.run(GIVEN_UP_S + 5)
    assert venue.state() is S.LIVE
    assert venue.asked["socket"] == 2


def test_a_refused_symbol_whose_venue_does_not_answer_waits_for_an_answer() -> None:
    venue = Venue(info(status="BREAK"), snapshot=(500, b"busy"))
    venue.run(5)
    venue.instrument = 503, b""
    venue.run(GIVEN_UP_S + 120)
    assert venue.asked["socket"] == 1
    assert venue.asked["instrument"] == 4
    assert venue.state() is S.REFUSED


@pytest.mark.parametrize("refusal", [info(status="BREAK"), (503, b"")], ids=["instrument", "snapshot"])
def test_a_refused_symbol_whose_venue_never_answers_is_tried_after_all(refusal: tuple[int, bytes]) -> None:
    venue = Venue(refusal, snapshot=INVALID)
    venue.run(10)
    venue.instrument = 503, b""
    venue.run(60)
    assert venue.state() is S.REFUSED
    venue.snapshot = 200, BinanceModel(3).snapshot()
    venue.run(2 * GIVEN_UP_S, step=SECOND)
    assert venue.state() is S.LIVE


def test_a_changed_tick_is_taken_over_with_a_new_epoch_and_said() -> None:
    venue = Venue(info())
    venue.run(5)
    venue.instrument = info(tick="0.10")
    before = venue.until_told(TermsChanged)
    (said,) = venue.told(TermsChanged)
    venue.said = venue.said[venue.said.index(said) :]
    assert said == TermsChanged(venue.key, TERMS, replace(TERMS, tick=Decimal("0.1")))
    (keyframe,) = [each for each in venue.told(BookSnapshot) if each.reason == "resync"]  # type: ignore[attr-defined]
    assert isinstance(keyframe, BookSnapshot)
    assert keyframe.epoch > before.epoch
    assert keyframe.seq == 1
    top = next(each for each in venue.said[venue.said.index(keyframe) :] if isinstance(each, BookTop))
    assert (top.epoch, top.bids) == (keyframe.epoch, keyframe.bids[: len(top.bids)])
    assert venue.health.epoch == keyframe.epoch
    assert venue.health.terms == said.after
    assert venue.state() is S.LIVE
    assert {health.state for health in venue.healths[-1000:]} == {S.LIVE}
    assert venue.health.disconnects == before.disconnects, "nothing was lost"


def test_a_smaller_minimum_needs_no_new_epoch_but_is_said() -> None:
    venue = Venue(info())
    venue.run(5)
    venue.instrument = 200, info()[1].replace(b'"5.00000000"', b'"1.00000000"')
    before = venue.until_told(TermsChanged)
    assert len(venue.told(TermsChanged)) == 1
    assert venue.health.epoch == before.epoch
    assert venue.health.terms == replace(TERMS, min_notional=Decimal(1))


def test_terms_that_differ_from_the_tables_at_the_start_are_said_and_held() -> None:
    venue = Venue(info(lot="0.00100000"))
    venue.run(5)
    (said,) = venue.told(TermsChanged)
    assert isinstance(said, TermsChanged)
    assert (said.before, said.after.lot) == (TERMS, Decimal("0.001"))
    assert venue.health.terms == said.after


def test_a_step_of_the_clock_forgets_neither_the_terms_nor_the_refusal() -> None:
    venue = Venue(info())
    venue.run(5)
    venue.now += 3600 * SECOND
    venue.tell(ClockSet(3600 * SECOND))
    venue.run(5)
    assert venue.health.terms == TERMS
    assert venue.asked["instrument"] == 1
    refused = Venue(INVALID, snapshot=INVALID)
    refused.run(5)
    refused.now += 3600 * SECOND
    refused.tell(ClockSet(3600 * SECOND))
    refused.run(600)
    assert refused.state() is S.REFUSED
    assert refused.asked["socket"] == 1


@pytest.mark.parametrize("feed", ["replay:recording.jsonl", "simulator", "live"])
def test_only_a_recording_is_asked_for_no_instruments(feed: str) -> None:
    policy = policy_of(L2Settings(feed=feed))
    for venue in ("binance", "bybit", "coinbase", "kraken", "okx", "bitstamp"):
        requests = InstrumentRequests(FEEDS[venue], "BTC-USDT", "u", VenueBudget.of(venue), policy, START)
        assert bool(requests.fetch(START + SECOND)) == (not feed.startswith("replay"))
        requests.refuse(START)
        assert requests.refused == (not feed.startswith("replay")), "else a socket has to show"


def test_a_new_owner_goes_by_what_the_venue_told_the_one_before_until_it_answers() -> None:
    venue = Venue((503, b""))
    told = replace(TERMS, lot=Decimal("0.5"))
    before = venue.l2.sessions.pop(venue.key)
    assert before.life.instruments.terms is None
    venue.healths.clear()
    venue.tell(BookWanted(venue.venue, "BTC-USDT", 7, told))
    assert [health.terms for health in venue.healths[:1]] == [told]
    venue.tell(CandlesKnown(venue.key, ()))
    venue.run(5)
    assert venue.health.terms == told
    venue.instrument = info()
    venue.until_told(TermsChanged)
    assert venue.health.terms == TERMS
