"""What a run of the tests left out, told at its end; in CI only the want of recordings may skip a test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.recordings import ABSENT, SETTING

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def in_ci() -> bool:
    """Tell whether ``CI`` is set, as every service of continuous integration sets it."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def skipped(reporter: TerminalReporter) -> tuple[int, list[str]]:
    """Return how many tests wanted recordings, and place and reason of every other skip."""
    reports = [report.longrepr for report in reporter.stats.get("skipped", ())]
    others = [f"{path}:{line}: {reason}" for path, line, reason in reports if ABSENT not in reason]
    return len(reports) - len(others), others


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that skipped what it should have run."""
    reporter: TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and in_ci() and skipped(reporter)[1] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say in a line how many tests the want of recordings skipped, and in CI which skip fails the run."""
    wanting, others = skipped(terminalreporter)
    if wanting:
        terminalreporter.write_line(f"{wanting} skipped: {ABSENT}; {SETTING} names their folder", yellow=True)
    if others and in_ci():
        terminalreporter.write_line(f"CI is set, and {len(others)} skipped that must run there:", red=True)
        for other in others:
            terminalreporter.write_line(f"  {other}", red=True)
