"""The libraries of the page: locked, unpacked from their jars, and nothing else beside them."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from broker.jar_lock import LockedJar
from broker.settings import JarSettings
from install import webjars
from install.page_files import FOLDER, LOCK, PAGE, PageFile, file_of, lacking, read_files
from install.webjars import LIBRARIES, WEBJARS, Library, UnlockedFileError, bring

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = Library("thing", "1.0", "MIT", "dist/", ("thing.js", "more/part.js"))
INSIDE = "META-INF/resources/webjars/thing/1.0"
CONTENTS = {"thing.js": b"the thing", "more/part.js": b"a part", "thing.LICENSE": b"do what you like"}


def a_jar(folder: Path, *left_out: str) -> LockedJar:
    """Write a WebJar of the library into a cache, and return what locks it."""
    path = LockedJar("", 0, LIBRARY.coordinate).path_in(folder)
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in CONTENTS.items():
            if name not in left_out:
                inside = "LICENSE" if name == "thing.LICENSE" else f"dist/{name}"
                archive.writestr(f"{INSIDE}/{inside}", content)
        archive.writestr(f"{INSIDE}/dist/thing.min.js.map", "not needed")
    content = path.read_bytes()
    return LockedJar(file_of("", content).sha256, len(content), LIBRARY.coordinate)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def page(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a page that needs the library, which the cache holds."""
    folder = tmp_path / "page"
    folder.mkdir()
    use(monkeypatch, folder, a_jar(cache))
    return folder


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, *jars: LockedJar) -> None:
    lock = folder / "webjars.lock"
    lock.write_text("".join(f"{jar.sha256} {jar.size} {jar.coordinate}\n" for jar in jars))
    (folder / LOCK).write_text("".join(file_of(name, content).line for name, content in CONTENTS.items()))
    monkeypatch.setattr(webjars, "WEBJARS", WEBJARS._replace(file=lock))
    monkeypatch.setattr(webjars, "LIBRARIES", (LIBRARY,))


def found(page: Path) -> dict[str, bytes]:
    folder = page / FOLDER
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_the_page_needs_is_unpacked_and_nothing_else(page: Path, cache: Path) -> None:
    bring(cache, page)
    assert found(page) == CONTENTS
    assert lacking(page) == []


def test_where_all_is_there_nothing_is_asked_for_or_said(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in CONTENTS.items():
        (page / FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (page / FOLDER / name).write_bytes(content)
    bring(tmp_path / "no cache", page)
    assert not (tmp_path / "no cache").exists()
    assert capsys.readouterr().out == ""


def test_what_is_damaged_is_mended_and_what_is_foreign_goes(page: Path, cache: Path) -> None:
    bring(cache, page)
    (page / FOLDER / "thing.js").write_bytes(b"the thinG")
    (page / FOLDER / "older").mkdir()
    (page / FOLDER / "older" / "part.js").write_bytes(b"of another version")
    assert lacking(page) == ["thing.js"]
    bring(cache, page)
    assert found(page) == CONTENTS
    assert not (page / FOLDER / "older").exists()
    (page / FOLDER / "stranger.js").touch()  # beside what is whole
    bring(cache, page)
    assert found(page) == CONTENTS


def test_locks_that_do_not_belong_together_are_told(
    page: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (page / LOCK).write_text(file_of("thing.js", b"of another version").line)
    with pytest.raises(UnlockedFileError, match=r"thing\.js is not as vendor\.lock has it: run `make lock`"):
        bring(cache, page)
    assert not (page / FOLDER).exists()
    use(monkeypatch, page)
    with pytest.raises(
        UnlockedFileError, match=r"does not name org\.webjars\.npm:thing:1\.0: run `make lock`"
    ):
        bring(cache, page)


def test_a_jar_without_a_file_is_told(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, tmp_path, a_jar(cache, "more/part.js"))
    with pytest.raises(UnlockedFileError, match=r"org\.webjars\.npm:thing:1\.0 lacks a file: .*part\.js"):
        bring(cache, tmp_path)


def test_without_a_network_the_command_says_in_one_line_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "jgo.conf"
    configuration.write_text("[repositories]\nnowhere = http://127.0.0.1:9\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("KAFKA_JARS_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(webjars, "bring", lambda cache: bring(cache, tmp_path))
    use(monkeypatch, tmp_path, LockedJar("0" * 64, 1, LIBRARY.coordinate))
    assert webjars.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "the page cannot be made whole: the first start fetches the libraries of the page (1 "
    )
    assert "connect to the network" in line
    assert str(JarSettings().jars_dir) in line


def test_an_unknown_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert webjars.main(["--locks"]) == 2
    assert capsys.readouterr().err == "usage: python -m install.webjars [--lock]\n"


def test_the_committed_locks_name_what_the_page_needs() -> None:
    names = {file.name for file in read_files()}
    assert names == {name for library in LIBRARIES for name in (*library.files, f"{library.name}.LICENSE")}
    assert [jar.coordinate for jar in WEBJARS.jars()] == sorted(library.coordinate for library in LIBRARIES)


def test_what_is_unpacked_here_is_whole_and_of_the_licences_that_are_told() -> None:
    assert lacking() == []
    titles = {"MIT": "The MIT License", "BSD-3-Clause": "BSD 3-Clause License"}
    for library in LIBRARIES:
        text = (PAGE / FOLDER / f"{library.name}.LICENSE").read_text(encoding="utf-8")
        assert titles[library.licence] in text


def test_a_line_of_the_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = PageFile("a" * 64, 3, "a name.js")
    (tmp_path / LOCK).write_text(f"# a comment\n{file.line}")
    assert read_files(tmp_path) == [file]
