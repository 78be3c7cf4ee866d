import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from broker.__main__ import main
from broker.settings import BrokerSettings


def test_data_lies_below_the_run_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_DATA_DIR", raising=False)
    monkeypatch.setenv("RUN_DIR", "/elsewhere")
    assert BrokerSettings().data_dir == Path("/elsewhere/kafka")


def test_a_data_folder_of_its_own_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_DIR", "/elsewhere")
    monkeypatch.setenv("KAFKA_DATA_DIR", "/data")
    assert BrokerSettings().data_dir == Path("/data")


def test_the_defaults_are_those_of_make_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_HOST", "KAFKA_PORT", "KAFKA_DATA_DIR", "RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    settings = BrokerSettings()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 19092, Path(".run/kafka"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])  # noqa: S104 - refused here
def test_an_address_no_client_can_connect_to_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="clients can connect to"):
        BrokerSettings(host=host)


@pytest.mark.parametrize("name", ["node.id", "log.dirs"])
def test_a_property_that_the_storage_is_made_for_is_refused_without_telling_the_others(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    properties = {name: "2", "listener.name.plaintext.plain.sasl.jaas.config": "secret"}
    monkeypatch.setenv("KAFKA_EXTRA_PROPERTIES", json.dumps(properties))
    assert main([]) == os.EX_CONFIG
    told = capsys.readouterr().out
    assert f"KAFKA_EXTRA_PROPERTIES is wrong: {name} is the broker's own" in told
    assert "secret" not in told
