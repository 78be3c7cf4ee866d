"""The venues service's table of contents: a message in, events out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from statistics import fmean
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

import msgspec

from libs.common.all_in_price import basis_bps, fair_mid, least_size, mid_of, taken_side
from libs.common.asked_instruments import instrument_in
from libs.common.command_rules import SYMBOL, refused_at_the_door, rejected
from libs.common.events import (
    BookHealth,
    BookTop,
    CommandRejected,
    Event,
    Fault,
    OrderFilled,
    Refusal,
    ScoreVenues,
    VenueMetrics,
    VenueScored,
)
from libs.common.live_books import owner_fault, usable
from libs.common.topics import book_key
from libs.common.venue_fees import fees_of
from libs.common.venues import VENUES
from services.venues.costs import HOLDING_S, Terms, charges
from services.venues.lags import (
    Arrivals,
    Lags,
    Reading,
    fold_arrivals,
    read_lags,
    recent_lags,
    window_of,
)
from services.venues.registry import (
    Measurement,
    fold_fill,
    fold_health,
    metrics_of,
    order_delay_s,
    pooled_volatility,
)
from services.venues.smart_router import Offer, Policy, Wish, fair_of, judge, route

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from libs.common.events import TakerSide
    from libs.common.live_books import BookFault
    from libs.common.venue_fees import Fees
    from services.venues.answers import Answers
    from services.venues.smart_router import Routing

MOST_NAMED: Final = 100  # symbols in an answer
PUBLISH_NS: Final = 900_000_000  # l2 repeats a health every second; those that waited come faster
_VENUE_IDS: Final = sorted(VENUES)

Message: TypeAlias = BookHealth | OrderFilled | ScoreVenues


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stood."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Unknowns:
    """What is assumed while nothing is measured."""

    request_ms: float  # round trip of a request
    volatility: float  # fraction per day


@dataclass(frozen=True, slots=True)
class State:
    """What is known; the measurements, lags and answers change in place and survive.

    The newest tops, sound ones only, the newest healths and the arrivals of tops come from their compacted
    topics, not through the handler: they are inputs.
    """

    measurements: MutableMapping[bytes, Measurement]  # by venue:symbol
    lags: MutableMapping[bytes, Lags]  # likewise
    answers: Answers
    tops: Mapping[bytes, BookTop]
    healths: Mapping[bytes, BookHealth]
    arrivals: Arrivals
    policy: Policy
    unknowns: Unknowns
    reference_notional: float  # quote units
    holding_s: float = HOLDING_S
    tiers: Mapping[str, Fees] = field(default_factory=dict)  # the account's fees, by venue, where told
    published: dict[bytes, int] = field(default_factory=dict)  # when metrics were last told, ns UTC
    readings: dict[bytes, tuple[Lags, int, Reading]] = field(default_factory=dict)  # at a window


def handle(state: State, message: Message, place: Place, now: int) -> list[Event]:
    """Return what follows from `message` at `now` (ns UTC).

    A venue that only a newer version knows has no fees here, and is left out.
    """
    if not isinstance(message, ScoreVenues) and message.venue not in VENUES:
        return []
    match message:
        case BookHealth():
            return _on_health(state, message, place, now)
        case OrderFilled():
            return _on_fill(state, message)
        case ScoreVenues():
            return [_answer(state, message, place, now)]
        case _ as unreachable:
            assert_never(unreachable)


def _measurement(state: State, key: bytes) -> Measurement:
    return state.measurements.get(key) or Measurement()


def _on_fill(state: State, fill: OrderFilled) -> list[Event]:
    key = book_key(fill.venue, fill.symbol)
    state.measurements[key] = fold_fill(_measurement(state, key), fill)
    return []


def _on_health(state: State, health: BookHealth, place: Place, now: int) -> list[Event]:
    """Fold a health and the tops before it; metrics follow a change of state at once, else a second later."""
    key = book_key(health.venue, health.symbol)
    if arrived := state.arrivals.take(key):
        state.lags[key] = fold_arrivals(state.lags.get(key) or Lags(), arrived)
    top, patience = state.tops.get(key), state.policy.patience
    mid = mid_of(top) if top and usable(top, health, now, patience) is None else None
    books = _books(state, health.symbol, now)
    before = _measurement(state, key)
    after = fold_health(before, health, mid, place.offset, None if mid is None else _fair_of_several(books))
    if after is before:
        return []
    state.measurements[key] = after
    lately = 0 <= now - state.published.get(key, 0) < PUBLISH_NS
    if owner_fault(health, now, patience) or (lately and after.state is before.state):
        return []
    state.published[key] = now
    return [_metrics(state, health.venue, health.symbol, books, now)]


def _fair_of_several(books: Sequence[_Book]) -> float | None:
    """Return the fair mid where two venues or more say it; of one alone there is no basis."""
    tops = [book.top for book in books if book.top is not None and book.fault is None]
    return fair_mid(tops) if len(tops) > 1 else None


def _metrics(state: State, venue: str, symbol: str, books: Sequence[_Book], now: int) -> VenueMetrics:
    key = book_key(venue, symbol)
    measured, lags, fees = _measurement(state, key), _reading(state, key, now), fees_of(venue, state.tiers)
    found = metrics_of(venue, symbol, measured, lags, state.tops.get(key), now, fees)
    offers = _offers(state, symbol, books, now)
    own = next((offer for offer in offers if offer.venue == venue), None)
    if own is None:
        return msgspec.structs.replace(found, reasons=("no book has been told yet",))
    known, fair = charges(own.terms), fair_of(offers)
    cost, basis, reasons = _reference_cost(state, own, fair)
    return msgspec.structs.replace(
        found,
        basis_bps=basis,
        lasting_basis_bps=known.lasting_bps,
        basis_at_arrival=known.at_arrival,
        basis_at_exit=known.at_exit,
        reliability_bps=known.reliability_bps,
        expected_slippage_bps=known.slippage_bps,
        reference_cost_bps=cost,
        reference_notional=state.reference_notional,
        reasons=reasons,
    )


def _reference_cost(
    state: State, own: Offer, fair: float | None
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Return the mean all-in cost of buying and selling the reference order, the basis, and why not."""
    top = own.top
    if top is None or not (top.bids and top.asks):
        return None, None, ("no book of two sides has been told yet",)
    size = state.reference_notional / mid_of(top)
    basis = None if fair is None or own.fault is not None else basis_bps(mid_of(top), fair)
    judged = [judge(own, side, size, fair, state.policy) for side in ("buy", "sell")]
    short = next((each for each in judged if each.available is None or each.available < size), None)
    if short is not None:
        return None, basis, short.reasons[:1]
    return fmean(-each.score for each in judged if each.score is not None), basis, ()


