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
