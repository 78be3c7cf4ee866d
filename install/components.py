"""What is locked, and where it comes from: Python's packages, jars, the JavaScript of the pages."""

from __future__ import annotations

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.jar_lock import KAFKA
from install.page_files import read_files
from install.pins import LOCKS, path_of, read
from install.webjars import LIBRARIES, WEBJARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
PYPI: Final = "PyPI"
MAVEN: Final = "Maven"
NPM: Final = "npm"
_BY_USE: Final = (
    "services",
    "native",
    "plots",
    "history",
    "build",
    "dev",
)  # of two that name a package, the first counts
SWAGGER_UI: Final = "swagger-ui-dist"
_WHEEL: Final = "fastapi_swagger"  # that carries it
_BUNDLE: Final = Path("resources", "swagger-ui-bundle.js")
_SAID: Final = re.compile(rb'PACKAGE_VERSION:"([0-9][0-9A-Za-z.+-]*)"')  # of swagger-ui, by itself


class Component(NamedTuple):
    """A package of one version."""

    ecosystem: str  # as OSV names it
    name: str  # group:artifact of Maven
    version: str
    lock: str  # the file that names it; of the JavaScript, the wheel's
    hashes: tuple[str, ...]  # SHA-256 in hex of each file that may be installed


class NoBundleError(Exception):
    """The JavaScript of /docs is not there, or does not say its version."""


def lock_files() -> list[Path]:
    """Return the locks, whose bytes decide what is installed."""
    return [*(path_of(lock) for lock in LOCKS), KAFKA.file, WEBJARS.file]


def components() -> list[Component]:
    """
    Return all of them, each once.

    Raises
    ------
    NoBundleError
        If the wheel with the JavaScript of /docs is not installed.
    """
    pins = [
        Component(PYPI, pin.name, pin.version, f"install/locks/{lock}.lock", pin.hashes)
        for lock in _BY_USE
        for pin in read(lock)
    ]
    jars = []
    for lock in (KAFKA, WEBJARS):
        for jar in lock.jars():
            name, _, version = jar.coordinate.rpartition(":")
            jars.append(Component(MAVEN, name, version, str(lock.file.relative_to(ROOT)), (jar.sha256,)))
    return [*_merged(pins), *jars, *page_libraries(), swagger_ui()]


def _merged(pins: Iterable[Component]) -> list[Component]:
    """Return one for each name and version; a lock names some twice, for two environments."""
    found: dict[tuple[str, str], Component] = {}
    for pin in pins:
        before = found.setdefault((pin.name, pin.version), pin)
        found[pin.name, pin.version] = before._replace(hashes=tuple(sorted({*before.hashes, *pin.hashes})))
    return list(found.values())


def page_libraries() -> Iterator[Component]:
    """Yield the packages of npm that the WebJars carry, each by the hash of the library itself."""
    hashes = {file.name: file.sha256 for file in read_files()}
    lock = str(WEBJARS.file.relative_to(ROOT))
    for library in LIBRARIES:
        yield Component(NPM, library.name, library.version, lock, (hashes[library.files[0]],))


def swagger_ui() -> Component:
    """
    Return the JavaScript that a wheel carries for /docs, with the version that it says of itself.

    Raises
    ------
    NoBundleError
        If it is not installed, or says none.
    """
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise NoBundleError(f"{_WHEEL} is not installed: make setup")
    body = Path(spec.origin).parent.joinpath(_BUNDLE).read_bytes()
    if (said := _SAID.search(body)) is None:
        raise NoBundleError(f"{_BUNDLE} of {_WHEEL} does not say which version of swagger-ui it is")
    return Component(NPM, SWAGGER_UI, said[1].decode(), _WHEEL, (hashlib.sha256(body).hexdigest(),))
