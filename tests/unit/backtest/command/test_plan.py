from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from backtest.command import parameters
from backtest.command.plan import Plan, stretches
from backtest.command.progress import Standing, line_of
from backtest.command.request import Market, Request, command_of, name_of, span
from libs.cli.errors import UsageError

BEGIN = 1_767_571_200_000_000_000  # 2026-01-05
HOUR_NS = 3_600_000_000_000


def a_request(**changes: Any) -> Request:
    held: dict[str, Any] = {
        "market": Market.SIMULATOR,
        "market_seed": 1,
        "symbols": ("BTC-USDT",),
        "begin_ts": BEGIN,
        "end_ts": BEGIN + HOUR_NS,
        "policies": ("p_sma", "mine"),
        "interval_ns": 60_000_000_000,
        "urgency": 0.9,
        "seed": 0,
        "capital": "1000000",
    }
    return Request(**held | changes)


def test_the_command_of_a_request_names_all_that_makes_it() -> None:
    request = a_request(settings={"ROUTER_DISCOUNTS": "0.98 1"})
    assert shlex.split(command_of(request)) == [
        *("env", "ROUTER_DISCOUNTS=0.98 1", "bookrunner", "backtest", "--simulator", "1"),
        *("--symbols", "BTC-USDT", "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z"),
        *("--policies", "p_sma,mine", "--interval", "1m", "--urgency", "0.9", "--seed", "0"),
        *("--capital", "1000000"),
    ]
    recording = a_request(market=Market.RECORDING, paths=("a b", "c"), begin_ts=None, end_ts=None)
    assert shlex.split(command_of(recording))[2:6] == ["--recording", "a b", "--recording", "c"]


def test_unlike_requests_have_unlike_names() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"urgency": 0.8},
        {"settings": {"EXECUTION_VOL_TARGET": "0.03"}},
        {"own": {"mine": "version"}},
    ]
    names = {name_of(a_request(**change)) for change in changes}
    assert len(names) == len(changes)
    assert all(name.startswith("simulator-1_2026-01-05_1h_") for name in names)
    assert span(90_000_000_000) == "90s"


def test_a_sweep_runs_each_value_with_each() -> None:
    swept = {"urgency": ["0.2", "0.9"], "interval": ["1m", "5m"], "EXECUTION_VOL_TARGET": ["0.03"]}
    plan = Plan.of(a_request(), swept, 0)
    assert [(p.request.urgency, p.request.interval_ns // 60_000_000_000) for p in plan.points] == [
        (0.2, 1),
        (0.2, 5),
        (0.9, 1),
        (0.9, 5),
    ]
    assert {tuple(p.request.settings.items()) for p in plan.points} == {(("EXECUTION_VOL_TARGET", "0.03"),)}
    assert plan.points[1].name == "urgency=0.2+interval=5m+EXECUTION_VOL_TARGET=0.03"
    assert not plan.single
    assert shlex.split(plan.command(plan.request))[-1] == "--sweep=EXECUTION_VOL_TARGET=0.03"


def test_names_of_folders_hold_nothing_that_leads_elsewhere_and_each_is_one() -> None:
    plan = Plan.of(a_request(), {"ROUTER_DISCOUNTS": ["0.9 1", "0.9\t1"]}, 0)
    assert not [point.name for point in plan.points if set("/ :") & set(point.name)]
    assert len({point.name for point in plan.points}) == len(plan.points)


def test_what_holds_anyway_makes_no_other_run() -> None:
    (point,) = Plan.of(a_request(), {"EXECUTION_VOL_TARGET": ["0.02"]}, 0).points
    assert point.request == a_request()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("urgensy", "1", "nearest: urgency"),
        ("fees", "1", "nearest: EXECUTION_FEES"),
        ("GROUP_INSTANCE_ID", "1", "has no parameter"),
        ("x" * 9_999, "1", "there are interval, urgency and settings; docs/backtesting.md has all"),
        ("EXECUTION_VOL_TARGT", "1", "nearest: EXECUTION_VOL_TARGET"),
        ("EXECUTION_VOL_TARGET", "-1", "EXECUTION_VOL_TARGET is wrong"),
        ("SIMULATOR_EDGE", "7", "SIMULATOR_EDGE is wrong"),
        ("urgency", "2", "a number from 0 to 1"),
        ("interval", "1ms", "at least 1s"),
        ("ROUTER_POLICIES", "p_sma", "what --policies says"),
        ("KAFKA_BOOTSTRAP_SERVERS", "x", "has no parameter"),
        ("EXECUTION_S_MAX", "secret", "EXECUTION_S_MAX is wrong"),
    ],
)
def test_a_parameter_or_value_that_is_wrong_is_refused_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        Plan.of(a_request(), {name: [value]}, 0)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_the_document_names_every_setting_that_can_be_swept() -> None:
    text = Path(parameters.DOCUMENT).read_text(encoding="utf-8")
    listed = text.partition("Settings that can be swept")[2].partition("\n## ")[0]
    assert re.findall(r"`([A-Z_]+)`", listed) == parameters.swept_settings()


def test_a_sweep_has_an_end() -> None:
    seconds = [f"{n}s" for n in range(1, 1002)]
    with pytest.raises(UsageError, match="at most 1,000"):
        Plan.of(a_request(), {"interval": seconds}, 0)


def test_folds_are_equal_stretches_and_one_before_them() -> None:
    parts = stretches(0, 1000, 3)
    assert parts == [(0, 250), (250, 500), (500, 750), (750, 1000)]
    with pytest.raises(UsageError, match="played as a whole"):
        Plan.of(a_request(market=Market.RECORDING), {}, 2)


def test_only_settings_that_change_something_belong_to_a_run() -> None:
    environment = {
        "EXECUTION_VOL_TARGET": "0.02",  # as it comes
        "ROUTER_EPSILON": "0.1",
        "SIMULATOR_EDGE": "0",
        "KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092",
        "ROUTER_POLICIES": "p_flat",  # --policies says it
        "HOME": "/somewhere",
    }
    assert parameters.settings_of(environment) == {"ROUTER_EPSILON": "0.1", "SIMULATOR_EDGE": "0"}


def test_the_line_says_time_speed_what_is_left_and_decisions() -> None:
    line = line_of(Standing(BEGIN + HOUR_NS, HOUR_NS, 4 * HOUR_NS, 1234), 10.0)
    assert line == "2026-01-05 01:00:00  360 s/s  ETA 0:00:30  1,234 decisions"
    assert "ETA ?" in line_of(Standing(BEGIN, 0, HOUR_NS, 0), 0.0)
