from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.answers import ECHO, tell
from tests.bench.report import Report

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_call_that_never_found_anything_to_trade_is_said_to_be_missing_and_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(tmp_path, {})
    turn = {"plan-and-execute": [], "score": [4_000_000, 4_000_000], ECHO: [2_000_000, 2_000_000]}
    tell(report, tmp_path, "alone", [turn, turn])
    report.table()
    said = capsys.readouterr().out
    assert "skipped plan-and-execute, alone" in said
    assert "score: p50 ms 4" in said
