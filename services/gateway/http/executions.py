"""One execution among the newest: found by its id or the beginning of it, waited for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from services.gateway.http.problems import INVALID, UNKNOWN_NAME, FieldError, ProblemError
from services.gateway.http.requests import LEAST_OF_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.events import ExecutionRecord
    from services.gateway.http.parts import Parts

MOST_LISTED: Final = 10
SEEN_S: Final = 1.0


def record_of(parts: Parts, text: str) -> ExecutionRecord:
    """Return the execution of this id.

    Raises
    ------
    ProblemError
        404 if it is none of the newest, 422 if it is the beginning of several.
    """
    record = parts.views.records.items.get(id_of(parts, text).encode())
    if record is None:
        detail = f"No execution {text[:80]!r} is among the newest; GET /api/exec/records lists them."
        raise ProblemError(UNKNOWN_NAME, detail)
    return record


def id_of(parts: Parts, text: str) -> str:
    """Return the whole id of what may be the beginning of one of the newest; else the text as it is.

    Raises
    ------
    ProblemError
        422 if several begin so.
    """
    found = parts.views.records.named(text.lower()) if len(text) >= LEAST_OF_ID else []
    if len(found) > 1:
        listed = ", ".join(found[:MOST_LISTED])
        detail = (
            f"{len(found)} executions begin with {text[:80]!r}: {listed}{', …' * (len(found) > MOST_LISTED)}."
        )
        raise ProblemError(INVALID, detail, errors=(FieldError("execution_id", "write more of the id"),))
    return found[0] if found else text


async def seen(parts: Parts, record: ExecutionRecord) -> None:
    """Wait until the other routes tell of this execution too: their topics may come a little later."""
    key, views = record.execution_id.encode(), parts.views

    def there() -> bool:
        sizing = views.sizings.items.get(record.symbol.encode())
        sized = record.sizing is None or (sizing is not None and sizing.ts >= record.sizing.ts)
        return sized and key in views.records.items

    await soon(parts, there)


async def soon(parts: Parts, shown: Callable[[], bool]) -> None:
    """Wait until the other routes tell of it too, for a moment: an answer is true nevertheless."""
    await _until(parts, shown, SEEN_S)


async def final(parts: Parts, record: ExecutionRecord, timeout_s: float) -> ExecutionRecord:
    """Return the execution once it has ended, or as it is after `timeout_s`."""
    key = record.execution_id.encode()

    def ended() -> bool:
        found = parts.views.records.items.get(key)
        return found is not None and found.status.final

    await _until(parts, ended, timeout_s)
    return parts.views.records.items.get(key, record)


async def _until(parts: Parts, condition: Callable[[], bool], timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await parts.decisions.until(condition)
