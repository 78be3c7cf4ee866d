from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from libs.cli.run_folder import RunFolder
from libs.cli.stop import stop
from tests.unit.libs.cli.folders import a_program, a_supervisor

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_was_left_behind_is_ended_and_nothing_else(tmp_path: Path) -> None:
    folder, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "other")
    said: list[str] = []
    with (
        a_program(folder, "gateway") as gateway,
        a_program(folder, "kafka") as kafka,
        a_program(other, "gateway") as foreign,
    ):
        assert stop(folder, said.append) == 0
        assert gateway.wait(30) == kafka.wait(30) == -signal.SIGTERM
        assert foreign.poll() is None
    ended = f"gateway (process {gateway.pid}), kafka (process {kafka.pid})"
    assert said == [f"ended what a killed run left in {folder.root}: {ended}"]


def test_a_program_that_ignores_the_request_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.cli.stop.PROCESS_S", 0.2)
    folder = RunFolder(tmp_path / "run")
    deaf = ("sh", "-c", "trap '' TERM; echo; exec cat")
    with a_program(folder, "l2", *deaf) as l2:
        assert stop(folder, lambda _text: None) == 0
        assert l2.wait(30) == -signal.SIGKILL


def test_a_system_that_runs_is_asked_to_stop(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    said: list[str] = []
    with a_supervisor(folder.root) as supervisor:
        assert stop(folder, said.append) == 0
        assert supervisor.wait(30) == -signal.SIGTERM
    assert said[0] == f"the bookrunner in {folder.root} (process {supervisor.pid}) was asked to stop"


def test_where_nothing_runs_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert stop(RunFolder(tmp_path / "run"), said.append) == 0
    assert said == [f"nothing of a bookrunner runs in {tmp_path / 'run'}"]
    assert not (tmp_path / "run").exists()


def test_what_outlives_a_supervisor_that_dies_of_something_else_is_ended_too(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    said: list[str] = []
    with a_supervisor(folder.root), a_program(folder, "l2") as l2:
        assert stop(folder, said.append) == 0
        assert l2.wait(30) == -signal.SIGTERM
    assert said[1] == f"ended what a killed run left in {folder.root}: l2 (process {l2.pid})"
