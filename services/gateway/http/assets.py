"""Files for a browser: read once, and addressed by their content, so that it may keep them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OURS: Final = Path(__file__).with_name("static")
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    name: str
    media_type: str
    body: bytes
    version: str  # changes with the body

    @property
    def address(self) -> str:
        """The name with its version: what is there never changes."""
        return f"{self.name}?v={self.version}"


def asset(name: str, body: bytes) -> Asset:
    """Return a file of this name; its ending says what it is."""
    return Asset(name, MEDIA_TYPES[PurePath(name).suffix], body, sha256(body).hexdigest()[:16])


def read(folder: Path, names: Iterable[str]) -> dict[str, Asset]:
    """Return these files of a folder by name."""
    return {name: asset(name, (folder / name).read_bytes()) for name in names}


def folder_of(package: str) -> Path:
    """Return where an installed package lies, without running any of its code."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed: make setup", name=package)
    return Path(spec.origin).parent
