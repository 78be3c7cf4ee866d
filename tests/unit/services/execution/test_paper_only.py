"""No code can reach a real order route: execution has no client, and the tree knows no order address."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
EXECUTION = sorted((ROOT / "services" / "execution").glob("*.py"))
CLIENTS = {"aiohttp", "requests", "httpx", "urllib", "urllib3", "http", "websockets", "socket", "ssl", "ccxt"}
# How exchanges name the routes and methods that take, change or cancel orders, and the headers that sign.
ORDER_ROUTES = re.compile(
    r"/api/v3/order|/fapi/v1/order|/dapi/v1/order|/v5/order/|/api/v5/trade|/brokerage/orders|AddOrder|add_order"
    r"|/private/|X-MBX-APIKEY|OK-ACCESS-|CB-ACCESS-|X-BAPI-|API-Sign|newOrder|order\.place",
)
SOURCES = sorted(
    path for folder in ("libs", "services", "simulator") for path in (ROOT / folder).rglob("*.py")
)


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", EXECUTION, ids=lambda path: path.name)
def test_no_module_of_execution_imports_a_client_of_the_network(path: Path) -> None:
    assert not _imported(path) & CLIENTS


def test_no_source_names_an_order_route_or_a_signing_header_of_an_exchange() -> None:
    assert len(SOURCES) > 100, "the tree is found"
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in SOURCES
        for match in ORDER_ROUTES.finditer(path.read_text())
    }
    assert not found


def test_l2_only_gets_and_streams() -> None:
    sending = re.compile(r"(session|http|client)\w*\.(post|put|delete|patch|request)\(")
    sources = sorted((ROOT / "services" / "l2").rglob("*.py"))
    assert any("aiohttp" in _imported(path) for path in sources), "l2 is where the clients are"
    for path in sources:
        assert not sending.search(path.read_text()), path
