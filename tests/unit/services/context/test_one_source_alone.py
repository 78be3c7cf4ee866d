from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from libs.common.events import SourceState
from libs.common.proxies import Proxies
from libs.common.venue_http import VenueHttp
from services.context.app import App
from services.context.asking import Asker
from services.context.settings import ContextSettings
from services.context.sources.stub import SOURCE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pytest

    from services.context.source import Reading


def defective(_replies: Mapping[str, bytes], symbols: Collection[str], _now: int) -> Reading:
    raise KeyError(next(iter(symbols)))


async def test_a_defect_of_a_source_s_code_is_its_failure_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = replace(SOURCE, read=defective)
    async with VenueHttp(Proxies.of_environment()) as http:
        asker = Asker(source, http, "", timeout_s=1.0, most_bytes=1)
        verdict = await App(ContextSettings()).poll(source, asker, frozenset({"BTC-USDT"}), 0)
    assert (verdict.state, verdict.inputs, verdict.failed) == (SourceState.FAILING, (), True)
    assert verdict.reason == "its answer met a defect in this program: KeyError"
    assert [record.message for record in caplog.records] == ["source_defect"]
