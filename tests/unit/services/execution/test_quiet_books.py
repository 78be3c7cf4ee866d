from __future__ import annotations

from libs.common.events import BookTop
from services.execution.market_data import Unusable
from tests.execution_market import a_book_health
from tests.execution_world import ExecutionWorld, S

KEY = b"binance:BTC-USDT"


def told(*, in_doubt: bool) -> BookTop | Unusable:
    """Return the book that has not changed for ten minutes, as execution sees it."""
    world = ExecutionWorld()
    world.ready()
    health = world.market.healths.items[KEY]
    world.now += 600 * S
    world.fold(
        world.market.healths,
        KEY,
        a_book_health(ts=world.now, seq=health.seq, epoch=health.epoch, in_doubt=in_doubt),
    )
    return world.market.book("binance", "BTC-USDT", world.now)


def test_a_quiet_book_of_a_speaking_owner_is_used_however_long_it_has_not_changed() -> None:
    assert isinstance(told(in_doubt=False), BookTop)


def test_a_book_in_doubt_is_as_old_as_its_last_message() -> None:
    found = told(in_doubt=True)
    assert isinstance(found, Unusable)
    assert "stale: the book is 600000 ms old" in found.reason
