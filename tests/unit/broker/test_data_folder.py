import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.data_folder import DataFolder
from broker.errors import DataFolderInUseError, DataFolderUnusableError


def test_a_second_user_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    first.acquire()
    with pytest.raises(DataFolderInUseError, match=r"another broker \(process \d+\) already runs"):
        second.acquire(handover_s=0.0)
    first.release()
    second.acquire(handover_s=0.0)
    second.release()


def test_a_folder_that_cannot_be_made_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusableError, match="set KAFKA_DATA_DIR"):
        DataFolder(tmp_path / "file" / "kafka").acquire()


def test_a_full_disk_is_told_before_kafka_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10 << 20))
    folder = DataFolder(tmp_path)
    with pytest.raises(DataFolderUnusableError, match=r"has 10 MiB left.*free some space"):
        folder.acquire()
    monkeypatch.undo()
    folder.acquire(handover_s=0.0)  # the refusal left no lock behind
    folder.release()


def test_a_look_finds_what_a_start_would_meet_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run" / "kafka"
    DataFolder(root).check()
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10 << 20))
    with pytest.raises(DataFolderUnusableError, match="set RUN_DIR to a folder elsewhere"):
        DataFolder(root, "RUN_DIR").check()
    monkeypatch.undo()
    user = DataFolder(root)
    user.acquire()
    with pytest.raises(DataFolderInUseError, match=rf"process {os.getpid()}\).* set RUN_DIR"):
        DataFolder(root, "RUN_DIR").check()
    user.release()
    DataFolder(root).check()
