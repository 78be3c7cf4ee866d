"""The real installer on a small project of two made-up packages, which pip finds in a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from install.page_files import file_of
from install.pins import LOCKS
from libs.cli.run_folder import RunFolder
from tests.unit.libs.cli.folders import a_program, a_supervisor, some_addresses

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 90.0
NEEDED = (  # to know what runs
    "broker/__init__.py",
    "broker/file_lock.py",
    "broker/owned_folder.py",
    "libs/__init__.py",
    "libs/cli/__init__.py",
    "libs/cli/run_folder.py",
    "libs/cli/running.py",
)
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "small-0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for file, text in {
            "small-0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: small\\nVersion: 0\\n",
            "small-0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            "small-0.dist-info/RECORD": "",
        }.items():
            wheel.writestr(file, text)
    return name
"""
BRING = """
import shutil
print("brought")
shutil.copytree("library", "services/gateway/page/vendor", dirs_exist_ok=True)
"""
SLOW = """
import os, sys, time
from pathlib import Path
if "{child}" in sys.orig_argv:
    lock = int(os.environ["BOOKRUNNER_INSTALL_LOCK"])
    held = os.path.exists(lock) and os.path.samefile(lock, "{folder}/checkout")
    Path("{folder}/begun").write_text("holds the lock" if held else "does not")
    while not Path("{folder}/go").exists():
        time.sleep(0.05)
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "small"
version = "0"
"""


