from __future__ import annotations

import pytest

from services.gateway.http.callers import networks_of, origin_of
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

PROXIES = networks_of("127.0.0.1, 10.0.0.0/8,::1")
WISH = {"venue": "nowhere", "symbol": "BTC-USDT"}
NO_ADDRESS = [
    *("a:b", "", " ", ",", "unknown", "_hidden", "a:b:c", "1.2.3", "1.2.3.4.5", "010.0.0.1", "1.2.3.4:x"),
    *("[", "]", "[]", "[::1", "[1:2]:3", "::1]:3", "::g", ":::", "fe80::1%eth0", "1.2.3.4:999999", "\xe4"),
    *("\N{SUPERSCRIPT TWO}.1.1.1", "9" * 5000, ":" * 5000, "for=1.2.3.4", "1.2.3.4;5.6.7.8"),
]


def told(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", value.encode("latin-1", "replace")) for value in values]


@pytest.mark.parametrize(
    ("values", "origin"),
    [
        (["203.0.113.1"], "203.0.113.1"),
        (["203.0.113.1:443"], "203.0.113.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:DB8:0::1]:443"], "2001:db8::1"),
        (["::ffff:203.0.113.1"], "203.0.113.1"),
        (["198.51.100.1, 203.0.113.1"], "203.0.113.1"),
        (["198.51.100.1", "203.0.113.1, 10.1.2.3"], "203.0.113.1"),
        (["10.1.1.1,10.2.2.2"], "10.1.1.1"),
        ([], "127.0.0.1"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_asks(values: list[str], origin: str) -> None:
    assert origin_of("127.0.0.1", told(*values), PROXIES) == origin


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_what_is_no_address_is_not_believed_nor_what_stands_left_of_it(text: str) -> None:
    assert origin_of("127.0.0.1", told(text), PROXIES) == "127.0.0.1"
    assert origin_of("127.0.0.1", told(f"203.0.113.1,{text},10.0.0.7"), PROXIES) == "10.0.0.7"


def test_who_is_no_proxy_is_not_believed() -> None:
    assert origin_of("192.0.2.1", told("203.0.113.1"), PROXIES) == "192.0.2.1"
    assert origin_of("unix:", told("203.0.113.1"), PROXIES) == "unix:"
    assert origin_of("::ffff:127.0.0.1", told("203.0.113.1"), PROXIES) == "203.0.113.1"


@pytest.mark.parametrize("text", NO_ADDRESS)
async def test_a_change_behind_a_proxy_is_never_a_500(text: str) -> None:
    world = World(trusted_proxies="127.0.0.1")
    assert_problem(await world.post(WISH, x_forwarded_for=text), 404, "unknown-venue")


async def test_each_address_behind_a_proxy_has_a_bucket_of_its_own_and_rubbish_shares_the_proxys() -> None:
    world = World(trusted_proxies="127.0.0.1", write_rate_per_s=1, write_burst=1)
    sent = ["203.0.113.1", "203.0.113.2", "a:b", "c:d", "203.0.113.1"]
    answers = [(await world.post(WISH, x_forwarded_for=each)).status for each in sent]
    assert answers == [404, 404, 404, 429, 429]
