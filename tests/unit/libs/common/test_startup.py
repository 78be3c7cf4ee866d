from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from broker.setting_errors import sentences
from broker.settings import BrokerSettings
from libs.common.settings import ServiceSettings
from libs.common.startup import begin
from services.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "no secret ä"  # noqa: S105 -- what must not be shown


def wrong(kind: type[ServiceSettings | BrokerSettings]) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        kind()
    return sentences(kind, refused.value)


def test_a_wrong_setting_is_told_with_its_variable_and_what_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "99999")
    assert wrong(GatewaySettings) == ["GATEWAY_PORT is wrong: input should be less than or equal to 65535"]
    monkeypatch.setenv("KAFKA_HEAP_MB", "1")
    assert wrong(BrokerSettings) == ["KAFKA_HEAP_MB is wrong: input should be greater than or equal to 128"]


def test_the_value_of_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", SECRET)
    (sentence,) = wrong(GatewaySettings)
    assert sentence.startswith("GATEWAY_TOKEN must be letters")
    assert SECRET not in sentence


def test_the_word_that_asks_make_run_for_a_token_is_never_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "auto")
    assert wrong(GatewaySettings) == [
        "GATEWAY_TOKEN=auto is for `make run`, which makes a token: give a token here"
    ]


@pytest.mark.parametrize("servers", ["kafka", "127.0.0.1:19092", "a:1,b:2", "[::1]:19092"])
def test_addresses_of_kafka_are_read(servers: str) -> None:
    assert ServiceSettings(kafka_bootstrap_servers=servers).kafka_bootstrap_servers == servers


@pytest.mark.parametrize("servers", ["", "a:b", "a:1,", "http://a:1", "a b:1"])
def test_what_is_no_address_of_kafka_is_refused(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    (sentence,) = wrong(ServiceSettings)
    assert sentence.startswith("KAFKA_BOOTSTRAP_SERVERS is wrong: place ")
    assert "is not host:port" in sentence


def test_a_process_with_a_wrong_setting_ends_for_good_with_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services.l2"],
        env=os.environ | {"LOG_FORMAT": "json", "L2_TOP_INTERVAL_MS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == os.EX_CONFIG
    told = json.loads(ended.stderr)
    assert (told["service"], told["level"]) == ("l2", "CRITICAL")
    assert told["event"] == (
        "cannot run: L2_TOP_INTERVAL_MS is wrong: input should be greater than or equal to 1"
    )


def test_what_a_process_writes_is_its_owners_alone(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from libs.common.settings import ServiceSettings; "
        "from libs.common.startup import begin; os.umask(0o022); begin(ServiceSettings, 'x'); "
        f"Path({str(tmp_path / 'folder')!r}).mkdir(); Path({str(tmp_path / 'file')!r}).touch()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"folder": 0o700, "file": 0o600}


def test_a_process_whose_settings_are_right_begins_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PORT", "19000")
    assert begin(BrokerSettings, "kafka").port == 19000
