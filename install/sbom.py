"""
Write what Bookrunner is made of, as CycloneDX 1.6 in JSON: ``python -m install.sbom [FILE]``.

All of it is read from the locks: Python's packages, each with the files that may be installed for it, Kafka's
jars, the JavaScript of the pages and the images. Licences are those that an installed package states, and
those of the page's libraries. There is no time in it, and its serial number is made of its content: of equal
locks and packages come equal bytes.

References
----------
https://cyclonedx.org/docs/1.6/json/ (2026-11)
"""

from __future__ import annotations

import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from install import components as locked
from install.images import LOCK as IMAGES
from install.images import UNKNOWN, Image, read_images
from install.pins import File, read_files
from install.webjars import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cyclonedx.model.license import License

ROOT: Final = Path(__file__).resolve().parents[1]
# What runs; what somebody may add; what only builds or tests it.
_SCOPES: Final = {
    "install/locks/plots.lock": ComponentScope.OPTIONAL,
    "install/locks/history.lock": ComponentScope.OPTIONAL,
    "install/locks/build.lock": ComponentScope.EXCLUDED,
    "install/locks/dev.lock": ComponentScope.EXCLUDED,
}
_LICENCES: Final = {
    (ecosystem, name): library.licence
    for library in LIBRARIES
    for ecosystem, name in (
        (locked.NPM, library.name),
        (locked.MAVEN, library.coordinate.rpartition(":")[0]),
    )
}
_LONGEST: Final = 80  # of a licence's name; what is longer is its text
_OWN: Final = "License :: OSI Approved :: "


def main(arguments: Sequence[str] = ()) -> int:
    """Write it to the file, or to the terminal."""
    text = sbom()
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


def sbom() -> str:
    """Return the document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    itself = Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        bom_ref=project["name"],
        licenses=[_license(project["license"])],
    )
    files = read_files()
    parts = [_package(each, files) for each in locked.components()]
    parts += [_image(image) for image in read_images(IMAGES.read_text(encoding="utf-8"))]
    bom = Bom(components=parts)
    bom.metadata.component = itself
    bom.register_dependency(itself, [part for part in parts if part.scope is ComponentScope.REQUIRED])
    return _without_chance(json.loads(JsonV1Dot6(bom).output_as_string()))


def _without_chance(document: dict[str, Any]) -> str:
    """Return it without a time, and with a serial number that only its content decides."""
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, content)}"
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _package(locked_: locked.Component, files: Mapping[str, File]) -> Component:
    group, _, name = locked_.name.rpartition(":")
    kind = locked_.ecosystem.lower()
    of_python = locked_.ecosystem == locked.PYPI
    purl = PackageURL(kind, group or None, name, locked_.version)
    stated = _stated(locked_) if of_python else _LICENCES.get((locked_.ecosystem, locked_.name))
    return Component(
        type=ComponentType.LIBRARY,
        group=group or None,
        name=name,
        version=locked_.version,
        bom_ref=str(purl),
        purl=purl,
        scope=_SCOPES.get(locked_.lock, ComponentScope.REQUIRED),
        licenses=[] if stated is None else [_license(stated)],
        hashes=[] if of_python else [_sha256(each) for each in locked_.hashes],
        components=[_file(purl, files[each]) for each in locked_.hashes] if of_python else [],
        properties=[Property(name="bookrunner:lock", value=locked_.lock)],
    )


def _file(of: PackageURL, file: File) -> Component:
    return Component(
        type=ComponentType.FILE, name=file.name, bom_ref=f"{of}#{file.name}", hashes=[_sha256(file.sha256)]
    )


def _image(image: Image) -> Component:
    namespace, _, name = image.name.rpartition("/")
    version = image.tag if image.digest == UNKNOWN else image.digest
    purl = PackageURL("docker", namespace or None, name, version)
    return Component(
        type=ComponentType.CONTAINER,
        group=namespace or None,
        name=name,
        version=image.tag,
        bom_ref=str(purl),
        purl=purl,
        scope=ComponentScope.REQUIRED,
        hashes=[] if image.digest == UNKNOWN else [_sha256(image.digest.removeprefix("sha256:"))],
        properties=[Property(name="bookrunner:lock", value=str(IMAGES.relative_to(ROOT)))],
    )


def _sha256(hexadecimal: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hexadecimal)


def _license(stated: str) -> License:
    return LicenseFactory().make_from_string(stated, license_acknowledgement=LicenseAcknowledgement.DECLARED)


def _stated(locked_: locked.Component) -> str | None:
    """Return the licence that an installed package of this very version states, None if it states none."""
    try:
        found = metadata.metadata(locked_.name)
    except metadata.PackageNotFoundError:
        return None
    if found["Version"] != locked_.version:
        return None
    if "License-Expression" in found:
        return str(found["License-Expression"])
    named = [each for each in found.get_all("Classifier", []) if each.startswith(_OWN)]
    if len(named) == 1:
        return str(named[0].removeprefix(_OWN))
    stated = str(found["License"]).strip() if "License" in found else ""
    return stated if stated and len(stated) <= _LONGEST and "\n" not in stated else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
