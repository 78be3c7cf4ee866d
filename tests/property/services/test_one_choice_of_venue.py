"""Who scores and who places an order without a venue choose alike, whatever the market."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.all_in_price import best_book
from libs.common.codec import encode
from libs.common.events import VenueMetrics
from libs.common.venues import venue_of
from services.venues.basis import Basis
from services.venues.costs import charges
from services.venues.smart_router import route
from tests.property.services.venues.test_venues_router import MARKETS, POLICY, SIDES
from tests.venue_market import NOW, a_metrics

if TYPE_CHECKING:
    from libs.common.events import BookTop, TakerSide
    from libs.common.venues.venue import Instrument
    from services.venues.smart_router import Offer

HISTORIES = st.builds(
    Basis,
    ts=st.just(NOW),
    samples=st.floats(0, 3600),
    total=st.floats(-10_000, 10_000),
    squares=st.just(3600.0),
    products=st.floats(0, 3600),
)


def told(offer: Offer) -> VenueMetrics:
    """Return the metrics by which a reader knows the venue, as they come over the wire."""
    known = charges(offer.terms)
    metrics = msgspec.structs.replace(
        a_metrics(offer.venue),
        lasting_basis_bps=known.lasting_bps,
        basis_at_arrival=known.at_arrival,
        basis_at_exit=known.at_exit,
        reliability_bps=known.reliability_bps,
        expected_slippage_bps=known.slippage_bps,
    )
    return msgspec.msgpack.decode(encode(metrics), type=VenueMetrics)


@given(MARKETS, SIDES, st.integers(1, 8000), st.lists(HISTORIES, min_size=5, max_size=5))
@settings(max_examples=100)
def test_a_look_and_a_deal_say_the_same_venue(
    market: tuple[Offer, ...], side: TakerSide, lots: int, histories: list[Basis]
) -> None:
    size = lots / 1000
    offers = [
        replace(
            offer,
            terms=replace(
                offer.terms, taker_bps=venue_of(offer.venue).taker_bps, basis=basis, slippage_bps=0.3
            ),
        )
        for offer, basis in zip(market, histories, strict=True)
    ]
    best = route(offers, side, size, POLICY).best
    if best is None:
        return
    books: list[tuple[BookTop, Instrument, VenueMetrics | None]] = [
        (offer.top, offer.instrument, told(offer))
        for offer in offers
        if offer.top is not None and offer.instrument is not None
    ]
    assert best_book(books, side, size).venue == best.venue
