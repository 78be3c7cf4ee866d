"""The venues service exchanged for another version within its session: its group gives it what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.venues_running import Market, Process, until

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_version_with_other_tables_takes_over_and_remembers_what_was_answered(
    fresh_kafka: str, tmp_path: Path
) -> None:
    market = Market(fresh_kafka)
    async with market.open():
        before = Process(fresh_kafka, tmp_path, "tests.venues_other_tables")
        try:
            first = await market.ask(0)
            await until("the older version answers", lambda: first in market.answers, before)
            assert before.stop() == 0
        finally:
            before.process.kill()
            before.process.wait()
        after = Process(fresh_kafka, tmp_path)
        try:
            second = await market.ask(1)
            await until("the newer version answers", lambda: second in market.answers, after)
            count = len(market.answers[first])
            await market.ask(0)
            await until(
                "it repeats what was answered before", lambda: len(market.answers[first]) > count, after
            )
            assert len({record.value for record in market.answers[first]}) == 1
            assert after.stop() == 0
        finally:
            after.process.kill()
            after.process.wait()
