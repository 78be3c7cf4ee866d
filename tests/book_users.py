"""Who uses books, each as its own service does by its shipped settings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.events import BOOK, BookState, OrderFilled, SubmitPaperOrder, VenueScored
from libs.common.topics import book_key
from services.execution.market_data import MarketData, Unusable
from services.execution.settings import ExecutionSettings
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.settings import GatewaySettings
from services.portfolio.app import desk_of
from services.portfolio.settings import PortfolioSettings
from services.router.settings import RouterSettings
from services.venues.answers import Answers
from services.venues.handlers import Place, State, Unknowns, handle
from services.venues.lags import Arrivals
from services.venues.settings import VenuesSettings, policy_of
from tests.execution_market import a_risk_budget
from tests.execution_world import ExecutionWorld, an_id
from tests.venue_market import a_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.events import BookHealth, BookTop
    from libs.common.live_books import Use
    from libs.common.views import View

KEY: Final = book_key("binance", "BTC-USDT")
SIZE: Final = Decimal("0.1")


class Seen(NamedTuple):
    """What is known of a book at a moment (ns UTC)."""

    top: BookTop | None
    health: BookHealth | None
    now: int


class User(NamedTuple):
    """A user of books, and the row of the table that is its patience."""

    use: Use
    uses: Callable[[Seen], bool]


def _fold(tops: View[BookTop], healths: View[BookHealth], seen: Seen) -> None:
    if seen.top is not None:
        tops.fold(0, tops.position(0), KEY, seen.top)
    if seen.health is not None:
        healths.fold(0, healths.position(0), KEY, seen.health)


def fills_a_context(seen: Seen) -> bool:
    """Return whether the router takes a context's imbalance from it."""
    live = RouterSettings().live()
    _fold(live.tops, live.healths, seen)
    return "obi" in live.fill({"symbol": "BTC-USDT"}, seen.now).names


def is_scored(seen: Seen) -> bool:
    """Return whether venues choose it for an order, and not refuse for want of a venue."""
    state = State(
        measurements={},
        lags={},
        answers=Answers({}),
        tops={} if seen.top is None else {KEY: seen.top},
        healths={} if seen.health is None else {KEY: seen.health},
        arrivals=Arrivals(),
        policy=policy_of(VenuesSettings()),
        unknowns=Unknowns(50.0, 0.03),
        reference_notional=10_000.0,
    )
    (answer,) = handle(state, a_score(), Place(0, 0), seen.now)
    return isinstance(answer, VenueScored)


def is_marked_on(seen: Seen) -> bool:
    """Return whether portfolio has a mark by it."""
    books = desk_of(PortfolioSettings().rules()).books
    _fold(books.tops, books.healths, seen)
    return books.mark("BTC-USDT", seen.now) is not None


def is_planned_on(seen: Seen) -> bool:
    """Return whether execution sizes and plans on it."""
    market = MarketData(ExecutionSettings())
    _fold(market.tops, market.healths, seen)
    return not isinstance(market.reference_book("BTC-USDT", seen.now), Unusable)


def is_filled_on(seen: Seen) -> bool:
    """Return whether an order that arrives at the venue now is filled; it was sent while all was well."""
    world = ExecutionWorld()
    latency_ns = world.market.latency_ns("binance", "BTC-USDT")
    world.now = seen.now - latency_ns
    world.books(venues=("binance",))
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget())
    order = SubmitPaperOrder(
        command_id=an_id("order"), symbol="BTC-USDT", side="buy", order_qty=SIZE, venue="binance"
    )
    world.deliver(order)
    for view, event in ((world.market.tops, seen.top), (world.market.healths, seen.health)):
        world.fold(view, KEY, event)
    world.advance()
    assert world.now == seen.now
    return bool(world.all(OrderFilled))


def is_shown_live(seen: Seen) -> bool:
    """Return whether the gateway says that it is LIVE."""
    settings = GatewaySettings()
    views = GatewayViews(settings.l2_silence_s, 1, lambda: 0)
    _fold(views.tops, views.healths, seen)
    return views.shown(KEY, seen.now).state is BookState.LIVE


USERS: Final = {
    "router": User("features", fills_a_context),
    "venues": User("scoring", is_scored),
    "portfolio": User("marking", is_marked_on),
    "planning": User("trading", is_planned_on),
    "filling": User("trading", is_filled_on),
    "gateway": User("showing", is_shown_live),
}
