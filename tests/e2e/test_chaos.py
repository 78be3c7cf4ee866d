"""A short chaos run: everything goes wrong for half a minute, and no wrong book is ever LIVE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.run import run

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 25.0
SEED = 5  # kills an l2 worker first


@pytest.mark.timeout(300)
async def test_no_wrong_book_is_live_and_every_fault_heals(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = await run(tmp_path, seconds=SECONDS, seed=SEED, say=said.append)
    complaints = (*outcome.wrong, *outcome.broken, *outcome.failed, *outcome.ended)
    assert outcome.is_good, "\n".join([*complaints, *said[-3:], f"logs in {tmp_path}"])
    injected = {row.kind: row.injected for row in outcome.rows}
    assert injected["l2 killed"] == 1
    assert sum(injected.values()) >= 10
    assert sum(outcome.compared_running.values()) >= 100
    assert outcome.compared_paused >= outcome.books
    assert outcome.compared_gateway >= outcome.books
