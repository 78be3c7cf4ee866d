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

AFTER_S = (0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 2.0)  # a start takes about 2 s
END_S = 5.0


async def test_whenever_in_its_start_it_is_told_to_end_it_ends_promptly(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = VenuesSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=PARTITIONS)
    await prepare(settings)
    for after_s in AFTER_S:
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
