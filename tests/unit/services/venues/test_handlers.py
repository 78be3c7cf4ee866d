"""The venues' handler: what it answers, refuses, remembers and publishes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    BookHealth,
    BookState,
    BookTop,
    CommandRejected,
    Event,
    InstrumentTerms,
    Refusal,
    ScoreVenues,
    VenueMetrics,
    VenueScored,
)
from libs.common.time_units import NS_PER_S
from libs.common.topics import book_key
from libs.common.venue_fees import fees_from
from services.venues.answers import SLOTS, Answer, Answers
from services.venues.handlers import Place, State, Unknowns, handle
from services.venues.lags import Arrivals
from services.venues.settings import VenuesSettings, policy_of
from tests.venue_market import NOW, a_health, a_score, a_top

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.venues.lags import Lags
    from services.venues.registry import Measurement

VENUES = ("binance", "bybit", "coinbase", "kraken", "okx")


@dataclass
class World:
    """A handler with its memory; a restart keeps what the changelogs keep."""

    measurements: dict[bytes, Measurement] = field(default_factory=dict)
    lags: dict[bytes, Lags] = field(default_factory=dict)
    kept: dict[bytes, Answer] = field(default_factory=dict)
    tops: dict[bytes, BookTop] = field(default_factory=dict)
    healths: dict[bytes, BookHealth] = field(default_factory=dict)
    offset: int = -1

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.arrivals = Arrivals()
        self.state = State(
            measurements=self.measurements,
            lags=self.lags,
            answers=Answers(self.kept),
            tops=self.tops,
            healths=self.healths,
            arrivals=self.arrivals,
            policy=policy_of(VenuesSettings()),
            unknowns=Unknowns(50.0, 0.03),
            reference_notional=10_000.0,
        )

    def tell(self, message: BookTop | BookHealth | ScoreVenues, now: int = NOW) -> list[Event]:
        self.offset += 1
        if isinstance(message, BookTop):
            self.tops[book_key(message.venue, message.symbol)] = message
            self.arrivals.note(message, self.offset)
            return []
        if isinstance(message, BookHealth):
            self.healths[book_key(message.venue, message.symbol)] = message
        return handle(self.state, message, Place(0, self.offset), now)

    def score(self, message: ScoreVenues, now: int = NOW) -> VenueScored:
        answer = self.tell(message, now)[0]
        assert isinstance(answer, VenueScored), answer
        return answer

    def refusal(self, message: ScoreVenues, now: int = NOW) -> CommandRejected:
        answer = self.tell(message, now)[0]
        assert isinstance(answer, CommandRejected), answer
        return answer


def a_world(now: int = NOW) -> World:
    world = World()
    for venue in VENUES:
        world.tell(a_top(venue, now=now), now)
        world.tell(a_health(venue, now=now), now)
    return world


def test_the_cheapest_venue_is_chosen_and_every_venue_judged() -> None:
    answer = a_world().score(a_score())
    assert answer.venue == "binance"  # 10 bps, like bybit and okx, and first by name
    assert {each.venue for each in answer.candidates} == set(VENUES)
    assert answer.reasons[0] == "taker fee 10 bps"
    assert answer.candidates[0].seq == 1


def test_the_tier_of_the_account_is_what_a_venue_is_scored_and_told_with() -> None:
    world = a_world()
    given = VenuesSettings(fees="kraken:2/-1")
    world.state = dataclasses.replace(world.state, tiers=fees_from(given.fees))
    answer = world.score(a_score())
    assert (answer.venue, answer.reasons[0]) == ("kraken", "taker fee 2 bps")
    later = NOW + NS_PER_S
    world.tell(a_top("kraken", now=later), later)
    (told,) = world.tell(a_health("kraken", now=later), later)
    assert isinstance(told, VenueMetrics)
    assert (told.taker_bps, told.maker_bps) == (2.0, -1.0)


def test_the_fees_are_one_setting_of_who_scores_and_who_trades() -> None:
    assert VenuesSettings.variable("fees") == "EXECUTION_FEES"


@pytest.mark.parametrize("what", ["spread", "thin", "gap", "stale", "rate limit", "failures"])
def test_the_choice_moves_when_the_best_venue_worsens_and_returns_when_it_is_well_again(what: str) -> None:
    world = a_world()
    assert world.score(a_score(1)).venue == "binance"
    later = NOW + NS_PER_S
    for venue in VENUES[1:]:
        world.tell(a_top(venue, now=later), later)
        world.tell(a_health(venue, now=later), later)
    if what == "spread":
        world.tell(a_top(half_spread=9.0, now=later), later)
    elif what == "thin":
        world.tell(a_top(size=0.002, step=3.0, now=later), later)
    elif what == "gap":
        world.tell(a_health(state=BookState.GAP, now=later, gaps=1), later)
    elif what == "rate limit":
        world.tell(a_health(rate_remaining=0.0, now=later), later)
    elif what == "failures":
        world.tell(a_health(gaps=5, now=later), later)
    if what in {"stale", "spread", "thin"}:
        world.tell(a_health(now=later, in_doubt=what == "stale"), later)
    else:
        world.tell(a_top(now=later), later)
    asked = later if what != "stale" else later + NS_PER_S  # its last book is 2 s old then, the others' 1 s
    moved = world.score(a_score(2), asked)
    assert moved.venue == "bybit"
    well = later + 15 * NS_PER_S
    gaps = {"gap": 1, "failures": 5}.get(what, 0)
    for venue in VENUES:
        world.tell(a_top(venue, now=well), well)
        world.tell(a_health(venue, now=well, since_ts=later, gaps=gaps if venue == "binance" else 0), well)
    back = world.score(a_score(3), well)
    scores = {each.venue: each.score for each in back.candidates if each.score is not None}
    if gaps:  # they are remembered, and cost a little
        assert -0.5 < scores["binance"] - scores["bybit"] < 0
    else:
        assert back.venue == "binance"


def test_a_repeated_command_is_answered_again_with_the_same_answer_also_after_a_restart() -> None:
    world = a_world()
    first = world.score(a_score())
    world.tell(a_top("okx", half_spread=0.01, now=NOW + 1), NOW + 1)
    assert world.score(a_score(), NOW + 2) == first
    world.restart()
    assert world.score(a_score(), NOW + 3) == first


def test_the_newest_answers_are_remembered_and_the_store_is_bounded() -> None:
    world = a_world()
    world.offset = -1  # of the commands' topic
    for number in range(SLOTS + 100):
        world.tell(a_score(number))
    assert len(world.kept) == SLOTS
    answers = Answers(world.kept)
    assert answers.to(a_score(99).command_id, SLOTS + 100) is None
    assert answers.to(a_score(100).command_id, SLOTS + 100) is not None


def test_a_refused_command_may_try_again_and_its_score_is_kept_from_then_on() -> None:
    world = World()
    refused = world.refusal(a_score())
    at = Place(0, world.offset)
    for venue in VENUES:
        world.tell(a_top(venue))
        world.tell(a_health(venue))
    assert handle(world.state, a_score(), at, NOW) == [refused], "the same record, told again after a crash"
    scored = world.score(a_score())
    world.tell(a_top("okx", half_spread=0.01, now=NOW + 1), NOW + 1)
    assert world.score(a_score(), NOW + 2) == scored
    world.kept = dict(reversed(world.kept.items()))  # a store promises no order
    world.restart()
    assert world.score(a_score(), NOW + 3) == scored


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf"), 1e13])
def test_a_size_that_is_none_is_invalid(size: float) -> None:
    refused = a_world().refusal(a_score(size=size))
    assert refused.refusal is Refusal.INVALID
    assert refused.faults[0].field == "size"


def test_an_unknown_symbol_is_refused_with_those_there_are() -> None:
    refused = a_world().refusal(a_score(symbol="DOGE-USDT"))
    assert refused.refusal is Refusal.UNKNOWN
    assert "BTC-USDT" in refused.detail


def test_before_any_book_is_told_nothing_is_unknown_yet() -> None:
    assert World().refusal(a_score()).refusal is Refusal.UNAVAILABLE


def test_a_size_under_every_minimum_names_the_least() -> None:
    refused = a_world().refusal(a_score(size=1e-6))
    assert refused.refusal is Refusal.INVALID
    assert "at least 1e-05" in refused.faults[0].message
    assert "okx" in refused.faults[0].message


def test_a_venue_that_takes_no_order_so_small_as_its_lot_is_not_eligible() -> None:
    terms = InstrumentTerms(tick=Decimal("0.01"), lot=Decimal(3), min_qty=Decimal(0), min_notional=Decimal(0))
    world = a_world()
    world.tell(a_health("binance", terms=terms))
    scored = world.score(a_score(size=2.0))
    (binance,) = [each for each in scored.candidates if each.venue == "binance"]
    assert binance.reasons == ("under the venue's minimum of 3",)
    assert scored.venue != "binance"


def test_a_minimum_is_what_the_venue_says_itself_and_a_pair_of_no_table_is_scored_once_it_does() -> None:
    terms = InstrumentTerms(
        tick=Decimal("0.01"), lot=Decimal("0.001"), min_qty=Decimal("0.5"), min_notional=Decimal(1)
    )
    world = a_world()
    world.tell(a_health("binance", terms=terms))
    (binance,) = [each for each in world.score(a_score(size=0.4)).candidates if each.venue == "binance"]
    assert not binance.eligible
    assert binance.reasons == ("under the venue's minimum of 0.5",)
    world.tops[book_key("binance", "RUNE-EUR")] = a_top("binance", "RUNE-EUR", mid=200.0, half_spread=0.01)
    world.healths[book_key("binance", "RUNE-EUR")] = a_health("binance", "RUNE-EUR")
    refused = world.refusal(a_score(2, symbol="RUNE-EUR", size=0.6))
    assert "neither the venue nor the table says" in refused.detail
    world.healths[book_key("binance", "RUNE-EUR")] = a_health("binance", "RUNE-EUR", terms=terms)
    assert world.score(a_score(3, symbol="RUNE-EUR", size=0.6)).venue == "binance"


def test_without_an_eligible_venue_each_is_named_with_its_reason() -> None:
    world = a_world()
    refused = world.refusal(a_score(), NOW + 2 * NS_PER_S)
    assert refused.refusal is Refusal.UNAVAILABLE
    for venue in VENUES:
        assert f"{venue}: stale" in refused.detail


def test_metrics_follow_a_change_of_state_at_once_and_else_about_once_a_second() -> None:
    world = a_world()
    told = []
    for at in range(1, 31):
        now = NOW + at * NS_PER_S // 10
        world.tell(a_top(now=now), now)
        state = BookState.LIVE if at < 25 else BookState.GAP
        told += [(at, each) for each in world.tell(a_health(state=state, now=now), now)]
    assert [at for at, _ in told] == [9, 18, 25]
    metrics = told[0][1]
    assert isinstance(metrics, VenueMetrics)
    assert metrics.reference_cost_bps is not None
    assert 10 < metrics.reference_cost_bps < 11
    last = told[-1][1]
    assert isinstance(last, VenueMetrics)
    assert last.reference_cost_bps is None
    assert "GAP" in last.reasons[0]


def test_an_old_health_is_folded_and_not_published() -> None:
    world = World()
    assert world.tell(a_health(gaps=3), NOW + 60 * NS_PER_S) == []
    assert world.measurements[book_key("binance", "BTC-USDT")].gaps == 3


def test_a_venue_that_only_a_newer_version_knows_is_left_out_and_all_others_are_scored() -> None:
    world = a_world()
    before = world.score(a_score())
    assert world.tell(a_health("aurora")) == []
    assert world.tell(a_top("aurora", mid=59_000.0)) == []
    after = world.score(a_score(2))
    assert [each.venue for each in after.candidates] == [each.venue for each in before.candidates]
    assert after.allocation == before.allocation


@pytest.mark.parametrize("back_s", [2, 60, 3600])
def test_a_clock_that_steps_back_makes_nothing_fresh_and_metrics_are_told_on(back_s: int) -> None:
    world = a_world()
    then = NOW - back_s * NS_PER_S
    refused = world.refusal(a_score(), then)
    assert "a clock is wrong" in refused.detail
    world.tell(a_health(), NOW)
    (told,) = world.tell(a_health(now=then, gaps=1), then)
    assert isinstance(told, VenueMetrics)


def test_the_lags_of_tops_are_counted_with_the_next_health_of_their_book_and_read_for_five_minutes() -> None:
    world = World()
    for seq in range(20):
        world.tell(a_top(seq=seq, lag_ms=5.0 + seq % 2))
    assert world.lags == {}
    first = world.tell(a_health())[0]
    assert isinstance(first, VenueMetrics)
    assert (first.clock_offset_ms, first.latency_p50_ms, first.latency_p99_ms) == (5.0, 0.0, 1.0)
    world.tell(a_top(seq=20, lag_ms=105.0))
    second = world.tell(a_health(now=NOW + NS_PER_S), NOW + NS_PER_S)[0]
    assert isinstance(second, VenueMetrics)
    assert second.latency_p99_ms == 100.0
    last = world.tell(a_health(now=NOW + 360 * NS_PER_S), NOW + 360 * NS_PER_S)[0]
    assert isinstance(last, VenueMetrics)
    assert (last.clock_offset_ms, last.latency_p50_ms) == (None, None)


class Unlisted(dict[bytes, Any]):
    """What may be asked for a key, and not be gone through."""

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("all books were gone through for one symbol")

    keys = items = values = __iter__  # type: ignore[assignment]


def test_a_health_and_a_score_look_at_the_books_of_their_symbol_only() -> None:
    world = World(tops=Unlisted(), healths=Unlisted())
    for venue in VENUES:
        world.tell(a_top(venue))
        assert world.tell(a_health(venue)) != []
    assert world.score(a_score()).venue == "binance"


def test_only_venues_that_are_asked_for_are_eligible_and_the_others_say_so() -> None:
    answer = a_world().score(replace(a_score(), venues=("okx", "kraken")))
    assert answer.venue == "okx"
    assert {share.venue for share in answer.allocation} <= {"okx", "kraken"}
    barred = {each.venue: each.reasons for each in answer.candidates if not each.eligible}
    assert barred.keys() == {"binance", "bybit", "coinbase"}
    assert set(barred.values()) == {("not asked for: only okx, kraken may be used",)}


def test_the_least_size_is_that_of_the_venues_asked_for() -> None:
    world = a_world()
    terms = InstrumentTerms(
        tick=Decimal("0.1"), lot=Decimal("0.01"), min_qty=Decimal(1), min_notional=Decimal(1)
    )
    world.tell(a_health("okx", terms=terms))
    assert world.score(replace(a_score(1), size=0.5)).venue
    refused = world.refusal(replace(a_score(2), size=0.5, venues=("okx",)))
    assert refused.faults[0].field == "size"


def test_the_allocation_uses_no_more_venues_than_asked_for_and_more_cost_no_more() -> None:
    world = a_world()
    bounded = [world.score(replace(a_score(most), size=20.0, max_venues=most)) for most in (1, 2, 3)]
    assert [len(each.allocation) for each in bounded] == [1, 2, 3]
    costs = [each.allocation_bps or 0.0 for each in bounded]
    assert costs == sorted(costs, reverse=True)
    free = world.score(replace(a_score(4), size=20.0))
    assert free.allocation_bps == costs[-1]


def test_a_size_that_as_many_venues_do_not_show_has_no_allocation_and_still_a_best_venue() -> None:
    world = a_world()
    answer = world.score(replace(a_score(1), size=60.0, max_venues=1))
    assert (answer.allocation, answer.allocation_bps) == ((), None)
    assert answer.venue == answer.candidates[0].venue
    assert answer.candidates[0].available == pytest.approx(25.0)
    assert world.refusal(replace(a_score(2), size=600.0, max_venues=1)).refusal is Refusal.UNAVAILABLE
