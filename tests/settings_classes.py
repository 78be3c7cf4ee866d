"""Every class of settings that the programs have, found in the source, so that a new one is not forgotten."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from libs.common.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGES = ("broker", "libs", "services", "simulator")


def all_settings() -> Iterator[type[Settings]]:
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if re.search(r"^class \w+\([\w, ]*Settings\):", path.read_text(), re.MULTILINE):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found: list[type[Settings]] = [Settings]
    for kind in found:  # grows
        found += (each for each in kind.__subclasses__() if each not in found)
    yield from (kind for kind in found[1:] if kind.__module__.split(".")[0] in PACKAGES)
