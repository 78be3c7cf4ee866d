from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.context.settings import ContextSettings
from services.context.source import RANGES
from services.context.sources import SOURCES

REAL = (
    "binance-usdm",
    "okx",
    "bybit",
    "deribit",
    "fear-greed",
    "binance-ratio",
    "blockchain-info",
    "mempool-space",
)


@pytest.mark.parametrize(
    ("feed", "names"),
    [
        ("live", REAL),
        ("simulator", ("binance-usdm", "okx", "bybit", "deribit", "stub")),
        ("replay:a.gz", ("stub",)),
    ],
)
def test_the_feed_says_which_sources_are_asked(feed: str, names: tuple[str, ...]) -> None:
    assert tuple(source.name for source in ContextSettings(feed=feed).asked()) == names


def test_the_order_of_a_setting_is_the_order_of_preference() -> None:
    settings = ContextSettings(feed="live", sources="bybit, okx")
    assert [source.name for source in settings.asked()] == ["bybit", "okx"]


@pytest.mark.parametrize(
    ("feed", "source", "base"),
    [
        ("live", "okx", "https://www.okx.com"),
        ("simulator", "okx", "http://127.0.0.1:5100/okx"),
        ("simulator", "deribit", "http://127.0.0.1:5100/deribit"),
        ("simulator", "binance-ratio", "http://127.0.0.1:5100/binance-usdm"),
        ("simulator", "fear-greed", "https://api.alternative.me"),
        ("live", "bybit", "http://elsewhere:1"),
        ("simulator", "bybit", "http://elsewhere:1"),
    ],
)
def test_a_source_is_asked_where_the_feed_and_its_host_say(feed: str, source: str, base: str) -> None:
    settings = ContextSettings(feed=feed, hosts="bybit=http://elsewhere:1/")
    assert settings.base(SOURCES[source]) == base


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sources": "okx,okex"}, "place 2 names no source; known: binance-usdm"),
        ({"sources": "okx,okx"}, "place 2 names a source that stands before"),
        ({"hosts": "okex=https://x"}, "place 1 names no source"),
        ({"hosts": "okx"}, "write it as okx=https://host"),
        ({"hosts": "okx=ftp://x"}, "write it as okx=https://host"),
        ({"hosts": "okx=http://x:99999"}, "write it as okx=https://host"),
        ({"pace": 0}, "greater than 0"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_right(changes: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ContextSettings(**changes)  # type: ignore[arg-type]


def test_every_source_gives_names_that_have_a_range_and_holds_longer_than_its_polls() -> None:
    for name, source in SOURCES.items():
        assert source.name == name
        assert set(source.names) <= RANGES.keys()
        assert source.oldest_s >= source.period_s
        assert (source.rate is None) == (source.host == "")
