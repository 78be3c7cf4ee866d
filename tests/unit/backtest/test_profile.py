from __future__ import annotations

import pytest
from pydantic import ValidationError

from backtest.profile import HERE, Profile, UnknownVariableError, l2_settings, meant, variables
from backtest.sources.simulator import SimulatedMarket, default_settings
from libs.common.time_units import DAY_NS, NS_PER_S
from services.execution.settings import ExecutionSettings
from services.l2.settings import L2Settings
from services.router.settings import RouterSettings
from tests.backtest_l2 import Heard

BEGIN = 20_000 * DAY_NS


def test_nothing_of_the_shell_counts_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EXECUTION_VOL_TARGET": "0.5",
        "EXECUTION_FEES": "binance:7.5/1.0",
        "ROUTER_EPSILON": "0.25",
        "TOPIC_PARTITIONS": "64",
        "GROUP_INSTANCE_ID": "7",
        "KAFKA_BOOTSTRAP_SERVERS": "nowhere:1",
    }.items():
        monkeypatch.setenv(name, value)
    here = Profile.of()
    assert here.execution.vol_target == ExecutionSettings.model_fields["vol_target"].default
    assert (here.execution.fees, here.venues.fees) == ("", "")
    assert here.router.epsilon == RouterSettings.model_fields["epsilon"].default
    assert (here.router.topic_partitions, here.router.group_instance_id) == (8, "0")
    given = Profile.of({"EXECUTION_VOL_TARGET": "0.5", "EXECUTION_FEES": "binance:7.5/1.0"})
    assert given.execution.vol_target == 0.5
    assert given.execution.fees == given.venues.fees == "binance:7.5/1.0"


def test_no_setting_of_l2_is_read_from_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> str:
        market = SimulatedMarket(default_settings(1, ["BTC-USDT"]), BEGIN, BEGIN + 5 * NS_PER_S)
        return Heard(market).run().digest

    before = said()
    monkeypatch.setenv("L2_TOP_INTERVAL_MS", "900")
    monkeypatch.setenv("L2_HEARTBEAT_S", "3")
    assert said() == before
    changed = l2_settings(feed="live")
    assert changed.top_interval_ms == L2Settings.model_fields["top_interval_ms"].default
    assert (changed.feed, changed.instance) == ("live", "backtest")


def test_what_is_meant_is_what_deciding_services_alone_read() -> None:
    environment = {
        "EXECUTION_VOL_TARGET": "0.5",
        "TOPIC_PARTITIONS": "64",
        "PATH": "/bin",
        "LOG_LEVEL": "INFO",
    }
    assert meant(environment) == {"EXECUTION_VOL_TARGET": "0.5"}
    assert HERE.keys() <= variables()


def test_a_wrong_name_is_refused_with_the_right_ones_and_a_wrong_value_is_not_shown() -> None:
    with pytest.raises(
        UnknownVariableError, match=r"^EXECUTION_VOLTARGET: no setting .* EXECUTION_VOL_TARGET,"
    ):
        Profile.of({"EXECUTION_VOLTARGET": "1"})
    with pytest.raises(ValidationError, match="vol_target") as raised:
        Profile.of({"EXECUTION_VOL_TARGET": "secret-17"})
    assert "secret-17" not in str(raised.value)


def test_a_router_keeps_what_it_expects_of_a_policy_that_is_chosen_among() -> None:
    profile = Profile.of({"ROUTER_POLICIES": "p_sma:0.0005x50 p_obi", "ROUTER_EPSILON": "0.25"})
    router = profile.choosing_among(["mine", "p_sma"]).router
    assert (router.policies, router.epsilon) == ("mine p_sma:0.0005x50", 0.25)
