from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from libs.cli import running
from libs.cli.errors import UsageError
from libs.cli.run_folder import RunFolder
from libs.cli.settings import ADDRESSES, CliSettings
from tests.unit.libs.cli.folders import a_program, a_supervisor, some_addresses


@pytest.fixture(autouse=True)
def _nothing_runs_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in (*ADDRESSES, "run_dir"):
        monkeypatch.delenv(name.upper(), raising=False)


def a_registered(root: Path, **addresses: object) -> RunFolder:
    folder = RunFolder(root)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.write_addresses(some_addresses(**addresses))
    running.register(folder)
    return folder


def test_the_one_system_that_runs_is_found_wherever_its_folder_is(tmp_path: Path) -> None:
    folder = a_registered(tmp_path / "elsewhere" / "run", gateway_port=5260)
    with a_supervisor(folder.root):
        settings = CliSettings.of_running_system()
        assert settings.gateway_port == 5260
        assert settings.kafka_bootstrap_servers == "127.0.0.1:19250"
        assert settings.run_dir == folder.root
    assert CliSettings.of_running_system().gateway_port == 5000  # it has stopped


def test_the_system_of_this_checkout_needs_no_registry(tmp_path: Path) -> None:
    RunFolder(tmp_path / ".run").root.mkdir()
    RunFolder(tmp_path / ".run").write_addresses(some_addresses(gateway_port=5270))
    with a_supervisor(tmp_path / ".run"):
        assert CliSettings.of_running_system().gateway_port == 5270


def test_of_several_systems_one_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = a_registered(tmp_path / "one", gateway_port=5261, kafka_bootstrap_servers="127.0.0.1:19261")
    other = a_registered(tmp_path / "other", gateway_port=5262, kafka_bootstrap_servers="127.0.0.1:19262")
    with a_supervisor(one.root), a_supervisor(other.root):
        with pytest.raises(UsageError) as asked:
            CliSettings.of_running_system()
        assert f"RUN_DIR={one.root} (http://127.0.0.1:5261, FEED=simulator)" in str(asked.value)
        assert f"RUN_DIR={other.root}" in str(asked.value)
        monkeypatch.setenv("RUN_DIR", "other")
        assert CliSettings.of_running_system().gateway_port == 5262
        monkeypatch.delenv("RUN_DIR")
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19261")  # names one as well
        assert CliSettings.of_running_system().gateway_port == 5261


def test_what_the_environment_says_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_registered(tmp_path / "run")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    with a_supervisor(folder.root):
        settings = CliSettings.of_running_system()
    assert (settings.kafka_bootstrap_servers, settings.gateway_port) == ("kafka.example:9092", 5000)


def test_a_wrong_setting_is_told_before_anything_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "x")
    with pytest.raises(ValidationError):
        CliSettings.of_running_system()


def test_who_looks_forgets_what_no_longer_runs_and_keeps_what_was_left_behind(tmp_path: Path) -> None:
    gone, left = a_registered(tmp_path / "gone"), a_registered(tmp_path / "left")
    with a_program(left, "gateway"):
        assert [folder.root for folder in running.folders()] == [left.root]
        assert len(list(running.registry().iterdir())) == 1
        assert running.systems(Path(".run")) == []  # without a supervisor it is no running system
    assert gone.supervisor() is None


def test_another_program_is_told_the_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_registered(tmp_path / "run")
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    with a_supervisor(folder.root):
        CliSettings(kafka_bootstrap_servers="a:1", simulator_port=5351).export()
    assert environment["KAFKA_BOOTSTRAP_SERVERS"] == "a:1"
    assert environment["SIMULATOR_URL"] == "http://127.0.0.1:5351"
    environment["SIMULATOR_URL"] = "http://elsewhere:5100"  # what a person says wins here too
    CliSettings(simulator_port=5352).export()
    assert environment["SIMULATOR_URL"] == "http://elsewhere:5100"


def test_an_entry_that_is_just_written_is_not_taken_for_one_that_is_past(tmp_path: Path) -> None:
    entry = running.registry() / "0123456789abcdef"
    entry.parent.mkdir(parents=True)
    entry.touch()
    assert running.systems(tmp_path / ".run") == []
    assert entry.exists()


def test_who_reads_an_entry_while_it_is_written_again_reads_it_whole(tmp_path: Path) -> None:
    a_registered(tmp_path / "run")
    (entry,) = running.registry().iterdir()
    entry.write_text("as it was")
    with entry.open() as reader:
        running.register(RunFolder(tmp_path / "run"))
        assert reader.read() == "as it was"
    assert list(running.registry().iterdir()) == [entry]
    assert entry.read_text() == str(tmp_path / "run")


def test_an_address_of_ipv6_is_bracketed() -> None:
    assert some_addresses(gateway_host="::1").url == "http://[::1]:5250"


def test_a_program_is_told_the_simulator_of_an_ipv6_host_as_it_can_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SIMULATOR_URL", raising=False)
    CliSettings(simulator_host="::1", simulator_port=5350).export()
    assert os.environ["SIMULATOR_URL"] == "http://[::1]:5350"
