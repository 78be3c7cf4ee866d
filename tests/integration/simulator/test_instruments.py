"""What the simulator's venues say of their instruments is what it goes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.common.events import InstrumentTerms
from libs.common.instruments import INSTRUMENTS
from services.l2.feeds import FEEDS
from services.l2.feeds.venue_messages import Unlisted

if TYPE_CHECKING:
    from aiohttp import ClientSession

VENUES = ("binance", "bybit", "coinbase", "kraken", "okx")


async def asked(client: ClientSession, venue: str, symbol: str) -> InstrumentTerms | Unlisted:
    """Return what the feed reads from the endpoint that it asks."""
    url = FEEDS[venue].instrument_url(f"/{venue}", symbol)
    assert url is not None
    async with client.get(url) as reply:
        return FEEDS[venue].parse_instrument(await reply.read(), symbol, reply.status)


@pytest.mark.parametrize("venue", VENUES)
async def test_its_terms_are_those_of_its_market(client: ClientSession, venue: str) -> None:
    for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"):
        said, row = await asked(client, venue, symbol), INSTRUMENTS[venue, symbol]
        table = InstrumentTerms(
            tick=row.tick, lot=row.lot, min_qty=row.min_qty, min_notional=row.min_notional
        )
        assert said == table


@pytest.mark.parametrize("venue", VENUES)
async def test_a_symbol_that_it_does_not_trade_is_refused(client: ClientSession, venue: str) -> None:
    said = await asked(client, venue, "NOTACOIN-USDT")
    assert isinstance(said, Unlisted)
    assert venue != "binance" or said == Unlisted("-1121 Invalid symbol.")
