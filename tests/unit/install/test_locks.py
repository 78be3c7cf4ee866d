"""What the locks promise, read from their files and wheel tags alone: nothing is asked of an index."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from broker.jar_lock import KAFKA
from install.pins import BUILT, FOLDER, LAYERS, LOCKS, Pin, added, digest, parse, read, read_files
from install.platforms import NEWEST_GLIBC, NEWEST_MACOS, Target, targets, wheel_tags
from install.webjars import WEBJARS

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
RUN = tuple(LAYERS["run"])
MAC_WITHOUT_TESTS = {"scs"}  # peers of the portfolio's benchmarks; their newest wheels need a newer macOS


@cache
def pins_of(*locks: str) -> list[Pin]:
    return [pin for lock in locks for pin in read(lock)]


def without_wheel(target: Target, pins: list[Pin]) -> set[str]:
    files, tags = read_files(), target.tags()
    return {
        pin.name
        for pin in pins
        if target.needs(pin) and all(tags.isdisjoint(wheel_tags(files[each])) for each in pin.hashes)
    }


def test_every_hash_of_every_lock_is_of_a_file_known_by_name_and_size() -> None:
    files = read_files()
    for pin in pins_of(*LOCKS):
        assert pin.hashes, f"{pin.name} has no hash"
        for sha256 in pin.hashes:
            file = files[sha256]
            assert file.size > 0
            assert re.split(r"-\d", file.name)[0].lower().replace("_", "-").replace(".", "-") == pin.name


def test_no_known_file_is_left_over_from_a_former_lock() -> None:
    assert read_files().keys() == {sha256 for pin in pins_of(*LOCKS) for sha256 in pin.hashes}


@pytest.mark.parametrize("target", targets(), ids=lambda t: f"{t.system}-{t.machine}-{t.python[1]}")
def test_all_that_running_needs_has_a_wheel_or_is_built_in_python_alone(target: Target) -> None:
    is_linux_arm64 = (target.system, target.machine) == ("linux", "aarch64")
    assert without_wheel(target, pins_of(*RUN)) == ({BUILT} if is_linux_arm64 else set())


@pytest.mark.parametrize("target", targets(), ids=lambda t: f"{t.system}-{t.machine}-{t.python[1]}")
def test_all_that_tests_add_has_a_wheel_but_on_an_intel_mac(target: Target) -> None:
    is_intel_mac = (target.system, target.machine) == ("darwin", "x86_64")
    assert without_wheel(target, pins_of(*LAYERS["dev"])) <= (MAC_WITHOUT_TESTS if is_intel_mac else set())


def test_what_is_built_has_a_source_distribution_and_its_build_requirements() -> None:
    files = read_files()
    (built,) = (pin for pin in pins_of(*RUN) if pin.name == BUILT)
    assert any(files[each].name.endswith(".tar.gz") for each in built.hashes)
    arm64 = next(target for target in targets() if target.machine == "aarch64")
    there = {pin.name for pin in pins_of("build") if arm64.needs(pin)}
    assert there >= {
        "setuptools",
        "setuptools-scm",
        "wheel",
        "cython",
    }  # [build-system] of faust-streaming 0.15.3


def test_the_first_run_downloads_no_more_than_the_readme_says() -> None:
    files = read_files()
    jars = sum(jar.size for lock in (KAFKA, WEBJARS) for jar in lock.jars())
    said = re.search(
        r"downloads at most (\d+) MB: (\d+) locked Python packages", README.read_text(encoding="utf-8")
    )
    assert said is not None
    for target in targets(NEWEST_GLIBC, NEWEST_MACOS):
        tags = target.tags()
        needed = [pin for pin in pins_of(*RUN) if target.needs(pin)]
        largest = [
            max(
                files[each].size
                for each in pin.hashes
                if pin.name == BUILT or not tags.isdisjoint(wheel_tags(files[each]))
            )
            for pin in needed
        ]
        assert (sum(largest) + jars) / 1e6 <= int(said[1]) <= 160
        assert target.machine == "aarch64" or len(needed) == int(said[2])


def test_the_image_downloads_nothing_that_is_not_locked() -> None:
    commands = [
        line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if "pip install" in line
    ]
    assert len(commands) == 4
    for command in commands:
        assert "--no-deps" in command
        assert "--require-hashes" in command or "--no-build-isolation ." in command


def test_nothing_is_installed_that_no_lock_names() -> None:
    """Wherever this project calls pip, it gives hashes, or what was checked by them."""
    calls = []
    for path in (ROOT / "Makefile", ROOT / "Dockerfile", ROOT / ".ci" / "run", *ROOT.glob("container/*")):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        calls += [
            f"{path.name}: {line}" for line in text.splitlines() if re.search(r"\b(pip|uv|npx?) ", line)
        ]
    downloads = [call for call in calls if re.search(r"\b(install|download|wheel|exec)\b", call)]
    assert downloads, "the Dockerfile installs"
    for call in downloads:
        for command in call.split("&&"):
            if re.search(r"\bpip install\b", command):
                assert "--require-hashes" in command or "--no-build-isolation ." in command, call


def test_what_resolves_the_locks_is_locked() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "install.lock $(VENV)/bin/uv" in makefile
    assert "uv" in {pin.name for pin in pins_of("dev")}


def test_no_lock_names_an_index() -> None:
    assert not any("//" in path.read_text(encoding="utf-8") for path in FOLDER.iterdir())


def test_a_package_has_one_version_in_each_environment_over_all_locks() -> None:
    for target in targets():
        versions: dict[str, set[str]] = {}
        for pin in pins_of(*LOCKS):
            if target.needs(pin):
                versions.setdefault(pin.name, set()).add(pin.version)
        assert all(len(each) == 1 for each in versions.values()), versions


def test_every_requirement_of_the_project_is_locked_where_it_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed: dict[tuple[str, ...], list[str]] = {
        ("build",): extras["build"],
        ("services",): project["dependencies"],
        RUN: extras["native"],
        (*RUN, "plots"): extras["plots"],
        (*RUN, "plots", "history"): extras["history"],
        LOCKS: extras["dev"],
    }
    for locks, requirements in needed.items():
        names = {pin.name for pin in pins_of(*locks)}
        assert {re.split(r"[<>=;\s]", each, maxsplit=1)[0] for each in requirements} <= names


def test_a_lock_is_read_with_markers_and_hashes() -> None:
    text = """\
a==1 ; python_version < '3.12' \\
    --hash=sha256:00 \\
    --hash=sha256:11
# note
b==2 \\
    --hash=sha256:22
"""
    pins = parse(text)
    assert pins == [Pin("a", "1", "python_version < '3.12'", ("00", "11")), Pin("b", "2", "", ("22",))]
    assert parse("".join(pin.text for pin in pins)) == pins


def test_a_lock_adds_what_those_before_do_not_bring_everywhere() -> None:
    everywhere, windows = Pin("a", "1", "", ("00",)), Pin("a", "1", "sys_platform == 'win32'", ("00",))
    assert added([everywhere], [everywhere]) == []
    assert added([windows], [everywhere]) == []
    assert added([everywhere], [windows]) == [everywhere]


def test_a_changed_lock_has_another_digest() -> None:
    assert len({digest(lock) for lock in LOCKS}) == len(LOCKS)
