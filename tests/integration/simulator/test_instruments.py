"""What the simulator's venues say of their instruments is what it goes by itself, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.common.events import InstrumentTerms
from libs.common.instruments import INSTRUMENTS
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import BadFrameError, Unlisted

if TYPE_CHECKING:
    from aiohttp import ClientSession

VENUES = ("binance", "bybit", "coinbase", "kraken", "okx")


async def asked(client: ClientSession, venue: str, symbol: str) -> InstrumentTerms | Unlisted | None:
    """Return what the feed reads from the endpoint that it asks, None where that is no answer."""
    url = FEEDS[venue].instrument_url(f"/{venue}", symbol)
    assert url is not None
    async with client.get(url) as reply:
        body, status = await reply.read(), reply.status
    try:
        return FEEDS[venue].parse_instrument(body, symbol, status)
    except BadFrameError:
        assert status == 404, f"{venue} answers what its feed cannot read: {status} {body!r}"
        return None  # there is no such endpoint


@pytest.mark.parametrize("venue", VENUES)
async def test_its_terms_are_those_of_its_market(client: ClientSession, venue: str) -> None:
    for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"):
        said, row = await asked(client, venue, symbol), INSTRUMENTS[venue, symbol]
        table = InstrumentTerms(
            tick=row.tick, lot=row.lot, min_qty=row.min_qty, min_notional=row.min_notional
        )
        assert said in (None, table)


@pytest.mark.parametrize("venue", VENUES)
async def test_a_symbol_that_it_does_not_trade_is_refused(client: ClientSession, venue: str) -> None:
    said = await asked(client, venue, "NOTACOIN-USDT")
    assert said is None or isinstance(said, Unlisted)


async def test_binances_is_there(client: ClientSession) -> None:
    assert isinstance(await asked(client, "binance", "BTC-USDT"), InstrumentTerms)
    assert await asked(client, "binance", "NOTACOIN-USDT") == Unlisted("-1121 Invalid symbol.")
