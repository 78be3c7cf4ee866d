from __future__ import annotations

import importlib.util

import pytest

from libs.cli.__main__ import main
from libs.cli.progress import RowsProgress


@pytest.mark.parametrize(
    "command",
    [
        ("history", "import", "x", "--out", "x"),
        ("history", "export", "book-deltas", "--out", "x"),
        ("verify", "d585da82", "--in", "x"),
    ],
)
def test_without_pyarrow_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 1
    assert "run `make setup HISTORY=1`" in capsys.readouterr().err


def test_a_long_work_says_how_fast_it_is_and_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = [100.0]
    monkeypatch.setattr("libs.cli.progress.time.monotonic", lambda: now_s[0])
    with RowsProgress("a\x1bfile", 4_000) as told:
        for at in (0.5, 30.0, 31.0, 60.0):
            now_s[0] = 100.0 + at
            told.tell(int(at) * 1_000, 10 * at)
    assert capsys.readouterr().err == (
        "  8 %  a\\x1bfile: 30,000 rows, 1,000/s, 0:06:10 left\n"
        " 15 %  a\\x1bfile: 60,000 rows, 1,000/s, 0:05:40 left\n"
    )
