"""What a venue choice must do whatever the market: metamorphic properties, and a naive twin of the costs."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from itertools import product
from statistics import median
from typing import TYPE_CHECKING

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from libs.common.events import BookState
from libs.common.live_books import PATIENCE, usable
from libs.common.venues.venue import Instrument
from services.venues.costs import Terms, reliability_bps
from services.venues.smart_router import Offer, Policy, route
from tests.venue_market import NOW, a_health, a_top

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import BookHealth, BookTop, TakerSide, VenueCandidate
    from services.venues.smart_router import Routing

POLICY = Policy(
    patience=PATIENCE["scoring"],
    off_market_bps=10.0,
    min_rate_remaining=0.05,
    max_failures=5,
)
NAMES = ("binance", "bybit", "coinbase", "kraken", "okx")
SIDES = st.sampled_from(("buy", "sell"))
SIZES = st.integers(1, 200).map(lambda lots: lots / 100)


def an_instrument(venue: str, lot: str = "0.001", least: str = "0.001", value: str = "1") -> Instrument:
    numbers = (Decimal("0.01"), Decimal(lot), Decimal(least), Decimal(value))
    return Instrument(venue, "BTC-USDT", *numbers)


@st.composite
def offers(draw: st.DrawFn, venue: str) -> Offer:
    top = a_top(
        venue,
        mid=60_000 + draw(st.integers(-20, 20)),
        half_spread=draw(st.floats(0.05, 20).map(lambda x: round(x, 2))),
        size=draw(st.sampled_from((0.05, 0.1, 0.7))),
        step=draw(st.sampled_from((0.5, 2.0, 9.0))),
    )
    terms = Terms(
        taker_bps=draw(st.floats(0, 50)),
        sigma_day=draw(st.floats(0.005, 0.1)),
        delay_s=draw(st.floats(0.001, 2)),
        alpha=draw(st.floats(20, 400)),
        beta=draw(st.floats(1, 50)),
        rate_remaining=draw(st.floats(0.06, 1)),
    )
    return Offer(venue, top, None, an_instrument(venue), terms, failures=0)


@st.composite
def shallow_offers(draw: st.DrawFn, venue: str) -> Offer:
    """Return a book of a few tenths at three levels, of a venue that may demand more than it shows."""
    mid, half = 60_000 + draw(st.integers(-9, 9)), draw(st.sampled_from((0.5, 3.0)))
    sizes = draw(st.lists(st.sampled_from((0.1, 0.3, 0.7)), min_size=1, max_size=3))
    top = msgspec.structs.replace(
        a_top(venue),
        bids=tuple((mid - half - 2.0 * at, size) for at, size in enumerate(sizes)),
        asks=tuple((mid + half + 2.0 * at, size) for at, size in enumerate(sizes)),
    )
    terms = Terms(draw(st.integers(5, 12)), 0.03, 0.05, 300.0, draw(st.sampled_from((1.0, 9.0))), 1.0)
    return Offer(
        venue, top, None, an_instrument(venue, "0.1", draw(st.sampled_from(("0.1", "0.4")))), terms, 0
    )


def _least_lots(offer: Offer) -> int:
    assert offer.instrument is not None
    return round(float(offer.instrument.min_qty) * 10)


def _depth_lots(offer: Offer, side: TakerSide) -> int:
    assert offer.top is not None
    return round(sum(size for _, size in (offer.top.asks if side == "buy" else offer.top.bids)) * 10)


MARKETS = st.tuples(*(offers(venue) for venue in NAMES))
CHANGED = st.integers(0, len(NAMES) - 1)


def of(routing: Routing, venue: str) -> VenueCandidate:
    return next(each for each in routing.candidates if each.venue == venue)


def rank(routing: Routing, venue: str) -> int:
    """Return the place among all candidates, 0 for the best."""
    return [each.venue for each in routing.candidates].index(venue)


def fair_mid(market: Sequence[Offer]) -> float:
    return median((o.top.bids[0][0] + o.top.asks[0][0]) / 2 for o in market if o.top is not None)


def naive_cost(offer: Offer, side: TakerSide, size: float, fair: float) -> float:
    """Return the cost in bps by another derivation, in money: what is paid, less what is then held.

    Without a history a gap to the fair mid is gone within some ten seconds, and none is left at the end.
    """
    assert offer.top is not None
    s = 1 if side == "buy" else -1
    taken = offer.top.asks if side == "buy" else offer.top.bids
    lots = [price for price, available in taken for _ in range(round(available * 1000))]
    seen = math.fsum(lots[: round(size * 1000)]) / 1000
    mid = (offer.top.bids[0][0] + offer.top.asks[0][0]) / 2
    gone = (fair - mid) * (1 - math.exp(-offer.terms.delay_s / 10)) * size
    paid = s * (seen + gone) + offer.terms.taker_bps / 1e4 * seen
    return (paid - s * fair * size) / (fair * size) * 1e4 + reliability_bps(offer.terms)


@given(MARKETS, SIDES, SIZES)
def test_the_score_is_minus_the_naive_cost_and_the_best_has_the_greatest(
    market: tuple[Offer, ...], side: TakerSide, size: float
) -> None:
    routing = route(market, side, size, POLICY)
    whole = [each.score for each in routing.candidates if each.score is not None and each.available == size]
    assert whole == sorted(whole, reverse=True)
    for offer in market:
        candidate = of(routing, offer.venue)
        if candidate.score is not None and candidate.cost_bps is not None:
            assert candidate.available is not None
            naive = naive_cost(offer, side, candidate.available, fair_mid(market))
            assert math.isclose(candidate.score, -naive, abs_tol=1e-6)
            assert candidate.score == -candidate.cost_bps.total


@given(
    MARKETS, SIDES, SIZES, CHANGED, st.sampled_from(("fee", "outage", "failures", "rate", "slippage", "far"))
)
def test_a_dearer_venue_never_ranks_higher(
    market: tuple[Offer, ...], side: TakerSide, size: float, at: int, what: str
) -> None:
    terms = market[at].terms
    dearer = {
        "fee": replace(terms, taker_bps=terms.taker_bps + 5),
        "outage": replace(terms, outage_s=terms.outage_s * 4),
        "failures": replace(terms, beta=terms.beta + 20),
        "rate": replace(terms, rate_remaining=terms.rate_remaining / 2),
        "slippage": replace(terms, slippage_bps=terms.slippage_bps + 1),
        "far": terms,
    }[what]
    changed = [*market]
    changed[at] = replace(market[at], terms=dearer)
    if what == "far":  # all its prices are worse by a bps, which is not so much as to move the median beyond
        top = market[at].top
        assert top is not None
        by = 6.0 if side == "buy" else -6.0
        moved = msgspec.structs.replace(
            top,
            bids=tuple((price + by, q) for price, q in top.bids),
            asks=tuple((price + by, q) for price, q in top.asks),
        )
        changed[at] = replace(market[at], top=moved)
    before, after = (route(offers_, side, size, POLICY) for offers_ in (market, changed))
    assert rank(after, NAMES[at]) >= rank(before, NAMES[at])
    old, new = of(before, NAMES[at]).score, of(after, NAMES[at]).score
    if old is not None and new is not None and what != "far":
        assert new <= old


@given(MARKETS, SIDES, SIZES, CHANGED, st.floats(1.2, 5))
def test_a_wider_spread_or_a_thinner_book_never_ranks_higher(
    market: tuple[Offer, ...], side: TakerSide, size: float, at: int, factor: float
) -> None:
    top = market[at].top
    assert top is not None
    mid = (top.bids[0][0] + top.asks[0][0]) / 2
    wider = msgspec.structs.replace(
        top,
        bids=tuple((mid - (mid - price) * factor, q) for price, q in top.bids),
        asks=tuple((mid + (price - mid) * factor, q) for price, q in top.asks),
    )
    thinner = msgspec.structs.replace(
        top,
        bids=tuple((price, q / factor) for price, q in top.bids),
        asks=tuple((price, q / factor) for price, q in top.asks),
    )
    before = route(market, side, size, POLICY)
    for worse in (wider, thinner):
        changed = [*market]
        changed[at] = replace(market[at], top=worse)
        after = of(route(changed, side, size, POLICY), NAMES[at])
        old = of(before, NAMES[at]).score
        if after.score is not None and after.available == size:
            assert old is not None
            assert after.score <= old + 1e-9


@given(MARKETS, SIDES, SIZES, SIZES)
def test_more_size_never_costs_less_per_unit(
    market: tuple[Offer, ...], side: TakerSide, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    few, many = (route(market, side, size, POLICY) for size in (small, large))
    for venue in NAMES:
        a, b = of(few, venue).score, of(many, venue).score
        if b is not None and of(many, venue).available == large:
            assert a is not None
            assert b <= a + 1e-9


def heard(offer: Offer, top: BookTop, health: BookHealth) -> Offer:
    """Return the offer with this book, judged now."""
    return replace(offer, top=top, fault=usable(top, health, NOW, POLICY.patience))


def behind_a_gate(offer: Offer, gate: str) -> Offer:  # noqa: PLR0911 -- one return per gate
    top, health = offer.top, a_health(offer.venue)
    assert top is not None
    match gate:
        case "gap":
            return heard(offer, top, a_health(offer.venue, state=BookState.GAP))
        case "stale":
            old = msgspec.structs.replace(top, received_ts=NOW - 1_500_000_001)
            return heard(offer, old, a_health(offer.venue, in_doubt=True))
        case "silent":
            return heard(offer, top, a_health(offer.venue, now=NOW - 5_000_000_001))
        case "crossed":
            return heard(offer, msgspec.structs.replace(top, bids=((70_000.0, 1.0),)), health)
        case "empty":
            return heard(offer, msgspec.structs.replace(top, bids=()), health)
        case "too thin":
            bids, asks = (((side[0][0], 0.0005),) for side in (top.bids, top.asks))
            return replace(offer, top=msgspec.structs.replace(top, bids=bids, asks=asks))
        case "earlier epoch":
            return heard(offer, msgspec.structs.replace(top, epoch=0), health)
        case "minimum":
            return replace(offer, instrument=an_instrument(offer.venue, least="100"))
        case "rate limit":
            return replace(offer, terms=replace(offer.terms, rate_remaining=0.049))
        case "failures":
            return replace(offer, failures=5)
        case "off market":
            return replace(offer, top=a_top(offer.venue, mid=60_300.0))
        case "table":
            return replace(offer, instrument=None)
    raise AssertionError(gate)


WORDS = {
    "gap": "GAP",
    "stale": "stale",
    "silent": "silent",
    "crossed": "crossed",
    "empty": "no bids",
    "too thin": "too thin",
    "earlier epoch": "synchronised anew",
    "minimum": "minimum",
    "rate limit": "rate limit nearly spent",
    "failures": "5 failures in a row",
    "off market": "off market",
    "table": "neither the venue nor the table",
}


@given(MARKETS, SIDES, CHANGED, st.sampled_from(sorted(WORDS)))
def test_a_venue_behind_a_gate_is_never_chosen_and_says_why(
    market: tuple[Offer, ...], side: TakerSide, at: int, gate: str
) -> None:
    changed = [*market]
    changed[at] = behind_a_gate(market[at], gate)
    routing = route(changed, side, 0.8, POLICY)
    gated = of(routing, NAMES[at])
    assert not gated.eligible
    assert gated.score is None
    assert WORDS[gate] in gated.reasons[0]
    assert NAMES[at] not in {share.venue for share in routing.allocation}
    assert routing.best is not None
    assert routing.best.venue != NAMES[at]


@given(MARKETS, SIDES, st.sampled_from(sorted(WORDS.keys() - {"off market"})))
def test_the_choice_moves_from_the_best_venue_when_a_gate_closes(
    market: tuple[Offer, ...], side: TakerSide, gate: str
) -> None:
    best = route(market, side, 0.8, POLICY).best
    assume(best is not None)
    assert best is not None
    changed = [behind_a_gate(offer, gate) if offer.venue == best.venue else offer for offer in market]
    after = route(changed, side, 0.8, POLICY).best
    assert after is None or after.venue != best.venue


@given(MARKETS, SIDES, SIZES)
def test_the_allocation_sums_to_the_size_over_eligible_venues_and_saves_what_it_says(
    market: tuple[Offer, ...], side: TakerSide, size: float
) -> None:
    routing = route(market, side, size, POLICY)
    if routing.best is None:
        assert routing.allocation == ()
        return
    assert math.isclose(math.fsum(share.size for share in routing.allocation), size, rel_tol=1e-12)
    eligible = {each.venue: each for each in routing.candidates if each.eligible}
    assert {share.venue for share in routing.allocation} <= eligible.keys()
    by_venue = {offer.venue: offer for offer in market}
    cost = 0.0
    for share in routing.allocation:
        offer = by_venue[share.venue]
        cost += naive_cost(offer, side, share.size, fair_mid(market)) * share.size
    assert routing.best.score is not None
    assert routing.allocation_bps is not None
    assert math.isclose(routing.allocation_bps, cost / size, abs_tol=1e-6)
    assert routing.saving_bps >= 0
    if routing.best.available == size:
        saving = -routing.best.score - cost / size
        assert math.isclose(saving, routing.saving_bps, abs_tol=1e-6)


SHALLOW = st.tuples(*(shallow_offers(venue) for venue in NAMES[:3]))


@given(SHALLOW, SIDES, st.integers(1, 40))
@settings(max_examples=300)
def test_the_split_of_shallow_books_is_the_best_of_all_ways_or_there_is_none(
    market: tuple[Offer, ...], side: TakerSide, lots: int
) -> None:
    size = lots / 10
    routing = route(market, side, size, POLICY)
    fair, best = fair_mid(market), math.inf
    can = [[0, *range(_least_lots(offer), _depth_lots(offer, side) + 1)] for offer in market]
    for way in product(*can):
        if sum(way) == lots:
            cost = math.fsum(
                naive_cost(offer, side, each / 10, fair) * each
                for offer, each in zip(market, way, strict=True)
                if each
            )
            best = min(best, cost / lots)
    if routing.best is None:
        assert best == math.inf
        return
    assert math.isclose(routing.allocation_bps or 0.0, best, abs_tol=1e-6)
    for share in routing.allocation:
        offer = next(each for each in market if each.venue == share.venue)
        assert _least_lots(offer) <= round(share.size * 10) <= _depth_lots(offer, side)


def test_what_is_left_below_a_lot_stands_where_there_is_room_for_it() -> None:
    market = []
    for venue, price, depth in (("binance", 60_000.5, 1.0), ("okx", 60_001.0, 0.99)):
        top = msgspec.structs.replace(a_top(venue), asks=((price, depth),))
        terms = Terms(10.0, 0.03, 0.05, 20.0, 1.0, 1.0)
        market.append(Offer(venue, top, None, an_instrument(venue, "0.1"), terms, 0))
    shares = route(market, "buy", 1.95, POLICY).allocation
    assert [(share.venue, share.size) for share in shares] == [("binance", 1.0), ("okx", 0.95)]
    assert route(market, "buy", 2.0, POLICY).allocation == ()


def test_of_equal_venues_the_first_by_name_is_chosen() -> None:
    terms = Terms(10.0, 0.03, 0.05, 20.0, 1.0, 1.0)
    market = [Offer(name, a_top(name), None, an_instrument(name), terms, 0) for name in reversed(NAMES)]
    routing = route(market, "buy", 0.1, POLICY)
    assert [each.venue for each in routing.candidates] == [*NAMES]


def test_what_is_visible_is_not_too_thin_for_the_size_of_a_lot() -> None:
    offers = []
    for venue, price, size in (("binance", 1.0, 1.25), ("bybit", 2.0, 1.05), ("okx", 3.0, 1.25)):
        top = msgspec.structs.replace(a_top(venue), asks=((60_000 + price, size),))
        offers.append(
            Offer(venue, top, None, an_instrument(venue, "0.1"), Terms(10, 0.03, 0.05, 300, 1, 1), 0)
        )
    routing = route(offers, "buy", 2.29, POLICY)
    shares = {each.venue: each.size for each in routing.allocation}
    assert shares == {"binance": 1.19, "bybit": 1.0, "okx": 0.1}, "1.2, 1.0 and no room for 0.09 there"
