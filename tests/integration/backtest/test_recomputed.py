"""The numbers of a run against the same, made once more of what its folder has of every topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backtest.__main__ import main
from tests.recomputed import (
    Ran,
    of_costs,
    of_policies,
    of_trades,
    of_venues,
    over_time,
    read,
    settled,
    worst,
    worth,
)

if TYPE_CHECKING:
    from pathlib import Path

RUN = (
    *("--simulator", "1", "--from", "2026-01-05", "--to", "+16m"),
    *("--symbols", "BTC-USDT,SOL-USDT", "--interval", "1m"),
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("run")
    assert main([*RUN, "--out", str(folder)]) == 0
    return read(folder), json.loads((folder / "summary.json").read_bytes())["performance"]


def exactly(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def figure(found: dict[str, Any], name: str) -> float | None:
    """Return a number of an object by the name that it has here, whether it is a figure or plain."""
    first, *others = name.split("_")
    value = found["".join((first, *map(str.capitalize, others)))]
    number: float | None = value["value"] if isinstance(value, dict) else value
    return number


def test_equity_is_what_cash_and_holdings_of_the_fills_are_worth(ran: tuple[Ran, dict[str, Any]]) -> None:
    wrote, _ = ran
    marks = settled(wrote)
    assert len(marks) > 8
    assert marks[-1]["fills"] > 30
    for mark in marks:
        assert float(mark["equity"]) == exactly(worth(wrote, mark))


def test_figures_over_time_and_of_trades_are_those_of_the_topics(ran: tuple[Ran, dict[str, Any]]) -> None:
    wrote, told = ran
    for name, value in (over_time(wrote) | of_trades(wrote)).items():
        part, field = name.split(".")
        assert figure(told[part], field) == exactly(value), name
    assert [each["executionId"] for each in told["worst"]] == worst(wrote)
    assert told["counts"]["fills"] == len(wrote.fills)
    assert told["counts"]["ordersAlone"] == 0


@pytest.mark.parametrize(
    ("part", "key", "made"),
    [
        ("venues", "venue", of_venues),
        ("policies", "policyId", of_policies),
        ("costs", "term", of_costs),
    ],
)
def test_tables_are_those_of_the_topics(
    ran: tuple[Ran, dict[str, Any]], part: str, key: str, made: Any
) -> None:
    wrote, told = ran
    rows, expected = {row[key]: row for row in told[part]}, made(wrote)
    assert rows.keys() == expected.keys()
    for name, numbers in expected.items():
        for field, value in numbers.items():
            got = figure(rows[name], field)
            assert got is None if value != value else got == exactly(value), (name, field)  # noqa: PLR0124 -- NaN


def test_where_nothing_is_traded_each_execution_is_counted_once(tmp_path: Path) -> None:
    short = ("--simulator", "1", "--from", "2026-01-05", "--to", "+2m", "--interval", "20s", "--capital", "1")
    assert main([*short, "--symbols", "BTC-USDT", "--out", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "summary.json").read_bytes())["performance"]
    begun = told["counts"]["executions"]
    assert begun > 2
    assert any(f" {begun} executions skipped, of them" in warning for warning in told["warnings"])
