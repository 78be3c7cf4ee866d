from __future__ import annotations

from msgspec.structs import replace

from libs.common.events import ExecutionRecord, PaperOrderPlaced
from services.gateway.http.execution_shown import execution_answer, paper_order_answer
from tests.full_valued import full


def test_an_answer_says_how_many_fills_there_were_beyond_those_it_shows() -> None:
    placed, record = full(PaperOrderPlaced), full(ExecutionRecord)
    assert paper_order_answer(replace(placed, fills_total=1500)).fills_total == 1500
    assert execution_answer(replace(record, fills_total=1500)).fills_total == 1500


def test_what_an_older_version_told_has_all_its_fills() -> None:
    placed, record = full(PaperOrderPlaced), full(ExecutionRecord)
    assert paper_order_answer(replace(placed, fills_total=None)).fills_total == len(placed.fills)
    assert execution_answer(replace(record, fills_total=None)).fills_total == len(record.fills)
