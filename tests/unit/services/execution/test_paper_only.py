"""The tree knows no address of an order: that only l2 has clients of the network, an import contract says."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[4]
# How exchanges name the routes and methods that take, change or cancel orders, and the headers that sign.
ORDER_ROUTES = re.compile(
    r"/api/v3/order|/fapi/v1/order|/dapi/v1/order|/v5/order/|/api/v5/trade|/brokerage/orders|AddOrder|add_order"
    r"|/private/|X-MBX-APIKEY|OK-ACCESS-|CB-ACCESS-|X-BAPI-|API-Sign|newOrder|order\.place",
)
SENDING = re.compile(r"(session|http|client)\w*\.(post|put|delete|patch|request)\(")


def found(pattern: re.Pattern[str], *folders: str) -> set[str]:
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert sources, "the tree is found"
    return {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in sources
        for match in pattern.finditer(path.read_text())
    }


def test_no_source_names_an_order_route_or_a_signing_header_of_an_exchange() -> None:
    assert found(ORDER_ROUTES, "libs", "services", "simulator") == set()


def test_l2_only_gets_and_streams() -> None:
    assert found(SENDING, "services/l2") == set()
