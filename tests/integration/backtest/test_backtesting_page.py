"""What docs/backtesting.md shows works as it stands, in its order, from a CSV to a verified audit."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from backtest.__main__ import app_of
from backtest.command.summary import Summary
from libs.performance.answer import Performance
from simulator.latent import LatentPrices

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = Path(__file__).parents[3] / "docs" / "backtesting.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
BEGIN_S: Final = 1_767_571_200  # 2026-01-05

pytestmark = pytest.mark.timeout(600)


def write_candles(file: Path, begin_s: int, count: int, step_s: int) -> None:
    """Write candles as anybody's table has them, of a price that moves as the simulator's."""
    latent = LatentPrices(3, ("BTC-USDT",), 1.0)
    rows = ["time,open,high,low,close,volume"]
    for at in range(begin_s, begin_s + count * step_s, step_s):
        path = [math.exp(latent.log_price(0, (at + step_s * n // 4) * 10**9)) for n in range(5)]
        prices = ",".join(f"{price:.2f}" for price in (path[0], max(path), min(path), path[-1]))
        rows.append(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ},{prices},{step_s / 5}")
    file.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Run every command of the page."""
    here = tmp_path_factory.mktemp("page")
    write_candles(here / "minutes.csv", BEGIN_S, 120, 60)
    write_candles(here / "days.csv", BEGIN_S - 30 * 86_400, 30, 86_400)
    blocks = re.findall(r"^```sh elsewhere\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    script = "\n".join(["set -euo pipefail", *blocks]).replace(
        ".venv/bin/", f"{Path(sys.executable).parent}/"
    )
    ended = subprocess.run(
        ["bash", "-c", script], cwd=here, capture_output=True, text=True, check=False, timeout=500
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return {"here": here, "out": ended.stdout, "blocks": len(blocks)}


def test_every_command_of_the_page_does_its_work(done: Mapping[str, Any]) -> None:
    assert done["blocks"] == TEXT.count("```sh")
    assert "no faults in the source" in done["out"]
    assert re.search(r"verified: \d+ entries", done["out"])
    for folder in ("first", "bars", "mine", "sweep"):
        summary = msgspec.json.decode((done["here"] / folder / "summary.json").read_bytes(), type=Summary)
        assert not summary.partial
        assert summary.performance.counts.decisions > 0


def test_a_market_of_candles_is_marked_as_made_up(done: Mapping[str, Any]) -> None:
    report = (done["here"] / "bars" / "report.html").read_text()
    assert "Synthetic market (bars)" in report


def test_the_page_names_every_option_and_every_field() -> None:
    (command,) = app_of().registered_commands
    assert command.callback is not None
    assert len(TEXT.splitlines()) <= 200
    for option in (
        "simulator",
        "recording",
        "kafka",
        "data",
        "policies",
        "compare",
        "sweep",
        "folds",
        "seed",
    ):
        assert f"--{option}" in TEXT
    for kind in (Summary, Performance):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.encode_name}`" in TEXT, field.encode_name
