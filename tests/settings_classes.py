"""Every class of settings that the programs have, found in the source, so that a new one is not forgotten."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGES = ("broker", "libs", "services", "simulator")


def all_settings() -> Iterator[type[BaseSettings]]:
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if re.search(r"^class \w+\(\w*Settings\):", path.read_text(), re.MULTILINE):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    waiting: list[type[BaseSettings]] = [BaseSettings]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.split(".")[0] in PACKAGES:
                yield kind
