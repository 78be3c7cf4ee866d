from __future__ import annotations

from libs.common.events import BookState
from services.l2.monitoring import Recoveries
from tests.unit.services.gateway.world import a_book_health


def test_a_recovery_lasts_from_the_first_state_away_until_live() -> None:
    recoveries = Recoveries()
    for second, state in enumerate(
        (BookState.SYNCING, BookState.LIVE, BookState.LIVE, BookState.GAP, BookState.SYNCING, BookState.LIVE)
    ):
        recoveries.saw(a_book_health(state=state), second * 1_000_000_000)
    assert sum(recoveries.seconds.counts) == 2
    assert recoveries.seconds.total == 1 + 2
