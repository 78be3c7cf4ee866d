"""``python -m tests.venues_stuck_fetch``: the venues service, whose fetches hang after ten seconds."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from services.venues import faust_recovery
from services.venues.__main__ import main

BEGINS_S: Final = 10.0

_began_s = time.monotonic()
_fetch = faust_recovery._fetch  # noqa: SLF001 -- what hangs


async def _hang(*told: Any, **named: Any) -> Any:
    if time.monotonic() - _began_s > BEGINS_S:
        await asyncio.Event().wait()
    return await _fetch(*told, **named)


if __name__ == "__main__":
    faust_recovery._fetch = _hang  # noqa: SLF001 -- as above
    main()
