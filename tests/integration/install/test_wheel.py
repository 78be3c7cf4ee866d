"""What `pip install` brings: the public package with its types, and all that it needs of this project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from install.page_files import lacking

ROOT = Path(__file__).parents[3]
# As a frontend of PEP 517 calls it: by the name in pyproject.toml, from the folder that it names.
BUILD = """
import sys, tomllib
from importlib import import_module
with open("pyproject.toml", "rb") as file:
    system = tomllib.load(file)["build-system"]
sys.path[:0] = system["backend-path"]
print(import_module(system["build-backend"]).build_wheel(sys.argv[1]))
"""
USE = """
import sys, bookrunner
assert bookrunner.__file__.startswith(sys.argv[1]), bookrunner.__file__
from bookrunner import Book, Client, Market, OrderBook, Policy, ProblemError, Signal, books, events, subscribe
print(events.__file__.startswith(sys.argv[1]))
"""


def a_copy(folder: Path) -> Path:
    """Return a copy of the sources."""
    source = folder / "source"
    source.mkdir()
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    for package in ("bookrunner", "broker", "install", "libs", "services", "simulator"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    return source


def build(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=source, check=False, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, and unpack it as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    done = build(a_copy(folder), folder)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("bookrunner-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_holds_the_public_package_and_its_marker_of_types(installed: Path) -> None:
    ours = {file.relative_to(ROOT) for file in (ROOT / "bookrunner").iterdir() if file.is_file()}
    assert {file for file in ours if not (installed / file).is_file()} == set()
    assert Path("bookrunner/py.typed") in ours


def test_the_wheel_holds_the_whole_page_with_its_libraries_and_their_licences(installed: Path) -> None:
    page = Path("services/gateway/page")
    ours = {file.relative_to(ROOT) for file in (ROOT / page).rglob("*") if file.is_file()}
    assert {file for file in ours if not (installed / file).is_file()} == set()
    assert {page / "index.html", page / "vendor/lit-html.js", page / "vendor/lit-html.LICENSE"} < ours
    assert lacking(installed / page) == []


def test_a_wheel_without_a_library_of_the_page_is_not_built_and_the_reason_says_what_to_do(
    tmp_path: Path,
) -> None:
    source = a_copy(tmp_path)
    (source / "services/gateway/page/vendor/uPlot.min.css").unlink()
    done = build(source, tmp_path)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        "install.backend.PageIncompleteError: the page's libraries are not whole: uPlot.min.css of "
        "services/gateway/page/vendor is missing or damaged; run `make setup`, which fetches them, and build "
        "again"
    )
    assert list(tmp_path.glob("*.whl")) == []


def test_it_works_from_there_alone(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", USE, str(installed)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_type_checker_sees_the_types_of_an_installed_package(installed: Path, tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "from bookrunner import Market, Policy, Signal, subscribe\n"
        "def signal(market: Market) -> Signal:\n"
        "    return Signal(value=market.minutes, reason='')\n"
        "policy = Policy(signal=signal, summary=7)\n"
        "subscribe('trades', since=1.5)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=silent",
            "--no-incremental",
            script.name,
        ],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [line.split(":")[1] for line in done.stdout.splitlines() if line.startswith("mine.py:")]
    assert wrong == ["3", "4", "5"], done.stdout
