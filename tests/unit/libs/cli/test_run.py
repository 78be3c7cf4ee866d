from pathlib import Path

import pytest
from yarl import URL

from libs.cli.preflight import RunSettings
from libs.cli.run import addresses_of, environment
from libs.cli.run_folder import RunFolder


def test_programs_can_use_the_addresses_of_ipv6_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GATEWAY_HOST", "KAFKA_HOST", "SIMULATOR_HOST"):
        monkeypatch.setenv(name, "::1")
    settings = RunSettings()
    told = environment(settings, RunFolder(tmp_path))
    assert told["KAFKA_BOOTSTRAP_SERVERS"] == "[::1]:19092"
    assert (URL(told["SIMULATOR_URL"]).host, URL(told["SIMULATOR_URL"]).port) == ("::1", 5100)
    assert addresses_of(settings).url == "http://[::1]:5000"


def test_the_folder_of_policies_is_found_from_wherever_a_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment(RunSettings(), RunFolder(tmp_path))["POLICIES_DIR"] == ""
    monkeypatch.setenv("POLICIES_DIR", "own")
    assert environment(RunSettings(), RunFolder(tmp_path))["POLICIES_DIR"] == str(tmp_path / "own")
