"""A short chaos run: everything goes wrong for half a minute, and no wrong book is ever LIVE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.run import run

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 25.0


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("seed", "first"),
    [
        (24, "l2 killed"),
        (6, "clock set"),  # 40 hours back
        (4, "transaction left open"),  # beside a kill of the router
    ],
)
async def test_no_wrong_book_is_live_and_every_fault_heals(tmp_path: Path, seed: int, first: str) -> None:
    said: list[str] = []
    outcome = await run(tmp_path, seconds=SECONDS, seed=seed, say=said.append)
    complaints = (*outcome.wrong, *outcome.broken, *outcome.failed, *outcome.ended)
    assert outcome.is_good, "\n".join([*complaints, *said[-3:], f"logs in {tmp_path}"])
    injected = {row.kind: row.injected for row in outcome.rows}
    assert injected.get(first) == 1
    assert sum(injected.values()) >= 10
    assert sum(outcome.compared_running.values()) >= 100
    assert outcome.compared_paused >= outcome.books
    assert outcome.compared_gateway >= outcome.books
