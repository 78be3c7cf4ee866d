from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from libs.cli.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Sequence


class InterruptedImport:
    """Finds no module: Ctrl-C comes first."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> None:
        if name == "libs.cli.commands":
            raise KeyboardInterrupt


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tail", "trads"], "nearest: l2.trades.v1"),
        (["tail", "trades", "--from", "yesterday"], "--from 'yesterday' is none of"),
        (["tail", "trades", "--key", "BTC-USDT"], "venue:symbol"),
        (["tail", "trades", "--limit", "0"], "--limit"),
        (["book", "binanc", "BTC-USDT"], "known: binance"),
        (["book", "binance", "?"], "write it like BTC-USDT"),
        (["record", "binance", "?", "--out", "x"], "write it like BTC-USDT"),
        (["nonsense"], "No such command"),
        (["tail"], "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "seventy")
    assert run("topics") == 1
    captured = capsys.readouterr().err
    assert captured.startswith("bookrunner: GATEWAY_PORT is wrong: ")
    assert "seventy" not in captured
    assert captured.count("\n") == 1


def test_without_arguments_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Commands" in capsys.readouterr().out


def test_record_hands_the_process_over_to_the_recorder_with_canonical_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _program, arguments: started.append(arguments))
    assert (
        run("record", "Kraken", "btcusdt", "ETH/USDT", "--out", "a.zst", "--seconds", "5", "--feed", "live")
        == 0
    )
    books = ["kraken", "BTC-USDT", "ETH-USDT"]
    options = ["--out", "a.zst", "--seconds", "5.0", "--feed", "live"]
    assert started == [[sys.executable, "-m", "services.l2.record", *books, *options]]


def test_ctrl_c_while_the_commands_are_imported_is_130_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "libs.cli.commands", raising=False)
    monkeypatch.setattr(sys, "meta_path", [InterruptedImport(), *sys.meta_path])
    assert run("topics") == 130
    assert capsys.readouterr() == ("", "")
