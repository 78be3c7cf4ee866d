"""What Python itself refuses where the kernel does not; what the kernel refuses is tried in integration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from libs.policies.confinement import _Auditor
from libs.policies.wire import MOST_FAULT, shortened

if TYPE_CHECKING:
    from pathlib import Path


def test_the_audit_hook_refuses_writing_and_what_is_elsewhere(tmp_path: Path) -> None:
    auditor = _Auditor([str(tmp_path)])
    inside, outside = str(tmp_path / "a.csv"), "/etc/passwd"
    auditor("open", (inside, "r", os.O_RDONLY))
    auditor("open", (3, "r", os.O_RDONLY))
    auditor("compile", ("x", "y"))
    for path, flags in ((outside, os.O_RDONLY), (inside, os.O_WRONLY), (inside, os.O_CREAT)):
        with pytest.raises(PermissionError, match="may not open"):
            auditor("open", (path, "?", flags))
    sideways = str(tmp_path) + "_other/a.csv"
    with pytest.raises(PermissionError, match="may not open"):
        auditor("open", (sideways, "r", os.O_RDONLY))


@pytest.mark.parametrize(
    "event",
    ["os.fork", "os.exec", "subprocess.Popen", "socket.connect", "_thread.start_new_thread", "os.kill"],
)
def test_the_audit_hook_refuses_processes_sockets_and_signals(event: str) -> None:
    with pytest.raises(PermissionError, match=event):
        _Auditor([])(event, ())


def test_a_long_fault_keeps_its_first_line_and_its_end() -> None:
    text = "ValueError: no\n" + "é" * 10_000 + "\nthe end"
    short = shortened(text)
    assert len(short.encode()) <= MOST_FAULT
    assert short.startswith("ValueError: no\n[...]\n")
    assert short.endswith("the end")
    assert shortened("short") == "short"
    assert shortened("\ud800") == "?"
