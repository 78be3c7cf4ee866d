"""Hosts of L2_HOSTS: what it says wins, what it leaves out is the table's, what is wrong is told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.common.venues import VENUES
from libs.common.venues.hosts import hosts_of
from services.l2.settings import L2Settings


def test_each_half_may_be_left_to_the_table() -> None:
    table = VENUES["okx"].hosts
    both = hosts_of("okx=wss://ws.okx.com:443|https://openapi.okx.com")["okx"]
    assert both == ("wss://ws.okx.com:443", "https://openapi.okx.com")
    assert hosts_of("okx=wss://ws.okx.com:443|")["okx"] == ("wss://ws.okx.com:443", table.rest)
    assert hosts_of("okx=|https://us.okx.com/")["okx"] == (table.stream, "https://us.okx.com")


def test_several_venues_are_separated_by_commas_and_may_have_paths_and_plain_schemes() -> None:
    found = hosts_of(
        " binance=ws://10.0.0.7:5100/binance|http://10.0.0.7:5100/binance , Kraken=wss://[fd00::1]:443| ,"
    )
    assert found["binance"] == ("ws://10.0.0.7:5100/binance", "http://10.0.0.7:5100/binance")
    assert found["kraken"].stream == "wss://[fd00::1]:443"
    assert hosts_of("") == {}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("hunter2=wss://a|", "place 1 names no venue; known: "),
        ("okx", "place 1 is not venue="),
        ("okx=wss://hunter2", "the | stays"),
        ("okx=|", "place 1 names no host"),
        ("okx=https://hunter2|", "place 1, before the |, must begin with wss:// (or ws://)"),
        ("okx=|wss://hunter2", "place 1, after the |, must begin with https:// (or http://)"),
        ("okx=ftp://hunter2|", "must begin with wss://"),
        ("okx=wss://a|,okx=wss://hunter2|", "place 2 names a venue that stands before"),
        ("okx=wss://hunter2:pw@a|", "has a name or password"),
        ("okx=wss://a?hunter2|", "has a ? or #"),
        ("okx=wss://a#hunter2|", "has a ? or #"),
        ("okx=wss://|https://hunter2", "is no address"),
        ("okx=wss://hunter2:port|", "is no address"),
        ("okx=wss://[hunter2|", "is no address"),
        ("okx=wss://hunter2 x|", "is no address"),
        (f"okx=wss://{70 * 'h'}.hunter2é|", "is no address"),
        ("binance=wss://a|,okx=wss://hunter2:99999|", "place 2, before the |, is no address"),
    ],
)
def test_what_is_wrong_is_told_by_its_place_and_not_shown(wrong: str, says: str) -> None:
    with pytest.raises(ValueError, match="place") as error:
        hosts_of(wrong)
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)
    with pytest.raises(ValidationError) as told:
        L2Settings.model_validate({"l2_hosts": wrong})
    assert "hunter2" not in str(told.value)


def test_they_are_hosts_of_the_exchanges_and_of_no_other_feed() -> None:
    settings = {"l2_hosts": "okx=wss://ws.okx.com:443|", "simulator_url": "http://sim:1"}
    assert L2Settings.model_validate({"feed": "live", **settings}).bases("okx")[0] == "wss://ws.okx.com:443"
    assert L2Settings.model_validate({"feed": "live", **settings}).bases("kraken") == VENUES["kraken"].hosts
    assert L2Settings.model_validate(settings).bases("okx") == ("ws://sim:1/okx", "http://sim:1/okx")


def test_a_scheme_is_read_in_any_case_and_kept_in_lower_case() -> None:
    """As RFC 3986, section 3.1, has it: whoever uses the address then need not."""
    assert hosts_of("okx=WSS://a.example/|HTTPS://B.example")["okx"] == (
        "wss://a.example",
        "https://B.example",
    )
