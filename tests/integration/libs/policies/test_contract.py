from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from libs.policies.contract import Finding, check_policy, describe
from libs.policies.described import version_of
from libs.policies.loading import UnreadableSourceError
from libs.policies.process import BrokenPolicyError
from tests.policies_world import descendants

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import datetime, os, random, sys, time
import numpy as np
from bookrunner import Policy, Signal
"""
TAIL = """
POLICY = Policy(signal=signal, summary="does what the test says", parameters={"n": 3.0})
"""
CHECKS = ["name", "loads", "signals", "time", "memory", "repeats", "look-ahead", "elsewhere"]
GOOD = """
import scipy.stats
def signal(market):
    closes = market.closes(30)
    if len(closes) < 2:
        return Signal(0.0, "too few closes")
    return Signal(float(np.tanh(np.diff(np.log(closes)).sum() * 100)), f"{len(market.books)} books")
"""
# What each does, and which checks find it.
WRONG: dict[str, tuple[str, set[str]]] = {
    "needs_a_candle": ("def signal(m): return Signal(float(m.minutes[-1].close > 1), '')", {"signals"}),
    "has_no_policy": ("signal = None\nraise SystemExit", {"loads"}),
    "reads_the_hour": (
        "def signal(m): return Signal(0.0, str(datetime.datetime.now().hour))",
        {"elsewhere"},
    ),
    "reads_the_clock": (
        "def signal(m): return Signal(time.time() % 1e5 / 1e5, '')",
        {"repeats", "look-ahead", "elsewhere"},
    ),
    "draws": ("def signal(m): return Signal(random.random(), '')", {"repeats", "look-ahead", "elsewhere"}),
    "follows_hashes": ("def signal(m): return Signal(0.0, str({'a', 'b', 'c', 'd', 'e'}))", {"elsewhere"}),
    "remembers": (
        "seen = []\ndef signal(m):\n    seen.append(m.ts)\n    return Signal(float(max(seen) == m.ts), '')",
        {"repeats", "look-ahead"},
    ),
    "looks_ahead": (
        (
            "later = {}\ndef signal(m):\n    later.update({c.open_ts: c.close for c in m.minutes})\n"
            "    known = [later[t] for t in sorted(later) if m.minutes and t > m.minutes[-1].open_ts]\n"
            "    return Signal(1.0 if known else 0.0, '')"
        ),
        {"repeats", "look-ahead"},
    ),
    "reads_a_file": (
        "def signal(m): return Signal(float(open(os.path.dirname(__file__) + '/prices.csv').read()), '')",
        {"signals"},
    ),
    "is_out_of_range": (
        "def signal(m): return Signal(m.features.mid if m.features else 0.0, '')",
        {"signals"},
    ),
}


def checked(folder: Path, name: str, code: str) -> list[Finding]:
    path = folder / f"{name}.py"
    path.write_text(HEAD + code + TAIL)
    return list(check_policy(path, name))


def test_a_good_policy_passes_every_check(tmp_path: Path) -> None:
    found = checked(tmp_path, "good", GOOD)
    assert [each.name for each in found] == CHECKS
    assert [each for each in found if not each.ok] == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_policy_is_found(tmp_path: Path, name: str) -> None:
    code, checks = WRONG[name]
    (tmp_path / "prices.csv").write_text("0.5")
    found = checked(tmp_path, name, code)
    assert {each.name for each in found if not each.ok} == checks, found


def test_a_name_that_may_not_be_is_found_beside_the_rest(tmp_path: Path) -> None:
    found = checked(tmp_path, "p_good", GOOD)
    assert [each.name for each in found if not each.ok] == ["name"]


def test_a_policy_is_described_without_being_run_here(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}sys.modules['left_by_a_policy'] = sys\n{GOOD}{TAIL}")
    found = describe(path)
    assert found.policy.summary == "does what the test says"
    assert found.policy.parameters == {"n": 3.0}
    assert found.version == version_of(path.read_bytes())
    assert "left_by_a_policy" not in sys.modules


def test_what_cannot_be_described_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    with pytest.raises(UnreadableSourceError, match="No such file"):
        describe(path)
    path.write_text("")
    with pytest.raises(UnreadableSourceError, match="has 0 bytes"):
        describe(path)
    for code, words in (
        ("x = 1", "POLICY is missing: at the module's level stands POLICY = Policy"),
        ("POLICY = 3", "POLICY is a int"),
        ("POLICY = Policy(signal=len, summary=3)", "Expected `str`, got `int`"),
        ("POLICY = Policy(signal=len, summary='')", "summary has 0 characters: 1 to 300"),
        ("POLICY = Policy(signal=len, summary='x', symbols=('nonsense',))", "is no symbol"),
        ("POLICY = Policy(signal=len, summary='x', valid_s=0.0)", "valid_s is 0"),
        ("POLICY = Policy(signal=len, summary='x', horizon_s=float('nan'))", "horizon_s is nan"),
        ("POLICY = Policy(signal=len, summary='x', joins=('a b',))", "a scope is 1-64"),
        ("POLICY = Policy(signal=len, summary='x', parameters={'a': float('inf')})", "parameter a is inf"),
        ("POLICY = Policy(signal=len, summary='x', parameters={'a': len})", "its POLICY: "),
    ):
        path.write_text(HEAD + code)
        with pytest.raises(BrokenPolicyError) as found:
            describe(path)
        assert words in found.value.fault, (code, found.value.fault)


def test_checks_leave_no_process_behind(tmp_path: Path) -> None:
    before = set(descendants(os.getpid()))
    checked(tmp_path, "good", GOOD)
    assert set(descendants(os.getpid())) <= before
