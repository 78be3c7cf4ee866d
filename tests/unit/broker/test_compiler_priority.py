import os
from pathlib import Path

import pytest

from broker.compiler_priority import yield_to_others


def test_who_may_not_look_or_set_a_priority_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "C2 CompilerThre\n")
    monkeypatch.setattr(os, "setpriority", refuse)
    assert yield_to_others(os.getpid()) == 0
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert yield_to_others(os.getpid()) == 0
