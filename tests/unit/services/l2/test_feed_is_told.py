"""A book's health says where its messages come from: the simulator, a recording, or the exchange itself."""

from __future__ import annotations

import pytest

from libs.common.events import BookHealth
from services.l2.app import policy_of
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import BookWanted
from services.l2.settings import L2Settings
from tests.l2_world import START


@pytest.mark.parametrize(
    ("feed", "told"),
    [("simulator", "simulator"), ("live", "live"), ("replay:/days/a.ndjson,/days/b.ndjson", "replay")],
)
def test_the_first_health_of_a_book_names_the_feed_and_no_path(feed: str, told: str) -> None:
    settings = L2Settings(feed=feed)
    state = State(FEEDS, settings.bases, policy_of(settings))
    outputs = handle(state, BookWanted("binance", "BTC-USDT", 0), START)
    assert [health.feed for health in outputs if isinstance(health, BookHealth)] == [told]
