"""What a hosted policy says on a running system is made again from the log cut at its instant."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.common.market_views import MarketViews
from libs.common.settings import ServiceSettings
from services.policies.settings import PoliciesSettings
from tests.cut_log import differences, taped, unlike
from tests.e2e.system import until
from tests.policies_world import host, world, write

if TYPE_CHECKING:
    from pathlib import Path

SEES_ALL = """
def signal(market):
    book = market.books["binance"]
    closes = market.closes(100)
    return Signal(book.seq % 100 / 100, f"{book.seq} {market.ts} {len(closes)} {closes.sum()!r}")
"""
SIGNALS = 12


def views() -> MarketViews:
    settings = PoliciesSettings()
    return MarketViews(settings.reference_venue, settings.minutes, settings.days)


@pytest.mark.timeout(120)
async def test_what_a_hosted_policy_says_is_what_the_log_cut_at_its_instant_gives(
    fresh_kafka: str, tmp_path: Path
) -> None:
    write(tmp_path, "mine", SEES_ALL, on_tops=True)
    async with world(fresh_kafka) as market:
        with host(fresh_kafka, tmp_path) as hosting:
            for at in range(1, SIGNALS):

                async def told(most: int = at) -> bool:
                    return len(market.seen.signals_of("mine")) >= most

                await until(f"it said something {at} times", told, 30)
                await market.minute()
            assert hosting.stop() == 0
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka)
    policy = runpy.run_path(str(tmp_path / "mine.py"))["POLICY"]
    assert await unlike(settings, "mine", policy, views) == []
    records, signals = await taped(settings, "mine", views)
    assert len(signals) >= SIGNALS - 1
    later = [replace(each, seen={name: end + 4 for name, end in each.seen.items()}) for each in signals]
    partitions = settings.topic_partitions
    assert len(differences(records, later, policy, views, partitions)) > len(signals) / 2
