"""DuckDB and Polars read history in one line, with true prices: the lines of docs/history.md."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from libs.common.codec import encode
from libs.common.events import PolicySignalled
from libs.common.topics import POLICIES_SIGNALS
from libs.history.faults import FaultReport
from libs.history.layout import TOPIC_SCHEMA, Digits, book_schema, candles_schema, trades_schema
from libs.history.topic_files import TopicRecord, TopicWriter
from libs.history.writer import DayWriter
from tests.full_valued import full
from tests.history_market import MIDNIGHT, SYMBOL, a_market, candles_of, trades_of, without_keyframes

if TYPE_CHECKING:
    from tests.history_market import Told

DOCUMENT = Path(__file__).parents[4] / "docs" / "history.md"
LINES = re.findall(r"^\.venv/bin/python (-c \".*\")$", DOCUMENT.read_text(), re.MULTILINE)


@pytest.fixture
def told(tmp_path: Path) -> list[Told]:
    """Write books of few digits and of more."""
    root, books = (
        tmp_path / "history",
        [
            a_market(300),
            a_market(100, venue="okx", digits=5),
            a_market(100, venue="bybit", digits=1),
        ],
    )
    with DayWriter(root, FaultReport(), source="a test") as days:
        for each in books:
            for event in (*each.events, *trades_of(each), *candles_of(MIDNIGHT, 3)):
                days.write(event)
    with TopicWriter(root) as topics:
        topics.write(POLICIES_SIGNALS, TopicRecord(MIDNIGHT, 0, 7, b"k", encode(full(PolicySignalled)), ()))
    return books


@pytest.mark.parametrize("line", LINES)
def test_the_documents_lines_print_what_is_there(told: list[Told], tmp_path: Path, line: str) -> None:
    assert told
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} {line}"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert SYMBOL in done.stdout or "PolicySignalled" in done.stdout


def test_every_level_of_every_message_is_true_in_both(told: list[Told], tmp_path: Path) -> None:
    files = [str(each) for each in tmp_path.rglob("book.parquet")]
    by_duckdb = duckdb.execute(
        "SELECT venue, received_ts, seq, unnest(bids, recursive := true) "
        "FROM read_parquet(?, union_by_name = true) WHERE NOT repeated",
        [files],
    ).fetchall()
    by_polars = (
        pl.concat([pl.scan_parquet(file) for file in files], how="vertical_relaxed")
        .filter(~pl.col("repeated"))
        .select("venue", "received_ts", "seq", "bids")
        .explode("bids")
        .unnest("bids")
        .drop_nulls()
        .collect()
        .rows()
    )
    expected = sorted(
        (each.venue, each.received_ts, each.seq, price, size)
        for book in told
        for each in without_keyframes(book)
        for price, size in each.bids
    )
    for found in (by_duckdb, by_polars):
        assert all(isinstance(price, Decimal) for *_, price, _ in found)
        assert sorted((*place, float(price), float(size)) for *place, price, size in found) == expected
    schemas = {str(pl.read_parquet_schema(file)["bids"]) for file in files}
    assert len(schemas) == 3  # each with its own digits


def test_the_document_names_every_column() -> None:
    text = DOCUMENT.read_text()
    digits = Digits(2, 2)
    for name in {*book_schema(digits).names, *TOPIC_SCHEMA.names}:
        assert f"`{name}`" in text, name
    assert {*trades_schema(digits).names, *candles_schema(digits).names}
    assert len(LINES) == 4
