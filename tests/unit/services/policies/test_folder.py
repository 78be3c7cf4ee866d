from __future__ import annotations

import os
from pathlib import Path

import pytest

from libs.policies import loading
from libs.policies.described import MOST_SOURCE_BYTES, version_of
from libs.policies.loading import UnreadableSourceError
from services.policies.folder import INSTALLED_NS, Sources


def test_files_are_policies_but_for_tests_and_private_ones(tmp_path: Path) -> None:
    for name in ("mine.py", "test_mine.py", "_shared.py", "notes.txt", "._mine.py", ".hidden.py"):
        (tmp_path / name).write_text("x = 1")
    found = Sources(tmp_path, lambda: 0).look()
    assert found.keys() == {"mine"}
    assert found["mine"].version == version_of(b"x = 1")
    assert found["mine"].place == "mine.py"


def test_a_file_is_read_again_only_where_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 1")
    sources = Sources(tmp_path, lambda: 0)
    first = sources.look()["mine"]
    read: list[Path] = []

    def counted(path: Path) -> loading.Source:
        read.append(path)
        return loading.read_source(path)

    monkeypatch.setattr("services.policies.folder.read_source", counted)
    assert sources.look()["mine"] == first
    assert not read
    path.write_text("x = 2")
    second = sources.look()["mine"]
    assert second.version == version_of(b"x = 2")
    assert sources.source("mine", first.version) is None
    source = sources.source("mine", second.version)
    assert source is not None
    assert source.text == b"x = 2"


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 1")
    sources = Sources(tmp_path, lambda: 0)

    def slowly(path: Path) -> loading.Source:
        found = loading.read_source(path)
        path.write_text("x = 10")
        return found

    monkeypatch.setattr("services.policies.folder.read_source", slowly)
    assert sources.look()["mine"].version == version_of(b"x = 1")
    monkeypatch.undo()
    assert sources.look()["mine"].version == version_of(b"x = 10")


def test_a_pipe_in_place_of_a_file_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, status = tmp_path / "mine.py", Path(__file__).stat()
    os.mkfifo(path)
    monkeypatch.setattr("pathlib.Path.stat", lambda _: status)  # as it was before it was replaced
    with pytest.raises(UnreadableSourceError, match="no regular file"):
        loading.read_source(path)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "large.py").write_bytes(b"#" * (MOST_SOURCE_BYTES + 1))
    (tmp_path / "empty.py").touch()
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nothing")
    found = {name: file.fault for name, file in Sources(tmp_path, lambda: 0).look().items()}
    assert "no regular file" in found["pipe"]
    assert "no regular file" in found["folder"]
    assert "1 to 1048576 are right" in found["large"]
    assert "has 0 bytes" in found["empty"]
    assert "No such file" in found["dangling"]


def test_a_folder_that_went_away_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match="cannot be read: No such file"):
        Sources(tmp_path / "nothing", lambda: 0).look()


def test_entry_points_are_found_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "strategies"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('it is imported')")
    (package / "trend.py").write_text("raise AssertionError('it is imported')")
    info = tmp_path / "strategies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strategies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[bookrunner.policies]\ntrend = strategies.trend:MINE\nlost = strategies.lost\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    clock = [0]
    sources = Sources(None, lambda: clock[0])
    found = sources.look()
    assert found["trend"].version == version_of((package / "trend.py").read_bytes())
    assert found["trend"].place == "strategies.trend:MINE"
    assert found["lost"].fault == "no module strategies.lost is installed"
    source = sources.source("trend", found["trend"].version)
    assert source is not None
    assert (source.module, source.attribute) == ("strategies.trend", "MINE")
    (info / "entry_points.txt").write_text("[bookrunner.policies]\n")
    assert sources.look().keys() == found.keys(), "packages are looked at once a minute"
    clock[0] = INSTALLED_NS
    assert sources.look() == {}
