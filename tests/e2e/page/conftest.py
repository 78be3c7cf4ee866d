"""One running system and one browser for all tests of the page, and a tab for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests import kafka_cluster
from tests.e2e.page.running import a_page_system, executed
from tests.page_browser import chromium, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser

    from broker.native import NativeBroker
    from tests.e2e.system import System
    from tests.page_browser import Opened


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeBroker]:
    """Start a Kafka that is killed at the end of these tests."""
    with kafka_cluster.native_broker(tmp_path_factory.mktemp("page-kafka")) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def system(broker: NativeBroker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with a_page_system(broker.bootstrap_servers, tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def execution(system: System) -> Any:
    """Return the record of an execution that ended with fills."""
    return await executed(system)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def tab(system: System, browser: Browser) -> AsyncIterator[Opened]:
    async with opened(browser, system.gateway) as found:
        yield found
