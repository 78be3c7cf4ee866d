"""``python -m tests.l2_told_to_end``: l2, told to end while its group gives it books for the first time."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from services.l2.__main__ import main
from services.l2.ownership import Ownership

if TYPE_CHECKING:
    from services.l2.ownership import PastLog

_take_over = Ownership.take_over


async def _told_to_end_first(self: Ownership, came: set[int], past: PastLog) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.1)
    await _take_over(self, came, past)
    print(f"took over {sum(map(len, self._books.values()))} books", flush=True)  # noqa: T201 -- for the test


if __name__ == "__main__":
    Ownership.take_over = _told_to_end_first  # type: ignore[method-assign]  # what comes at that moment
    main()
