from __future__ import annotations

from libs.common.events import VenueScored
from libs.common.time_units import NS_PER_S
from tests.unit.services.venues.test_handlers import VENUES, a_world
from tests.venue_market import NOW, a_health, a_score


def eligible(*, in_doubt: bool) -> set[str]:
    """Return the venues that are eligible a minute after the last change of any book."""
    world = a_world()
    now = NOW + 60 * NS_PER_S
    for venue in VENUES:
        world.tell(a_health(venue, now=now, in_doubt=in_doubt and venue == "binance"), now)
    scored = world.score(a_score(), now)
    assert isinstance(scored, VenueScored)
    return {each.venue for each in scored.candidates if each.eligible}


def test_quiet_books_are_scored_while_their_owner_speaks_and_one_in_doubt_is_not() -> None:
    assert eligible(in_doubt=False) == set(VENUES)
    assert eligible(in_doubt=True) == set(VENUES) - {"binance"}
