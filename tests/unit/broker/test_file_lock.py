import os
import subprocess
import sys
from pathlib import Path

import pytest

from broker import file_lock


def test_a_lock_says_who_holds_it_until_the_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert file_lock.holder(path) is None
    descriptor = file_lock.take(path, handover_s=0.0)
    file_lock.sign(descriptor, "me")
    assert file_lock.holder(path) == "me"
    with pytest.raises(file_lock.HeldError, match="me"):
        file_lock.take(path, handover_s=0.0)
    os.close(descriptor)
    assert file_lock.holder(path) is None


def test_who_has_just_taken_it_is_not_taken_for_the_former_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    former = file_lock.take(path, handover_s=0.0)
    file_lock.sign(former, "4242")
    os.close(former)
    descriptor = file_lock.take(path, handover_s=0.0)
    assert path.read_text() == ""
    os.close(descriptor)


def test_who_has_not_signed_yet_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    descriptor = file_lock.take(path, handover_s=0.0)
    monkeypatch.setattr("time.sleep", lambda _s: file_lock.sign(descriptor, "me"))
    assert file_lock.holder(path) == "me"
    os.close(descriptor)


def test_who_never_signs_still_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "GLANCE_S", 0.0)
    descriptor = file_lock.take(tmp_path / "lock", handover_s=0.0)
    assert file_lock.holder(tmp_path / "lock") == ""
    os.close(descriptor)


def test_of_many_who_want_it_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from broker import file_lock\n"
        "sys.stdin.readline()\n"
        "try: file_lock.take(Path(sys.argv[1]), 0.0)\n"
        "except file_lock.HeldError: print('refused', flush=True)\n"
        "else: print('mine', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lock")]
    wanting = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in wanting:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.stdout.readline() for process in wanting if process.stdout is not None]
    assert sorted(said) == ["mine\n", *["refused\n"] * 3]
    for process in wanting:
        process.communicate()
