from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.cli import report
from libs.cli.errors import CommandError, UsageError
from libs.cli.report import MADE_UP, performance_in, report_command, route_of, show
from libs.cli.screen import Screen
from libs.cli.settings import CliSettings
from libs.performance.measure import performance_of
from libs.performance.tape import Tape
from tests.unit.libs.performance.test_marks import a_walk, taped

if TYPE_CHECKING:
    from pathlib import Path

    from libs.performance.answer import Performance
    from libs.performance.page import Head

NOW_MS = 1_700_000_000_000
FOUND = performance_of(taped(a_walk(2000)))


def shown(found: Performance, *, made_up: bool = False) -> str:
    screen = StringIO()
    show(Screen(file=screen, width=200), found, made_up=made_up)
    return screen.getvalue()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a gateway answer `FOUND`; return the routes that it is asked."""
    routes: list[str] = []

    def ask(_settings: CliSettings, route: str, _body: str | None) -> str:
        routes.append(route)
        return msgspec.json.encode(FOUND).decode()

    monkeypatch.setattr(report, "ask", ask)
    monkeypatch.setattr(report, "settings_here", CliSettings)
    return routes


@pytest.mark.parametrize(
    ("begin", "end", "route"),
    [
        ("-1d", "now", f"performance?from={NOW_MS - 86_400_000}"),
        ("2023-11-14", "-1h", f"performance?from=1699920000000&to={NOW_MS - 3_600_000}"),
        ("beginning", "now", f"performance?from={NOW_MS - 1094 * 86_400_000}"),
    ],
)
def test_moments_are_asked_for_as_a_person_writes_them(begin: str, end: str, route: str) -> None:
    assert route_of(begin, end, NOW_MS) == route


@pytest.mark.parametrize("text", ["17", "yesterday"])
def test_what_is_no_moment_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(UsageError, match="--to"):
        route_of("-1d", text, NOW_MS)


def test_the_tables_have_the_figures_their_intervals_and_why_others_lack() -> None:
    text = shown(FOUND, made_up=True)
    assert FOUND.ratios.sharpe.value is not None
    assert f"{FOUND.ratios.sharpe.value:.2f}".replace("-", "\u2212") in text
    assert FOUND.equity.annual_return.why in text
    assert "there are 0 trades" in text.lower()
    assert MADE_UP in text
    assert MADE_UP not in shown(FOUND)


def test_a_system_that_did_nothing_has_a_report_too() -> None:
    assert "there is no mark of equity" in shown(performance_of(Tape()))


def test_json_is_the_gateways_answer(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    report_command(as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(msgspec.json.encode(FOUND))
    (route,) = asked
    assert route.startswith("performance?from=")


@pytest.mark.usefixtures("asked")
def test_a_page_is_written_that_links_to_the_audits_of_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(report, "screen", lambda: Screen(file=StringIO()))

    def page(head: Head, found: Performance) -> bytes:
        seen.append((head, found))
        return b"<p>"

    monkeypatch.setattr("libs.performance.page.page", page)
    report_command(html=tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == b"<p>"
    ((head, found),) = seen
    assert found == FOUND
    assert head.audit == "http://127.0.0.1:5000/api/audit/{id}"
    assert head.loud == (MADE_UP,)
    with pytest.raises(CommandError, match=r"cannot be written"):
        report_command(html=tmp_path / "none" / "report.html")


@pytest.mark.usefixtures("asked")
def test_json_and_a_page_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name one"):
        report_command(as_json=True, html=tmp_path / "report.html")


def test_an_answer_that_is_no_performance_is_told() -> None:
    with pytest.raises(CommandError, match="no performance"):
        performance_in('{"equity": 1}')
