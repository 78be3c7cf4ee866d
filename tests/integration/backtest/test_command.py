"""`bookrunner backtest` as a person runs it, on short stretches of the simulated market."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
import pytest

from backtest import importing
from backtest.__main__ import main
from backtest.command import written
from backtest.command.compare import read_summary
from backtest.command.folder import claim
from libs.history.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FROM: Final = ("--simulator", "1", "--symbols", "BTC-USDT", "--from", "2026-01-05", "--interval", "10s")
MINUTE: Final = (*FROM, "--to", "+1m")
README: Final = Path(__file__).parents[3] / "README.md"
BOOKRUNNER: Final = Path(sys.executable).with_name("bookrunner")
POLICY: Final = """
from bookrunner import Policy, Signal
POLICY = Policy(signal=lambda market: Signal(value=0.5, reason="half"), summary="half")
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLICIES_DIR", raising=False)
    return tmp_path


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one of --data DIR, --simulator SEED, --recording FILE, --kafka"),
        (("--simulator", "1", "--kafka"), "--simulator and --kafka exclude each other"),
        (("--simulator", "1"), "say which, as --from 2026-01-05"),
        (("--simulator", "x"), "(see `bookrunner backtest --help`)"),
        ((*FROM, "--to", "2026-01-04"), "is not after --from"),
        ((*FROM, "--policies", "p_sna"), "nearest: p_sma"),
        ((*FROM, "--policies", "x_mine"), "its signals come from outside"),
        ((*FROM, "--capital", "nan"), "is no amount from 1 to 1,000,000,000,000"),
        ((*FROM, "--capital", "1e400"), "is no amount from 1 to 1,000,000,000,000"),
        ((*FROM, "--capital", "1e-300"), "is no amount from 1 to 1,000,000,000,000"),
        ((*FROM, "--to", "+99999999w"), "is not between 2010 and 2100"),
        ((*FROM, "--urgency", "2"), "less than or equal to 1"),
        ((*FROM, "--sweep", "urgensy=1"), "nearest: urgency"),
        ((*FROM, "--compare", "none.json"), "none.json cannot be read"),
        (("--simulator", "1", "--symbols", "AAA-USDT", "--from", "2026-01-05"), "--symbols: the simulator"),
        (("--recording", "none.jsonl"), "none.jsonl"),
        (("--recording", "none.jsonl", "--from", "2026-01-05"), "leave out --from"),
        (("--data", "none"), "there is no folder none"),
    ],
)
def test_a_wrong_command_line_is_refused_and_leaves_nothing(
    arguments: Sequence[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in {1, 2}
    output = capsys.readouterr()
    assert said in output.err
    assert output.err.startswith("bookrunner backtest: ")
    assert output.out == ""
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (HistoryError("a/book.parquet cannot be read"), 1, "a/book.parquet cannot be read"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            1,
            "a/b cannot be read or written: No space",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_ends_a_run_in_its_middle_is_one_line_and_no_traceback(
    raised: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("backtest.command.options.perform", fail)
    assert main((*MINUTE, "--out", "a")) == code
    output = capsys.readouterr()
    assert said in output.err
    assert "Traceback" not in output.err


def test_candles_of_another_time_are_no_market(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = f"{1_767_571_200_000},1,2,1,2,5,{1_767_571_259_999},0,0,0,0,0\n"
    (here / "BTCUSDT-1m-2026-01-05.csv").write_text(row)
    assert importing.main([str(here / "BTCUSDT-1m-2026-01-05.csv"), "--out", "data"]) == 0
    for begin in ("2020-01-01", "2027-01-01"):
        assert main(["--data", "data", "--from", begin, "--to", "+10m", "--out", "a"]) == 1
        assert "has candles from 2026-01-05T00:00:00Z to 2026-01-06" in capsys.readouterr().err
    assert not (here / "a").exists()


def test_another_form_of_summary_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "other.json").write_text('{"schema": 2}')
    assert main((*MINUTE, "--compare", "other.json")) == 1
    assert "other.json has schema 2; this version reads 1" in capsys.readouterr().err


def test_a_folder_that_a_failed_run_left_without_a_file_is_free(here: Path) -> None:
    (here / "a" / "data").mkdir(parents=True)
    claim(here / "a", force=False)
    assert not list((here / "a").iterdir())


def test_two_runs_are_equal_byte_for_byte_and_say_how_they_are_made(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*MINUTE, "--out", "a"]) == 0
    printed = capsys.readouterr().out
    assert "report: a/report.html" in printed
    assert "fewer than 30" in printed
    assert "synthetic market" in printed
    summary = summary_of(here / "a")
    assert summary["partial"] is False
    assert summary["performance"]["counts"]["decisions"] > 0
    again = summary["command"].split()
    assert again[:2] == ["bookrunner", "backtest"]
    assert main([*again[2:], "--out", "b"]) == 0
    first, second = files_of(here / "a"), files_of(here / "b")
    assert first == second
    assert "topics/execution.audit.v1/2026-01-05.parquet" in first
    assert not [name for name in first if "/l2." in name or ".state." in name]


def test_a_folder_that_holds_something_is_not_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "a"
    folder.mkdir()
    (folder / "summary.json").write_text("a former run's")
    assert main([*MINUTE, "--out", "a"]) == 1
    assert "--force overwrites it" in capsys.readouterr().err
    (folder / "mine.txt").write_text("mine")
    assert main([*MINUTE, "--out", "a", "--force"]) == 1
    assert "'mine.txt', which is of no backtest" in capsys.readouterr().err
    assert sorted(files_of(folder)) == ["mine.txt", "summary.json"]


def test_a_sweep_is_made_of_single_runs_and_picks_one(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = "EXECUTION_VOL_TARGET=0.02,0.04"
    assert main([*MINUTE, "--sweep", sweep, "--folds", "1", "--out", "sweep"]) == 0
    assert "deflated Sharpe ratio of the best" in capsys.readouterr().out
    summary = summary_of(here / "sweep")
    assert [each["name"] for each in summary["sweep"]["points"]] == [
        "EXECUTION_VOL_TARGET=0.02",
        "EXECUTION_VOL_TARGET=0.04",
    ]
    assert len(summary["sweep"]["folds"]) == 1
    assert summary["command"].endswith(f"--sweep={sweep} --folds=1")
    monkeypatch.setenv("EXECUTION_VOL_TARGET", "0.04")
    assert main([*MINUTE, "--out", "alone"]) == 0
    assert files_of(here / "alone") == files_of(here / "sweep" / "points" / "EXECUTION_VOL_TARGET=0.04")
    usual = files_of(here / "sweep" / "points" / "EXECUTION_VOL_TARGET=0.02")
    assert usual["summary.json"] != files_of(here / "alone")["summary.json"]


def test_own_policies_are_chosen_and_their_sources_are_kept(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "policies").mkdir()
    (here / "policies" / "mine.py").write_text(POLICY)
    assert main([*FROM, "--to", "+2m", "--policies", "mine,p_flat", "--out", "a"]) == 0
    capsys.readouterr()
    summary = summary_of(here / "a")
    assert (here / "a" / "policies" / "mine.py").read_text() == POLICY
    assert summary["run"]["policies"] == ["mine", "p_flat"]
    assert [*summary["run"]["versions"]] == ["mine"]
    assert {each["policyId"] for each in summary["performance"]["policies"]} <= {"mine", "p_flat"}
    assert not list((here / "policies").glob("__pycache__"))


def test_another_run_is_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MINUTE, "--out", "a"]) == 0
    capsys.readouterr()
    assert main([*MINUTE, "--urgency", "0.2", "--compare", "a/summary.json", "--out", "b"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"urgency +│ +0.2 │ +0.9", printed)
    assert re.search(r"equity +│", printed)
    (here / "c.json").write_text("{}")
    assert main([*MINUTE, "--compare", "c.json", "--out", "c"]) == 1
    assert "is no summary.json of a backtest" in capsys.readouterr().err
    assert read_summary(here / "a" / "summary.json").market.fidelity == "simulator"


def test_without_pyarrow_a_run_has_no_topics_and_says_so(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "has_parquet", lambda: False)
    assert main([*FROM, "--to", "+5s", "--out", "a"]) == 0
    output = capsys.readouterr()
    assert output.err.count("topics/ is left out: it needs pyarrow") == 1
    assert "Nothing was decided: " in output.out
    assert sorted(files_of(here / "a")) == ["report.html", "summary.json"]


def begun(here: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin a run in a process group of its own, and return it once it goes on."""
    process = subprocess.Popen(
        [BOOKRUNNER, "backtest", *arguments],
        cwd=here,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    while "decisions" not in (line := process.stderr.readline()) or " 0 decisions" in line:
        assert process.poll() is None
    return process


def interrupted(here: Path, *arguments: str) -> tuple[str, str]:
    """Begin a run, press Ctrl-C once it goes on, and return what it printed."""
    process = begun(here, *arguments)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes of it
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "once more ends at once" in err
    return out, err


def test_control_c_leaves_what_there_is_and_it_is_valid(here: Path) -> None:
    out, _ = interrupted(here, *FROM, "--to", "+30d", "--out", "a")
    assert "partial: ended early" in out
    summary = summary_of(here / "a")
    assert summary["partial"] is True
    assert "Partial: the run was ended" in (here / "a" / "report.html").read_text()
    audit = pq.read_table(here / "a" / "topics" / "execution.audit.v1" / "2026-01-05.parquet")
    assert audit.num_rows > 0
    # Up to there it is what a run that was to end there is.
    until = f"+{(summary['untilMs'] - summary['market']['beginMs']) // 1000}s"
    assert main([*FROM, "--to", until, "--out", "b"]) == 0
    other = summary_of(here / "b")
    assert other["audit"] == summary["audit"]
    assert other["performance"] == summary["performance"]


def test_control_c_ends_every_run_of_a_sweep(here: Path) -> None:
    out, _ = interrupted(here, *FROM, "--to", "+30d", "--sweep", "urgency=0.2,0.9", "--out", "a")
    assert "partial: ended early" in out
    summary = summary_of(here / "a")
    assert summary["partial"] is True
    assert summary["sweep"]["points"]
    for point in summary["sweep"]["points"]:
        assert summary_of(here / "a" / "points" / point["name"])["partial"] is True


def test_no_process_of_a_sweep_outlives_one_that_is_killed(here: Path) -> None:
    process = begun(here, *FROM, "--to", "+30d", "--sweep", "urgency=0.2,0.9", "--out", "a")
    process.kill()
    process.communicate(timeout=20)  # all that have its standard error end
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Run an hour of all that the simulator has, by the command that the README shows."""
    here = tmp_path_factory.mktemp("hour")
    shown = re.search(
        r"^\.venv/bin/bookrunner (backtest .*)$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert shown is not None
    done = subprocess.run(
        [BOOKRUNNER, *shown[1].split()], cwd=here, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (here / "backtests").iterdir()
    return {"folder": folder, "out": done.stdout, "summary": summary_of(folder)}


def test_the_first_command_of_a_fresh_clone_does_its_work(hour: Mapping[str, Any]) -> None:
    summary, performance = hour["summary"], hour["summary"]["performance"]
    assert hour["folder"].name.startswith("simulator-1_2026-01-05_1h_")
    assert f"report: backtests/{hour['folder'].name}/report.html" in hour["out"]
    assert summary["run"]["symbols"] == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    assert performance["counts"]["decisions"] >= 150
    assert performance["counts"]["trades"] >= 10
    assert performance["ratios"]["sharpeOfPeriod"]["low"] is not None
    assert "30 of whole hours at least are needed" in performance["ratios"]["sharpe"]["why"]


def test_what_a_backtest_decided_is_verified_from_its_folder(hour: Mapping[str, Any]) -> None:
    command = re.search(
        r"bookrunner (verify [0-9a-f-]{36} --in \.)", (hour["folder"] / "report.html").read_text()
    )
    assert command is not None
    done = subprocess.run(
        [BOOKRUNNER, *command[1].split()], cwd=hour["folder"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"verified: \d+ entries, \d+ decisions made again, all the same", done.stdout)
