"""The notebook, cell by cell, against a running system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from libs.common.audit_chain import broken_links
from tests import kafka_cluster
from tests.e2e.system import System
from tests.notebook import TOUR, Run, cells

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVICES: Final = ("services.venues", "services.router", "services.portfolio", "services.execution")

pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    async with System(kafka, tmp_path_factory.mktemp("tour")) as running:
        running.start(*SERVICES)
        await running.ready()
        yield running


async def test_every_cell_of_the_tour_runs_and_what_it_proves_is_so(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="the tour's plots take the extra `plots`")
    address = urlsplit(system.gateway)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", system.kafka)
    monkeypatch.setenv("GATEWAY_HOST", str(address.hostname))
    monkeypatch.setenv("GATEWAY_PORT", str(address.port))
    tour = Run()
    for cell in cells(TOUR):
        await tour.run(cell)
    assert "LIVE" in tour.printed["list-books"]
    assert tour.names["applied"] > 0
    assert (tour.names["mine"].epoch, tour.names["mine"].seq) == tour.names["wanted"]
    chances = [policy.belief.best for policy in tour.names["policies"]]
    assert sum(chances) == pytest.approx(1)
    assert tour.names["told"]["symbols"][0]["symbol"] == "BTC-USDT"
    chain = tour.names["chain"]
    assert len(chain) > 1
    assert broken_links(chain) == []
    lines = [axes.get_lines() for axes in tour.names["figure"].axes]
    assert len(lines[0]) == len(chances)
