from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from broker.data_folder import DataFolder
from broker.errors import DataFolderUnusableError
from broker.owned_folder import NotOurOwnError, check, claim
from libs.cli.run_folder import RunFolder, RunFolderError

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65_534


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _umask_of_a_usual_shell() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    claim(tmp_path / "run", "RUN_DIR")
    assert mode_of(tmp_path / "run") == 0o700


def test_a_folder_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    claim(tmp_path / "run", "RUN_DIR")
    assert mode_of(tmp_path / "run") == 0o700


def test_run_dir_its_lock_and_the_data_of_kafka_are_their_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    os.close(RunFolder(tmp_path / "run").acquire())
    data = DataFolder(tmp_path / "run" / "kafka")
    data.acquire()
    data.properties.write_text("of a former version")
    data.properties.chmod(0o644)
    data.write_properties("password=x")
    data.release()
    assert {mode_of(path) for path in (tmp_path / "run", data.root, tmp_path / "run" / "processes")} <= {
        0o700,
        0o755,
    }
    assert (mode_of(tmp_path / "run"), mode_of(data.root)) == (0o700, 0o700)
    files = (tmp_path / "run" / "run.lock", data.root / "broker.lock", data.properties)
    assert [mode_of(path) for path in files] == [0o600] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to somebody else")
@pytest.mark.parametrize("linked", [False, True], ids=["folder", "link"])
def test_what_belongs_to_another_user_is_refused_with_the_variable_that_moves_it(
    tmp_path: Path, *, linked: bool
) -> None:
    root = tmp_path / "run"
    if linked:
        (tmp_path / "elsewhere").mkdir()
        root.symlink_to(tmp_path / "elsewhere")
        os.lchown(root, NOBODY, NOBODY)
    else:
        root.mkdir()
        os.chown(root, NOBODY, NOBODY)
    with pytest.raises(NotOurOwnError, match=r"belongs to another user.*set X to a folder of your own"):
        check(root, "X")
    for refusing in (RunFolder(root).check, RunFolder(root).acquire):
        with pytest.raises(RunFolderError, match="set RUN_DIR to a folder of your own"):
            refusing()
    for meeting in (DataFolder(root).check, DataFolder(root).acquire):
        with pytest.raises(DataFolderUnusableError, match="set KAFKA_DATA_DIR to a folder of your own"):
            meeting()
    assert list(root.iterdir()) == []


def test_a_link_of_ones_own_to_a_folder_of_ones_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    claim(tmp_path / "run", "RUN_DIR")
    assert mode_of(tmp_path / "elsewhere") == 0o700


def test_a_look_changes_nothing(tmp_path: Path) -> None:
    check(tmp_path / "run", "RUN_DIR")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir(mode=0o755)
    check(tmp_path / "run", "RUN_DIR")
    assert mode_of(tmp_path / "run") == 0o755


def test_a_folder_that_users_share_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(NotOurOwnError, match="set RUN_DIR to one of your own in it"):
        claim(shared, "RUN_DIR")
    assert mode_of(shared) == 0o1777
