"""The clients' own virtual environments: one for each lock, made anew when that changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".venv-peers"
LOCKS: Final = Path(__file__).with_name("locks")
NAMES: Final = ("clients", "coinbase")
ENGINES: Final = "engines"  # backtests of others, beside which `tests.bench backtest` measures ours
INSTALL_S: Final = 900.0
DONE: Final = "installed"


def python_of(name: str) -> Path:
    """Return the interpreter of an environment."""
    return FOLDER / name / "bin" / "python"


def install(say: Callable[[str], None], names: Sequence[str] = NAMES) -> None:
    """Make every environment that is not of today's lock; needs PyPI then."""
    uv = str(Path(sys.executable).with_name("uv"))
    for name in names:
        lock, folder = LOCKS / f"{name}.lock", FOLDER / name
        if installed(name):
            continue
        say(f"installing {lock.relative_to(ROOT)} into {folder.relative_to(ROOT)}")
        shutil.rmtree(folder, ignore_errors=True)
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        options = ("--quiet", "--compile-bytecode", "--require-hashes")  # ccxt is large
        _run(uv, "pip", "sync", *options, "--python", str(python_of(name)), str(lock))
        (folder / DONE).write_text(_digest(name), encoding="utf-8")


def installed(name: str) -> bool:
    """Tell whether an environment is there, and of today's lock."""
    done = FOLDER / name / DONE
    return done.is_file() and done.read_text(encoding="utf-8") == _digest(name)


def lock(say: Callable[[str], None]) -> None:
    """Resolve the locks anew, to the newest versions that fit; needs PyPI."""
    uv = str(Path(sys.executable).with_name("uv"))
    for name in (*NAMES, ENGINES):
        asked, target = LOCKS / f"{name}.in", LOCKS / f"{name}.lock"
        say(f"resolving {asked.relative_to(ROOT)}")
        options = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url")
        _run(
            uv,
            "pip",
            "compile",
            "--quiet",
            "--upgrade",
            "--no-header",
            *options,
            str(asked),
            "-o",
            str(target),
        )


def _digest(name: str) -> str:
    return hashlib.sha256((LOCKS / f"{name}.lock").read_bytes() + sys.version.encode()).hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_S, cwd=ROOT)