class Checkout:
    """A folder with the installer, locks of made-up packages, and a `broker` that fetches nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder.parent / "index"
        self.index.mkdir(exist_ok=True)
        shutil.copytree(
            ROOT / "install", folder / "install", ignore=shutil.ignore_patterns("__pycache__", "locks")
        )
        (folder / "install" / "locks").mkdir()
        for file in NEEDED:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        (folder / "broker" / "__main__.py").write_text("print('fetched')\n")
        (folder / "broker" / "jars.lock").touch()
        self.page = folder / "services" / "gateway" / "page"
        self.page.mkdir(parents=True)
        (self.page / "vendor.lock").touch()
        (folder / "install" / "webjars.py").write_text(BRING)
        (folder / "backend.py").write_text(BACKEND)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        for lock in LOCKS:
            (folder / "install" / "locks" / f"{lock}.lock").touch()
        (folder / "install" / "locks" / "files.tsv").touch()
        self.lock("services", "one")
        self.lock("dev", "two")

    def lock(self, lock: str, name: str) -> None:
        wheel = self.index / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{name}.py", "")
            archive.writestr(
                f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            )
            archive.writestr(
                f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\n"
            )
            archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        locks = self.folder / "install" / "locks"
        (locks / f"{lock}.lock").write_text(f"{name}==1.0 \\\n    --hash=sha256:{sha256}\n")
        with (locks / "files.tsv").open("a") as files:
            files.write(f"{sha256}\t{wheel.stat().st_size}\t{wheel.name}\n")

    def start(
        self, *arguments: str, python: str = sys.executable, **environment: str
    ) -> subprocess.Popen[str]:
        found = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)} | environment
        return subprocess.Popen(
            [python, "-m", "install", *arguments],
            cwd=self.folder,
            env={name: value for name, value in (os.environ | found).items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def install(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        said = process.communicate(timeout=PATIENCE_S)[0]
        return process.returncode, said

    def imports(self, name: str) -> bool:
        return (
            subprocess.run([self.folder / ".venv/bin/python", "-c", f"import {name}"], check=False).returncode
            == 0
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout")


def test_layers_add_to_each_other_and_what_is_there_is_not_spoken_of(checkout: Checkout) -> None:
    code, said = checkout.install("run")
    assert code == 0, said
    assert "fetching 1 Python packages (0 MB)" in said
    assert "fetched" in said  # Kafka
    assert checkout.imports("one")
    assert not checkout.imports("two")
    assert checkout.install("run", "dev")[0] == 0
    assert checkout.imports("two")
    began = time.monotonic()
    assert checkout.install("run") == (0, "")
    assert time.monotonic() - began < 30
    assert not (checkout.folder / ".venv" / "fetched").exists()


def test_the_libraries_of_the_page_are_brought_when_they_are_missing_or_damaged(checkout: Checkout) -> None:
    (checkout.folder / "library").mkdir()
    (checkout.folder / "library" / "lib.js").write_text("a library")
    (checkout.page / "vendor.lock").write_text(file_of("lib.js", b"a library").line)
    code, said = checkout.install("run")
    assert code == 0, said
    assert said.endswith("brought\n")
    assert checkout.install("run", "dev")[1].count("brought") == 0
    brought = checkout.page / "vendor" / "lib.js"
    for damage in (lambda: brought.write_text("a libraby"), brought.unlink):
        damage()
        assert checkout.install("dev") == (0, "")
        assert checkout.install("run") == (0, "brought\n")
        assert brought.read_text() == "a library"
    assert checkout.install("run") == (0, "")


def test_nothing_changes_under_a_system_that_runs_but_what_tests_add(
    checkout: Checkout, tmp_path: Path
) -> None:
    assert checkout.install("run")[0] == 0
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    folder.write_addresses(some_addresses(checkout=str(checkout.folder)))
    with a_supervisor(folder.root):
        running = {"RUN_DIR": str(folder.root)}
        assert checkout.install("run", "dev", **running)[0] == 0
        checkout.lock("services", "three")
        refusal = (
            f"a bookrunner runs from {checkout.folder}/.venv, which would have to change: "
            f"`make stop RUN_DIR={folder.root}` ends it\n"
        )
        assert checkout.install("run", **running) == (1, refusal)
        (folder.root / "addresses.json").write_text("{}")  # as another version leaves it
        assert checkout.install("run", **running) == (1, refusal)
        assert checkout.imports("one")
    folder.write_addresses(some_addresses(checkout=str(checkout.folder)))
    with a_program(folder, "l2"):  # its supervisor was killed
        assert checkout.install("run", **running) == (1, refusal)
    assert checkout.install("run", RUN_DIR=str(folder.root))[0] == 0
    assert checkout.imports("three")


def seen(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("moment", ["bin/python", "fetched"])
def test_killed_while_it_prepares_it_is_whole_after_the_next_run(checkout: Checkout, moment: str) -> None:
    process = checkout.start("run")
    seen(lambda: any(checkout.folder.glob(f".venv/{moment}")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, said = checkout.install("run")
    assert code == 0, said
    assert checkout.imports("one")
    assert checkout.install("run") == (0, "")


@pytest.mark.parametrize("child", ["venv", "wheel", "--no-index", "compileall", "--fetch"])
def test_the_next_one_waits_for_what_an_installer_that_was_killed_alone_had_begun(
    checkout: Checkout, tmp_path: Path, child: str
) -> None:
    begun, slow = tmp_path / "begun", tmp_path / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(SLOW.format(child=child, folder=tmp_path))
    try:
        process = checkout.start("run", PYTHONPATH=str(slow))
        seen(lambda: begun.exists() and begun.read_text() != "")
        assert begun.read_text() == "holds the lock"
        process.kill()
        process.wait()
        after = checkout.start("run")
        assert after.stdout is not None
        assert after.stdout.readline() == "another installation into .venv is under way; waiting for it\n"
    finally:
        (tmp_path / "go").touch()
    said = after.communicate(timeout=PATIENCE_S)[0]
    process.communicate()
    assert after.returncode == 0, said
    assert checkout.imports("one")
    assert checkout.install("run") == (0, "")


def test_killed_while_it_installs_it_is_made_anew(checkout: Checkout) -> None:
    process = checkout.start("run")
    state = checkout.folder / ".venv" / "installed.json"
    seen(lambda: state.exists() and '"installing": true' in state.read_text())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, said = checkout.install("run", python=".venv/bin/python")  # as make asks for it
    assert code == 0, said
    assert said.startswith(".venv cannot be used: there is no finished installation in it. Making it anew")
    assert checkout.imports("one")


def test_a_left_over_venv_of_an_old_python_is_made_anew(checkout: Checkout) -> None:
    python = checkout.folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3 9\n")
    python.chmod(0o755)
    code, said = checkout.install("run")
    assert code == 0
    assert said.startswith(".venv cannot be used: its Python is not 3.11 to 3.14. Making it anew")


def test_a_moved_checkout_and_one_whose_python_is_gone_are_installed_anew(
    checkout: Checkout, tmp_path: Path
) -> None:
    assert checkout.install("run")[0] == 0
    checkout.folder = checkout.folder.rename(tmp_path / "elsewhere")
    code, said = checkout.install("run")
    assert code == 0
    assert said.startswith(".venv cannot be used: it was made in another folder. Making it anew")
    for link in (checkout.folder / ".venv" / "bin").glob("python*"):
        link.unlink()
    code, said = checkout.install("run")
    assert code == 0
    assert said.startswith(".venv cannot be used: its Python does not start any more. Making it anew")
    assert checkout.imports("one")


def test_an_index_that_is_not_there_is_told_as_such_and_nothing_is_lost(checkout: Checkout) -> None:
    assert checkout.install("run")[0] == 0
    nowhere = {
        "PIP_NO_INDEX": "",
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "NO_PROXY": "*",
    }
    code, said = checkout.install("run", "dev", PIP_RETRIES="1", **nowhere)
    assert code == 1
    assert (
        "the package index could not be reached: connect to the network; behind a proxy set HTTPS_PROXY"
        in said
    )
    assert "No matching distribution" not in said
    assert checkout.install("run") == (0, "")


def test_other_bytes_than_locked_are_not_installed(checkout: Checkout) -> None:
    with (checkout.index / "one-1.0-py3-none-any.whl").open("ab") as wheel:
        wheel.write(b"more")
    code, said = checkout.install("run")
    assert code == 1
    assert "other bytes than those locked" in said


@pytest.mark.parametrize("layers", [(), ("all",)])
def test_an_unknown_layer_is_a_usage_error(checkout: Checkout, layers: tuple[str, ...]) -> None:
    code, said = checkout.install(*layers)
    assert code == 2
    assert "run|plots|history|dev" in said


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("/bin/ls", "PYTHON=/bin/ls is no Python"),
        ("/nonexistent", "PYTHON=/nonexistent is no Python"),
        ("", "none is on PATH"),
    ],
)
def test_a_python_that_is_none_is_told_by_make(python: str, says: str) -> None:
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr


def test_a_python_that_is_too_old_is_told_by_make(tmp_path: Path) -> None:
    python = tmp_path / "python3.9"
    python.write_text("#!/bin/sh\necho is 3.9\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"PYTHON={python} is not of the versions 3.11 to 3.14" in done.stderr