class _Book(NamedTuple):
    """What the views hold of one book, and whether it may be used."""

    venue: str
    key: bytes
    top: BookTop | None
    health: BookHealth | None
    fault: BookFault | None


@lru_cache(maxsize=256)
def _keys_of(symbol: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((venue, book_key(venue, symbol)) for venue in _VENUE_IDS)


def _books(state: State, symbol: str, now: int) -> list[_Book]:
    """Return every venue's book of the symbol that is, or is to be, by venue id."""
    found = []
    for venue, key in _keys_of(symbol):
        top, health = state.tops.get(key), state.healths.get(key)
        if top is not None or health is not None:
            fault = usable(top, health, now, state.policy.patience)
            found.append(_Book(venue, key, top, health, fault))
    return found


def offers_of(state: State, symbol: str, now: int) -> list[Offer]:
    """Return every venue that has, or is to have, a book of the symbol, by venue id."""
    return _offers(state, symbol, _books(state, symbol, now), now)


def _offers(state: State, symbol: str, books: Sequence[_Book], now: int) -> list[Offer]:
    measured = [_measurement(state, book.key) for book in books]
    sigma = pooled_volatility(measured, state.unknowns.volatility)
    return [
        _offer(state, book, symbol, known, sigma, now) for book, known in zip(books, measured, strict=True)
    ]


def _reading(state: State, key: bytes, now: int) -> Reading:
    """Return what the book's lags say, which is made out once for all who ask until they change."""
    lags, window = state.lags.get(key), window_of(now)
    if lags is None:
        return Reading()
    known = state.readings.get(key)
    if known is None or known[0] is not lags or known[1] != window:
        known = state.readings[key] = lags, window, read_lags(recent_lags(lags, now))
    return known[2]


def _offer(state: State, book: _Book, symbol: str, measured: Measurement, sigma: float, now: int) -> Offer:
    terms = Terms(
        taker_bps=fees_of(book.venue, state.tiers).taker_bps,
        sigma_day=sigma,
        delay_s=order_delay_s(measured, _reading(state, book.key, now), state.unknowns.request_ms),
        alpha=measured.alpha,
        beta=measured.beta,
        rate_remaining=measured.rate_remaining,
        outage_s=measured.outage_s,
        holding_s=state.holding_s,
        basis=measured.basis,
        slippage_bps=measured.expected_slippage_bps,
    )
    instrument = instrument_in(book.venue, symbol, book.health)
    return Offer(book.venue, book.top, book.fault, instrument, terms, measured.failures_in_a_row)


def _answer(state: State, command: ScoreVenues, place: Place, now: int) -> VenueScored | CommandRejected:
    """Score a command once; a repeated one gets the score it had. One that was refused may try again."""
    known = state.answers.to(command.command_id, place.offset)
    if known is not None:
        return known
    answer = _score(state, command, now)
    state.answers.remember(place.partition, place.offset, answer)
    return answer


def _score(state: State, command: ScoreVenues, now: int) -> VenueScored | CommandRejected:
    if (refused := refused_at_the_door(command, command.symbol, now)) is not None:
        return refused
    size = command.size
    offers = offers_of(state, command.symbol, now)
    if not (state.healths or state.tops):
        return _unavailable(command, now, "no venue has told a book yet")
    if not offers:
        detail = f"no venue has a book of {command.symbol[:40]!r}; there are books of: {_known(state)}"
        fault = Fault(field="symbol", message=detail)
        return rejected(command, command.symbol, Refusal.UNKNOWN, now, fault, detail=detail)
    allowed = [offer for offer in offers if not command.venues or offer.venue in command.venues]
    least = _least(allowed, command.side)
    if least is not None and size < least[0]:
        wrong = f"must be at least {least[0]:.10g}, the least minimum of the venues ({least[1]}'s)"
        return rejected(command, command.symbol, Refusal.INVALID, now, Fault(field="size", message=wrong))
    wish = Wish(command.max_venues, command.venues)
    routing = route(offers, command.side, size, state.policy, wish)
    best = routing.best
    if best is None or best.score is None:
        if routing.visible:
            wanted = (
                f"{routing.visible:.10g} are visible at all venues that may be used, {size:.10g} are wanted"
            )
            return _unavailable(command, now, f"too thin together: {wanted}; {_each(routing)}")
        return _unavailable(command, now, f"no venue is eligible: {_each(routing)}")
    return VenueScored(
        command_id=command.command_id,
        symbol=command.symbol,
        side=command.side,
        size=size,
        venue=best.venue,
        score=best.score,
        reasons=best.reasons,
        candidates=routing.candidates,
        allocation=routing.allocation,
        allocation_bps=routing.allocation_bps,
        saving_bps=routing.saving_bps,
        fair_mid=routing.fair,
        ts=now,
    )


def _each(routing: Routing) -> str:
    """Return why the venues are not eligible, or what each of them takes."""
    return "; ".join(
        f"{each.venue}: {each.reasons[0] if each.eligible else ', '.join(each.reasons)}"
        for each in routing.candidates
    )


def _unavailable(command: ScoreVenues, now: int, detail: str) -> CommandRejected:
    return rejected(command, command.symbol, Refusal.UNAVAILABLE, now, detail=detail)


def _known(state: State) -> str:
    """Return the symbols there are books of, as many as an answer has room for; keys may be any bytes."""
    keys = state.healths.keys() | state.tops.keys()
    symbols = sorted({key.decode("utf-8", "replace").partition(":")[2] for key in keys})
    named = [symbol for symbol in symbols if SYMBOL.fullmatch(symbol)]
    return ", ".join(named[:MOST_NAMED]) + (", …" if len(named) > MOST_NAMED else "")


def _least(offers: Sequence[Offer], side: TakerSide) -> tuple[float, str] | None:
    """Return the least minimum over the venues whose table and price are known, and whose it is."""
    return min(
        (
            (least_size(offer.instrument, taken_side(offer.top, side)[0][0]), offer.venue)
            for offer in offers
            if offer.instrument is not None and offer.top is not None and offer.top.bids and offer.top.asks
        ),
        default=None,
    )
