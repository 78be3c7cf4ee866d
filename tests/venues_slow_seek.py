"""``python -m tests.venues_slow_seek``: the venues service, with the race of Faust's recovery held open.

Between Faust's order to seek and what comes after it lie 0.2 s, in which a running fetcher would take
records.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiokafka

from services.venues.__main__ import main

WIDENED_S: Final = 0.2

_seek = aiokafka.AIOKafkaConsumer.seek_to_committed


async def _slowly(self: aiokafka.AIOKafkaConsumer, *partitions: Any) -> Any:
    found = await _seek(self, *partitions)
    await asyncio.sleep(WIDENED_S)
    return found


if __name__ == "__main__":
    aiokafka.AIOKafkaConsumer.seek_to_committed = _slowly
    main()
