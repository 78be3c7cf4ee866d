"""More than l2 can take, and Kafka away: what comes late comes complete, and memory stays where it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.system import until
from tests.flood import L2, Flooded, rss_mib
from tests.flood_exchange import BOOKS

if TYPE_CHECKING:
    from broker.native import NativeBroker
    from tests.flood import Gauges

FLOOD = 30_000  # messages a second, which no single core takes
FLOOD_S = 6
LOAD = 2_000
AWAY_S = 10
TOPS_A_SECOND = 10
GROWTH_MIB = 200
PATIENCE_S = 150.0

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]


async def until_over(system: Flooded) -> float:
    """Wait until all is said and on Kafka; return the most memory l2 had meanwhile, MiB."""
    most = 0.0

    async def over() -> bool:
        nonlocal most
        most = max(most, rss_mib(system.pid(L2)))
        return not (await system.said()).flooding

    await until("the flood is over", over, PATIENCE_S)
    said = (await system.said()).total

    def settled(gauges: Gauges) -> bool:
        return gauges.messages >= said and gauges.queued == 0 and gauges.live == BOOKS

    await system.until_gauges("everything is on Kafka", settled, PATIENCE_S)
    return max(most, rss_mib(system.pid(L2)))


async def assert_all_books_are_the_truth(system: Flooded) -> None:
    async def true() -> bool:
        books = await system.rebuilt()
        return all(
            [(book.book.bids(), book.book.asks()) == await system.truth(key) for key, book in books.items()]
        )

    await until("every book is the exchange's own", true)


async def test_a_flood_is_published_whole_with_conflated_tops_and_bounded_memory(
    fresh_kafka: str, tmp_path: Path
) -> None:
    async with Flooded(fresh_kafka, tmp_path) as system:
        before = rss_mib(system.pid(L2))
        await system.flood(FLOOD, FLOOD_S)
        most = await until_over(system)
        assert most - before < GROWTH_MIB
        said, books = (await system.said()).said, await system.rebuilt()
        assert {key: (book.deltas, len(book.epochs)) for key, book in books.items()} == {
            key: (count, 1) for key, count in said.items()
        }, "each message is one delta of the one epoch"
        assert sum(said.values()) > FLOOD * FLOOD_S - len(said), "all of the flood was said"
        await assert_all_books_are_the_truth(system)
        for key, tops in (await system.tops()).items():
            lasted_s = (tops[-1].received_ts - tops[0].received_ts) / 1e9
            news = {(top.epoch, top.seq) for top in tops}  # the newest comes again while nothing changes
            assert len(news) <= TOPS_A_SECOND * lasted_s + 2, key
            assert tops[-1].seq == books[key].book.seq, "the last top shows the last delta"


async def test_books_outlive_ten_seconds_without_kafka_by_themselves(
    own_broker: NativeBroker, tmp_path: Path
) -> None:
    async with Flooded(own_broker.bootstrap_servers, tmp_path) as system:
        before = rss_mib(system.pid(L2))
        await system.flood(LOAD, AWAY_S + 20)
        await system.until_gauges("the load flows", lambda gauges: gauges.messages > LOAD)
        own_broker.kill()
        killed = (await system.said()).total

        async def long_enough() -> bool:
            said = await system.said()
            return said.total - killed >= LOAD * AWAY_S or said.behind_ns > AWAY_S * 1e9

        await until("ten seconds of load met no Kafka", long_enough, PATIENCE_S)
        gauges = await system.gauges()
        assert gauges is not None
        assert gauges.queued > LOAD, "what is due to Kafka waits and is told"
        assert gauges.publish_lag_s > 1
        await asyncio.to_thread(own_broker.start)
        most = await until_over(system)
        assert most - before < GROWTH_MIB
        await assert_all_books_are_the_truth(system)
        books = await system.rebuilt()
        assert {key: book.deltas for key, book in books.items()} == (await system.said()).said
