"""The venues service on a real broker, told to end while it starts."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from services.venues.app import prepare
from services.venues.settings import VenuesSettings
from tests.venues_running import PARTITIONS, Process

if TYPE_CHECKING:
    from pathlib import Path

STEP_S = 0.2
END_S = 5.0


async def test_whenever_in_its_start_it_is_told_to_end_it_ends_promptly(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = VenuesSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=PARTITIONS)
    await prepare(settings)
    after_s, lines = 0.4, ""
    while after_s < 1.0 or "venues_ready" not in lines:
        process = Process(fresh_kafka, tmp_path)
        try:
            await asyncio.sleep(after_s)
            process.process.terminate()
            told_s = time.monotonic()
            code = await asyncio.to_thread(process.process.wait, 30)
        finally:
            process.process.kill()
            process.process.wait()
        lines = process.log.read_text()[-3000:]
        assert code in (0, -signal.SIGTERM), f"told after {after_s} s: {code}\n{lines}"
        assert time.monotonic() - told_s < END_S, f"told after {after_s} s\n{lines}"
        after_s += STEP_S
