"""`bookrunner doctor` tells whether the page has its libraries, and what brings them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.cli import doctor
from libs.cli.findings import Verdict

if TYPE_CHECKING:
    import pytest


def test_a_library_that_is_missing_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._page().verdict is Verdict.OK  # noqa: SLF001 -- one finding of many
    monkeypatch.setattr(doctor, "lacking", lambda: ["lit-html.js", "uPlot.min.css"])
    found = doctor._page()  # noqa: SLF001 -- as above
    assert found.verdict is Verdict.FAIL
    assert found.says == "lit-html.js, uPlot.min.css missing or damaged"
    assert "make setup" in found.mend
