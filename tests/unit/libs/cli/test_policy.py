"""`bookrunner policy`: what it writes works and is tested, and what is wrong is said and shown."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from libs.cli.__main__ import main
from libs.cli.policy_run import Reporter, instance_of
from libs.cli.policy_template import name_fault, policy_source, source_of_test
from libs.cli.screen import Screen
from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState

if TYPE_CHECKING:
    from pathlib import Path

HOST = "policies:folder-1"


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def own_test(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run the test that `policy new` wrote, as its owner would: outside this project."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_new_writes_a_policy_and_a_test_and_says_what_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLICIES_DIR", raising=False)
    assert run("policy", "new", "mine") == 0
    assert (tmp_path / "policies" / "mine.py").read_text() == policy_source("mine")
    assert (tmp_path / "policies" / "test_mine.py").read_text() == source_of_test("mine")
    assert capsys.readouterr().out.splitlines() == [
        "written: policies/mine.py",
        "written: policies/test_mine.py",
        "next:    bookrunner policy check mine",
        "         bookrunner policy run",
    ]


def test_new_writes_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICIES_DIR", str(tmp_path / "own"))
    assert run("policy", "new", "mine") == 0
    assert {file.name for file in (tmp_path / "own").iterdir()} == {"mine.py", "test_mine.py"}


@pytest.mark.parametrize("taken", ["mine.py", "test_mine.py"])
def test_new_overwrites_nothing_and_writes_nothing_beside_it(
    tmp_path: Path, taken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / taken).write_text("mine")
    assert run("policy", "new", "mine", "--folder", str(tmp_path)) == 1
    assert f"{taken} is there already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("p_mine", "names that begin with p_ are built in"),
        ("x_mine", "with x_ from outside"),
        ("", "1-64 of A-Za-z0-9._-"),
        ("a/b", "1-64 of A-Za-z0-9._-"),
        ("../b", "1-64 of A-Za-z0-9._-"),
        ("a-b", "that begin with a letter, like my_momentum"),
        ("a.b", "that begin with a letter"),
        ("9a", "that begin with a letter"),
        ("_a", "that begin with a letter"),
        ("Mine", "that begin with a letter"),
        ("a" * 65, "1-64 of A-Za-z0-9._-"),
        ("class", "no word of Python"),
        ("test_mine", "are tests"),
        ("random", "Python has a module of that name"),
        ("numpy", "Python has a module of that name"),
        ("mine", ""),
        ("my_momentum_2", ""),
        ("a" * 64, ""),
    ],
)
def test_a_name_that_no_policy_may_have_is_refused_with_the_reason(name: str, said: str) -> None:
    assert said in name_fault(name)
    assert (name_fault(name) == "") is (said == "")


def test_new_refuses_such_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "new", "p_mine", "--folder", str(tmp_path)) == 2
    assert "'p_mine' cannot be a policy: names that begin with p_" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_new_writes_passes_its_own_test_and_a_broken_policy_does_not(tmp_path: Path) -> None:
    run("policy", "new", "mine", "--folder", str(tmp_path))
    assert own_test(tmp_path, "mine").returncode == 0
    source = policy_source("mine")
    for right, wrong in (
        ("np.tanh(moved", "-np.tanh(moved"),
        ("/ noise", "/ 1e-3"),
        ("np.log(closes)", "closes"),
        ("market.closes(MINUTES + 1)", "market.closes(MINUTES)"),
        ("noise < 1e-9", "noise < 0"),
    ):
        assert right in source
        (tmp_path / "mine.py").write_text(source.replace(right, wrong))
        assert own_test(tmp_path, "mine").returncode == 1, f"{wrong} in place of {right} passes"


def test_what_new_writes_is_short_and_as_clean_as_this_project(tmp_path: Path) -> None:
    run("policy", "new", "mine", "--folder", str(tmp_path))
    assert len(policy_source("mine").splitlines()) <= 40
    checks = ["check", "--isolated", "--line-length=110", "--select=E,F,W,I,B,UP,ANN,D1,SIM,RET,ARG,PL"]
    command = [sys.executable, "-m", "ruff", *checks, "--ignore=PLR2004,D103", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_check_says_what_it_finds_and_what_the_policy_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("policy", "new", "mine", "--folder", str(tmp_path))
    capsys.readouterr()
    assert run("policy", "check", "mine", "--folder", str(tmp_path)) == 0
    said = capsys.readouterr().out
    for name in ("name", "loads", "signals", "time", "memory", "repeats", "look-ahead", "elsewhere"):
        assert re.search(rf"^✓ ok +{name} ", said, re.MULTILINE), name
    assert re.search(r"^a random walk +[\d,.]+ +[+-]0\.\d{3} +[+-]\d", said, re.MULTILINE)
    assert re.search(r"^no candle +- +\+0\.000 +0 of 31 closed minutes", said, re.MULTILINE)
    assert f"its own test: python -m pytest {tmp_path}" in said


def test_check_shows_where_a_policy_breaks_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "from bookrunner import Policy\n\ndef signal(market):\n    return market.nonsense\n\n"
    (tmp_path / "wrong.py").write_text(wrong + "POLICY = Policy(signal=signal, summary='x')\n")
    assert run("policy", "check", "wrong", "--folder", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert re.search(r"^✗ fail +signals ", said, re.MULTILINE)
    assert "    return market.nonsense" in said
    assert "what it says" not in said


def test_check_names_the_policies_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("policy", "new", "mine", "--folder", str(tmp_path))
    assert run("policy", "check", "nine", "--folder", str(tmp_path)) == 2
    assert f"there is no {tmp_path}/nine.py; there are: mine: `bookrunner policy new`" in (
        capsys.readouterr().err
    )


def a_policy(state: PolicyState = PolicyState.RUNNING, **changes: object) -> PolicyRegistered:
    fields: dict[str, object] = {
        "policy_id": "mine",
        "kind": "user",
        "summary": "of a test",
        "version": "v1",
        "state": state,
        "host": HOST,
        "joins": ("default",),
    }
    return PolicyRegistered(**fields | changes)  # type: ignore[arg-type]  # by name


def a_signal(symbol: str = "BTC-USDT", version: str = "v1", value: float = 0.5) -> PolicySignalled:
    return PolicySignalled(
        policy_id="mine",
        symbol=symbol,
        value=value,
        reason="why",
        inputs_ts=1,
        valid_until_ts=2,
        version=version,
    )


@pytest.fixture
def told() -> tuple[Reporter, io.StringIO]:
    out = io.StringIO()
    return Reporter(HOST, Screen(file=out, width=200)), out


def test_the_reporter_says_each_state_and_each_first_signal_once(told: tuple[Reporter, io.StringIO]) -> None:
    reporter, out = told
    for _ in range(2):
        reporter.take(b"mine", a_policy(PolicyState.STARTING))
    for value in (0.5, 0.7):
        reporter.take(b"mine:BTC-USDT", a_signal(value=value))
        reporter.take(b"mine", a_policy())
    reporter.take(b"mine:ETH-USDT", a_signal("ETH-USDT", value=-1.0))
    reporter.take(b"mine:SOL-USDT", a_signal("SOL-USDT", version="v0"))  # left by an older version
    reporter.take(b"mine", a_policy(version="v2"))
    reporter.take(b"mine:BTC-USDT", a_signal(version="v2"))
    reporter.take(b"mine", a_policy(PolicyState.QUARANTINED, version="v2", fault="it raised\n  line 3"))
    reporter.take(b"mine:ETH-USDT", None)
    reporter.take(b"mine", None)
    reporter.take(b"mine", None)
    assert out.getvalue().splitlines() == [
        "mine  version v1 starts",
        "mine  BTC-USDT +0.500  why",
        "mine  version v1 runs; default may choose it",
        "mine  ETH-USDT -1.000  why",
        "mine  version v2 runs; default may choose it",
        "mine  BTC-USDT +0.500  why",
        "mine  is quarantined: it raised",
        "      line 3",
        "mine  is registered no more",
    ]


def test_the_reporter_passes_by_what_others_host(told: tuple[Reporter, io.StringIO]) -> None:
    reporter, out = told
    reporter.take(b"mine", a_policy(host="policies:0"))
    reporter.take(b"mine:BTC-USDT", a_signal())
    reporter.take(b"mine", None)
    assert out.getvalue() == ""


def test_the_host_of_a_folder_has_one_name_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert instance_of(one, ()) == instance_of(one, ())
    assert len({instance_of(one, ()), instance_of(other, ()), instance_of(one, ("a",))}) == 3
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", instance_of(one, ()))
