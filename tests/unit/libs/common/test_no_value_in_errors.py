"""Whatever a setting is wrong with: the process says which it is and what would be right, never its value."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from broker.__main__ import main
from broker.settings import BrokerSettings
from libs.cli.preflight import SETTINGS, RefusedError, check_settings
from libs.common.settings import Settings
from libs.common.startup import begin
from tests.settings_classes import all_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.settings import Settings

MARK: Final = "hunter2mark"
WRONG: Final = (
    MARK,
    f"{MARK}\n{MARK}",
    f"{MARK} {MARK}:",
    f"binance:BTC-USDT,binance:{MARK}",
    f"binance:BTC-USDT,{MARK}:BTC-USDT",
    f"10.0.0.0/8,{MARK}",
    f"https://desk.example,https://{MARK}/",
    f"127.0.0.1:19092,{MARK}:{MARK}",
    f"BTC-USDT,{MARK}",
    f"p_flat p_flat {MARK}",
    f"'{MARK}",  # of a shell: no end
    f'{{"ssl.key.password": "{MARK}"',
    json.dumps([MARK]),
    json.dumps({"ssl.key.password": {MARK: MARK}}),
    json.dumps({MARK: 1}),
    json.dumps({"ssl.key.password": MARK, "node.id": MARK}),
    json.dumps({"listeners": f"PLAINTEXT://{MARK}:1,SSL://{MARK}:2"}),
)
# Any text is right: a folder that is not there yet, a name, an address that is found wrong when it is used.
FREE: Final = (
    *("KAFKA_DATA_DIR", "GATEWAY_HOST", "KAFKA_JARS_DIR", "RunSettings.KAFKA_HOST", "KAFKA_SASL_USERNAME"),
    *("L2_GROUP", "L2_INSTANCE", "METRICS_HOST", "METRICS_TARGETS_DIR", "ROUTER_BASIS_VENUE", "RUN_DIR"),
    *("ROUTER_REFERENCE_VENUE", "SIMULATOR_HOST", "SIMULATOR_URL", "BrokerSettings.KAFKA_SASL_MECHANISM"),
    *("RunSettings.GATEWAY_TOKEN", "RunSettings.FEED", "CliSettings.GATEWAY_TOKEN", "CliSettings.FEED"),
    *(
        "BrokerSettings.KAFKA_SASL_PASSWORD",
        "FeedSettings.FEED",
        "GatewaySettings.FEED",
        "VenueSettings.FEED",
        "L2Settings.FEED",
        "ContextSettings.FEED",
        "POLICIES_DIR",
        "RunSettings.L2_BOOKS",
    ),
)
RIGHT: Final = re.compile(
    r"should|must|write|known|has |needs|like |not host:port|is set:|set [A-Z_]+=|says where|quoted as|take "
    r"|a policy is|point to|name 1 to"
)


def fields() -> Iterator[tuple[type[Settings], str]]:
    for kind in all_settings():
        for name in kind.model_fields:
            yield kind, kind.variable(name)


def said(kind: type[Settings], capsys: pytest.CaptureFixture[str]) -> str | None:
    """Return all that a process of these settings says when it begins; None if they are right."""
    try:
        kind()
    except (ValidationError, SettingsError) as error:
        shown = f"{error} {error!r}"
    else:
        return None
    if kind is BrokerSettings:
        assert main([]) == os.EX_CONFIG
    else:
        with pytest.raises(SystemExit) as ended:
            begin(kind, "service")
        assert ended.value.code == os.EX_CONFIG
    written = capsys.readouterr()
    assert MARK not in shown
    return written.out + written.err


@pytest.mark.parametrize(
    ("kind", "variable"),
    [pytest.param(*each, id=f"{each[0].__name__}-{each[1]}") for each in fields()],
)
def test_a_wrong_value_of_any_setting_is_never_said(
    kind: type[Settings],
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = 0
    for wrong in WRONG:
        monkeypatch.setenv(variable, wrong)
        text = said(kind, capsys)
        if text is None:
            continue
        refused += 1
        assert MARK not in text
        assert variable in text
        assert RIGHT.search(text), text
        if refused == 1 and kind.__name__ in SETTINGS.values():  # make run reads the same, and says the same
            with pytest.raises(RefusedError) as error:
                check_settings()
            assert MARK not in " ".join(error.value.sentences)
            assert variable in " ".join(error.value.sentences)
    assert refused or {variable, f"{kind.__name__}.{variable}"}.intersection(FREE), (
        "no value of the table is wrong"
    )


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_settings_that_are_wrong_together_are_named_and_not_shown(
    protocol: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", protocol)
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", MARK)
    monkeypatch.setenv("KAFKA_SASL_USERNAME", MARK)
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "*")
    told = 0
    for kind in all_settings():
        text = said(kind, capsys)
        if text is not None:
            told += 1
            assert MARK not in text
            assert re.search("KAFKA_SECURITY_PROTOCOL|KAFKA_SASL_MECHANISM|GATEWAY_CORS_ORIGINS", text)
    assert told >= 7


def test_the_place_of_what_is_wrong_in_a_list_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {
        "L2_BOOKS": f"binance:BTC-USDT,{MARK}:BTC-USDT",
        "AUTOPILOT_SYMBOLS": f"BTC-USDT,{MARK}!",
        "GATEWAY_TRUSTED_PROXIES": f"10.0.0.0/8,{MARK}",
        "GATEWAY_CORS_ORIGINS": f"https://desk.example,{MARK}",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:1,{MARK}:{MARK}",
        "SIMULATOR_SYMBOLS": f"BTC-USDT,{MARK}",
    }
    for variable, value in lists.items():
        with monkeypatch.context() as only:
            only.setenv(variable, value)
            told = [text for kind in all_settings() if (text := said(kind, capsys)) is not None]
            assert told, variable
            assert all("place 2" in text for text in told), told
