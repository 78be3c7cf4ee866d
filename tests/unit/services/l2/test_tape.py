"""Trades of two lines of a book are counted once, and what may be missing between them is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from libs.common.events import Trade
from libs.common.time_units import NS_PER_S
from services.l2.features import TradeFlow
from services.l2.feeds import FEEDS
from services.l2.feeds.venue_messages import VenueTrade
from services.l2.maintainer import Counts
from services.l2.oddities import Oddities
from services.l2.tape import Tape
from tests.l2_world import START

if TYPE_CHECKING:
    from services.l2.history import History


@pytest.mark.parametrize("overlap", [True, False])
def test_where_ids_show_no_hole_only_a_trade_of_both_lines_proves_that_none_is_missing(
    *, overlap: bool
) -> None:
    history = AHistory()
    counts = Counts()
    oddities = Oddities("okx:BTC-USDT", counts)
    tape = Tape(FEEDS["okx"], "BTC-USDT", counts, TradeFlow(), cast("History", history), oddities)
    for number in (1, 2):
        tape.on_trade(a_venue_trade(number), START + NS_PER_S)
    held = [a_venue_trade(number) for number in ((2, 9) if overlap else (8, 9))]
    said = [each.trade_id for each in tape.take_over(held, START + NS_PER_S) if isinstance(each, Trade)]
    assert said == (["9"] if overlap else ["8", "9"])
    assert history.distrusted == ([] if overlap else [START + 2])


class AHistory:
    """Notes since when minutes are left to the venue."""

    def __init__(self) -> None:
        self.distrusted: list[int | None] = []

    def distrust(self, since_ts: int | None) -> None:
        self.distrusted.append(since_ts)

    def on_trade(self, trade: VenueTrade, now: int) -> None:
        """Have no candles."""


def a_venue_trade(number: int) -> VenueTrade:
    return VenueTrade(trade_id=str(number), price=100.0, size=1.0, side="buy", venue_ts=START + number)
