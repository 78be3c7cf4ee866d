"""A recording holds no instruments: their endpoints are not there, whatever its venue answers else."""

from __future__ import annotations

import pytest

from services.l2.feeds import FEEDS
from simulator.replay import INSTRUMENTS


@pytest.mark.parametrize("venue", FEEDS)
def test_every_address_that_a_feed_asks_is_among_those_and_no_other_of_its(venue: str) -> None:
    feed = FEEDS[venue]
    url = feed.instrument_url(f"/{venue}", "BTC-USDT")
    if url is not None:
        assert INSTRUMENTS.search(url.partition("?")[0])
    candles = feed.candles_url(f"/{venue}", "BTC-USDT", "1m", 0)
    assert candles is None or not INSTRUMENTS.search(candles.partition("?")[0])
    if feed.snapshot_by_rest:
        assert not INSTRUMENTS.search(feed.snapshot_url(f"/{venue}", "BTC-USDT").partition("?")[0])
