from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from libs.cli.run_folder import RunFolder, RunFolderError
from tests.unit.libs.cli.folders import SUPERVISOR, a_program, a_supervisor, some_addresses

NOBODY: Final = 65_534


def test_a_second_system_is_refused_and_changes_nothing_of_the_first(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with a_supervisor(folder.root) as first:
        folder.metrics.mkdir()
        (folder.metrics / "l2.json").touch()
        folder.write_addresses(some_addresses(gateway_port=5251))
        for refusing in (folder.check, folder.acquire):
            with pytest.raises(
                RunFolderError, match=rf"already runs in .*process {first.pid}, http://127.0.0.1:5251"
            ):
                refusing()
        assert (folder.metrics / "l2.json").exists()
        assert folder.supervisor() == first.pid
    assert folder.supervisor() is None
    folder.check()


def test_of_two_starts_at_once_exactly_one_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path / "run")]
    starts = [
        subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)
    ]
    said = [start.stdout.readline() for start in starts if start.stdout is not None]
    for start in starts:
        start.communicate()
    assert said.count("runs\n") == 1
    assert sum("a bookrunner already runs in" in line for line in said) == 2


def test_a_look_leaves_no_folder_behind(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check()
    assert (folder.supervisor(), folder.running(), folder.addresses()) == (None, [], None)
    assert not folder.root.exists()


def test_a_folder_that_is_a_file_is_told_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=r"RUN_DIR=.*/file/run is no folder: .*/file is a file"):
        RunFolder(tmp_path / "file" / "run").check()


def test_a_folder_that_cannot_be_written_is_told_by_its_variable() -> None:
    with TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        assert refusal_to_nobody(RunFolder(Path(name) / "run")).startswith(
            f"RUN_DIR={name}/run cannot be read and written: correct the permissions of {name}, "
        )
        Path(name).chmod(0o777)
        assert refusal_to_nobody(RunFolder(Path(name) / "run")) == ""


def refusal_to_nobody(folder: RunFolder) -> str:
    """Return why the folder is refused to somebody who is not root, who may write everywhere."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            folder.check()
        except RunFolderError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


def test_what_outlived_its_supervisor_is_named_with_the_way_to_end_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with a_program(folder, "gateway") as gateway, a_program(folder, "l2") as l2:
        (first, second) = folder.left_behind()
        assert (first.name, first.pid, second.pid) == ("gateway", gateway.pid, l2.pid)
        assert first.command.startswith("sh -c")
        with pytest.raises(RunFolderError) as refused:
            folder.check()
    assert str(refused.value) == (
        f"gateway (process {gateway.pid}), l2 (process {l2.pid}): left in {folder.root} by a run whose "
        f"supervisor was killed; `make stop RUN_DIR={folder.root}` ends them"
    )
    assert folder.left_behind() == []


def test_the_programs_of_a_supervisor_that_lives_are_not_left_behind(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with a_supervisor(folder.root), a_program(folder, "l2") as l2:
        assert [process.pid for process in folder.running()] == [l2.pid]
        assert folder.left_behind() == []


def test_a_process_that_got_the_id_of_a_dead_program_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.processes.mkdir(parents=True)
    (folder.processes / "l2").write_text(f"{os.getpid()}\npython -m services.l2")  # ours now, and not locked
    assert folder.running() == []


def test_a_token_is_new_at_each_start_and_its_owners_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    drawn = []
    for _ in range(2):
        lock = folder.acquire()
        drawn.append(folder.make_token())
        assert folder.token.read_text() == f"{drawn[-1]}\n"
        assert stat.S_IMODE(folder.token.stat().st_mode) == 0o600
        os.close(lock)
    assert drawn[0] != drawn[1]
    assert all(len(token) == 43 for token in drawn)  # 256 bits in base64
    os.close(folder.acquire())
    assert not folder.token.exists()  # one of a former run would only mislead


def test_addresses_come_back_as_they_were_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_addresses(some_addresses())
    assert folder.addresses() == some_addresses()
    (tmp_path / "addresses.json").write_text('{"of": "another version"}')
    assert folder.addresses() is None


def test_a_start_clears_what_a_former_system_said_of_its_metrics(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.mkdir()
    (folder.metrics / "l2.json").touch()
    os.close(folder.acquire())
    assert not folder.metrics.exists()
