"""``python -m tests.venues_slow_seek``: the venues service, with the races of Faust's recovery held open.

Between Faust's orders to seek and what comes after them lie 0.2 s, in which a running fetcher would take
records.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiokafka
from faust.tables.recovery import Recovery

from services.venues.__main__ import main

WIDENED_S: Final = 0.2

_seek_to_committed = aiokafka.AIOKafkaConsumer.seek_to_committed
_seek_offsets = Recovery._seek_offsets  # noqa: SLF001 -- where the race lies


async def _slowly(self: aiokafka.AIOKafkaConsumer, *partitions: Any) -> Any:
    found = await _seek_to_committed(self, *partitions)
    await asyncio.sleep(WIDENED_S)
    return found


async def _slowly_to(self: Recovery, *told: Any) -> None:
    await _seek_offsets(self, *told)
    await asyncio.sleep(WIDENED_S)


if __name__ == "__main__":
    aiokafka.AIOKafkaConsumer.seek_to_committed = _slowly
    Recovery._seek_offsets = _slowly_to  # type: ignore[assignment,method-assign]  # noqa: SLF001 -- as above
    main()
