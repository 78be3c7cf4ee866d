"""A report on a telephone, as Chromium lays it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from libs.performance.figures import unknown
from libs.performance.page import Head, page
from tests.browser import a_page, find_browser
from tests.unit.libs.performance.performances import a_performance

if TYPE_CHECKING:
    from pathlib import Path

BROWSER: Final = find_browser()
WHY: Final = "0.04 days say nothing of a year; 1 at least are needed"
WIDE: Final = "[...document.querySelectorAll('.wide')]"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed, and CHROMIUM names none")
async def test_at_390_px_nothing_runs_past_the_edge_and_what_was_possible_is_seen_whole(
    tmp_path: Path,
) -> None:
    assert BROWSER is not None
    found = a_performance()
    benchmarks = tuple(
        msgspec.structs.replace(
            each,
            symbols=("BTC-USDT", "ETH-USDT", "SOL-USDT"),
            volatility=unknown(WHY),
            sharpe=unknown(WHY),
        )
        for each in found.benchmarks
    )
    shown = page(Head(title="Backtest", about="a day"), msgspec.structs.replace(found, benchmarks=benchmarks))
    (tmp_path / "report.html").write_bytes(shown)
    async with a_page(BROWSER, tmp_path) as tab:
        await tab.call(
            "Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True
        )
        await tab.open(f"file://{tmp_path}/report.html")
        await tab.wait_for("document.querySelector('footer')")
        assert await tab.evaluate("document.documentElement.scrollWidth") == 390
        assert await tab.evaluate(f"Math.max(...{WIDE}.map(box => box.getBoundingClientRect().right))") <= 390
        beside = f"{WIDE}.find(box => box.ariaLabel.startsWith('Beside'))"
        assert await tab.evaluate(f"{beside}.scrollWidth <= {beside}.clientWidth")
