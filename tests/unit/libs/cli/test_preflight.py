from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from libs.cli import running
from libs.cli.preflight import RefusedError, RunSettings, books_of_recordings, check_machine, check_settings
from libs.cli.run_folder import RunFolder
from tests.unit.libs.cli.folders import a_program, a_supervisor, some_addresses

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _ports_and_folders_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RUN_DIR", str(tmp_path / "run"))
    for variable in ("GATEWAY_PORT", "KAFKA_PORT", "SIMULATOR_PORT"):
        with socket.create_server(("127.0.0.1", 0)) as drawn:
            monkeypatch.setenv(variable, str(drawn.getsockname()[1]))


def refused() -> tuple[str, ...]:
    with pytest.raises(RefusedError) as error:
        check_machine(check_settings())
    return error.value.sentences


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FEED", "foo", "FEED is wrong: it is no feed; write simulator, live or replay:PATH[,PATH]"),
        ("GATEWAY_PORT", "99999", "GATEWAY_PORT is wrong: input should be less than or equal to 65535"),
        ("KAFKA_PORT", "kafka", "KAFKA_PORT is wrong: input should be a valid integer"),
        ("L2_BOOKS", "binanc:BTC-USDT", "L2_BOOKS is wrong: place 1 names no venue; known: binance"),
        (
            *("L2_BOOKS", "okx:BTC-USDC,coinbase:BTC-USDC"),
            "L2_BOOKS is wrong: place 2 names a pair that coinbase serves as another: all in USDC but",
        ),
        ("GATEWAY_TOKEN", "", "GATEWAY_TOKEN must be letters"),
        ("AUTOPILOT", "2", "AUTOPILOT is wrong: input should be less than or equal to 1"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is wrong: input should be 'json' or 'console'"),
        ("REPLAY_SPEED", "-1", "REPLAY_SPEED is wrong: input should be greater than or equal to 0"),
        ("KAFKA_HEAP_MB", "1", "KAFKA_HEAP_MB is wrong: input should be greater than or equal to 128"),
        ("ROUTER_EPSILON", "7", "ROUTER_EPSILON is wrong: input should be less than or equal to 1"),
        ("PORTFOLIO_CAPITAL", "0", "PORTFOLIO_CAPITAL is wrong: input should be greater than 0"),
        ("VENUES_MAX_FAILURES", "0", "VENUES_MAX_FAILURES is wrong: input should be greater than"),
    ],
)
def test_a_wrong_setting_of_any_program_is_one_sentence_that_names_it(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    (sentence,) = refused()
    assert sentence.startswith(said)


def test_every_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED", "foo")
    monkeypatch.setenv("ROUTER_EPSILON", "7")
    assert len(refused()) == 2


def test_what_is_right_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    check_machine(check_settings())
    assert not (tmp_path / "run").exists()


def test_a_token_that_is_to_be_made_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "auto")
    assert check_settings().makes_token


def test_one_port_for_two_programs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PORT", os.environ["GATEWAY_PORT"])
    (sentence,) = refused()
    assert sentence.startswith("GATEWAY_PORT and KAFKA_PORT are both ")


def test_a_recording_that_is_not_there_is_refused_and_one_that_is_gives_its_books(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEED", "replay:/nowhere.jsonl")
    with pytest.raises(RefusedError, match=r"FEED=replay:/nowhere\.jsonl: .*there is no such recording"):
        books_of_recordings(check_settings())
    assert books_of_recordings(RunSettings(feed="simulator")) == ""


def test_a_taken_port_is_told_with_the_variable_that_moves_it() -> None:
    port = int(os.environ["GATEWAY_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        (sentence,) = refused()
    assert sentence == (
        f"port {port} is taken: stop what uses it, or choose another one: make run GATEWAY_PORT={port + 10}"
    )


def test_the_port_proposed_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "65530")
    with socket.create_server(("127.0.0.1", 65530)):
        (sentence,) = refused()
    assert sentence.endswith("make run GATEWAY_PORT=65520")


def test_a_port_of_another_bookrunner_is_told_as_such(tmp_path: Path) -> None:
    port = int(os.environ["KAFKA_PORT"])
    other = RunFolder(tmp_path / "other")
    other.root.mkdir()
    other.write_addresses(some_addresses(kafka_bootstrap_servers=f"127.0.0.1:{port}"))
    running.register(other)
    with socket.create_server(("127.0.0.1", port)):
        with a_supervisor(other.root):
            (sentence,) = refused()
        assert sentence.startswith(f"port {port} is taken by the bookrunner in {other.root}: choose another")
        with a_program(other, "kafka-java") as java:
            (sentence,) = refused()
    assert sentence == (
        f"port {port} is taken by kafka-java (process {java.pid}), left in {other.root} by a run whose "
        f"supervisor was killed: `make stop RUN_DIR={other.root}` ends it"
    )


def test_an_address_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_HOST", "192.0.2.1")
    monkeypatch.setenv("PRIVATE_NETWORK", "true")
    (sentence,) = refused()
    assert sentence.startswith("GATEWAY_HOST=192.0.2.1 is no address of this machine")


def test_beyond_loopback_nothing_starts_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_HOST", "0.0.0.0")  # noqa: S104 -- refused here
    monkeypatch.setenv("SIMULATOR_HOST", "0.0.0.0")  # noqa: S104 -- refused here
    first, second = refused()
    assert first.startswith("SIMULATOR_HOST is an address that other machines can reach")
    assert second.startswith("GATEWAY_HOST is an address that other machines can reach")
    assert "set a GATEWAY_TOKEN" in second
    assert "TLS" in second


def test_a_token_that_is_to_be_made_is_one_beyond_loopback_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_HOST", "0.0.0.0")  # noqa: S104 -- refused here
    monkeypatch.setenv("GATEWAY_TOKEN", "auto")
    assert check_settings().makes_token


def test_a_disk_too_small_names_run_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.data_folder.LEAST_FREE_BYTES", 1 << 62)
    (sentence,) = refused()
    assert "free some space, or set RUN_DIR to a folder elsewhere" in sentence
    assert "KAFKA_DATA_DIR" not in sentence


def test_a_folder_of_policies_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLICIES_DIR", "own")
    (sentence,) = refused()
    assert sentence.startswith(f"POLICIES_DIR={tmp_path / 'own'} is not there: make it")
    (tmp_path / "own").touch()
    (sentence,) = refused()
    assert sentence.startswith(f"POLICIES_DIR={tmp_path / 'own'} is no folder: ")
    (tmp_path / "own").unlink()
    (tmp_path / "own").mkdir()
    check_machine(check_settings())
