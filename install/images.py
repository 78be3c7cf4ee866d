"""
The images that ours is built on and runs beside: ``images.lock`` names each with its tag and its digest.

``python -m install.images [REGISTRY]`` asks the registry for the digests, and writes them into the lock, the
Dockerfile and docker-compose.yml, where each image stands as the default of a variable. Where the registry
cannot be reached all stays as it is.

References
----------
https://distribution.github.io/distribution/spec/api/ (2026-11)
https://distribution.github.io/distribution/spec/auth/token/ (2026-11)
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import requests

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "container" / "images.lock"
USERS: Final = ("Dockerfile", "docker-compose.yml")
VARIABLES: Final = {"python": "PYTHON_IMAGE", "apache/kafka": "KAFKA_IMAGE"}
REGISTRY: Final = "https://registry-1.docker.io"
UNKNOWN: Final = "-"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_INDEX: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
_CHALLENGE: Final = re.compile(r'(realm|service|scope)="([^"]*)"')
_HEAD: Final = (
    "# image, tag, digest of its index at the registry; - where it has not been asked. "
    "Written by: python -m install.images\n"
)
_PATIENCE_S: Final = 15.0


class Image(NamedTuple):
    """A line of the lock."""

    name: str
    tag: str
    digest: str  # sha256:..., or UNKNOWN

    @property
    def reference(self) -> str:
        """Return it as an engine takes it: with a digest, no other image passes for it."""
        bare = f"{self.name}:{self.tag}"
        return bare if self.digest == UNKNOWN else f"{bare}@{self.digest}"


class UnresolvedError(Exception):
    """The registry did not tell a digest."""


def main(arguments: Sequence[str] = ()) -> int:
    """Return 0, also where the registry cannot be reached; 1 where it tells no digest."""
    registry = arguments[0] if arguments else REGISTRY
    images = read_images(LOCK.read_text(encoding="utf-8"))
    try:
        images = [image._replace(digest=resolve(registry, image)) for image in images]
    except requests.ConnectionError:
        kept = ", ".join(image.reference for image in images)
        sys.stderr.write(f"{registry} cannot be reached from here: the images stay as they are ({kept})\n")
        return 0
    except (UnresolvedError, requests.RequestException) as error:
        sys.stderr.write(f"{registry}: {error}\n")
        return 1
    LOCK.write_text(written(images), encoding="utf-8")
    for name in USERS:
        path = ROOT / name
        path.write_text(renewed(path.read_text(encoding="utf-8"), images), encoding="utf-8")
    return 0


def read_images(text: str) -> list[Image]:
    """
    Read a lock.

    Raises
    ------
    ValueError
        If a line is no image, tag and digest.
    """
    images = [Image(*line.split()) for line in text.splitlines() if line and not line.startswith("#")]
    for image in images:
        if image.digest != UNKNOWN and not _DIGEST.fullmatch(image.digest):
            raise ValueError(
                f"{image.digest!r} of {image.name} is no digest: sha256: and 64 hex digits, or -"
            )
    return images


def written(images: Sequence[Image]) -> str:
    """Return the lock of these."""
    return _HEAD + "".join(f"{' '.join(image)}\n" for image in images)


def renewed(text: str, images: Sequence[Image]) -> str:
    """Return a Dockerfile or compose file whose variables have these images as defaults."""
    for image in images:
        variable = VARIABLES[image.name]
        default = rf"(^ARG {variable}=|\$\{{{variable}:-)[^\s}}]*"
        text = re.sub(default, rf"\g<1>{image.reference}", text, flags=re.MULTILINE)
    return text


def resolve(registry: str, image: Image) -> str:
    """
    Return the digest of what the tag names at the registry now, for all machines.

    Raises
    ------
    UnresolvedError
        If it tells none.
    requests.RequestException
        If it does not answer.
    """
    path = image.name if "/" in image.name else f"library/{image.name}"
    address = f"{registry}/v2/{path}/manifests/{image.tag}"
    headers = {"Accept": _INDEX}
    with requests.Session() as session:
        reply = session.head(address, headers=headers, timeout=_PATIENCE_S)
        if reply.status_code == requests.codes.unauthorized:
            asked = dict(_CHALLENGE.findall(reply.headers.get("WWW-Authenticate", "")))
            realm = asked.pop("realm", "")
            token = session.get(realm, params=asked, timeout=_PATIENCE_S).json().get("token", "")
            headers["Authorization"] = f"Bearer {token}"
            reply = session.head(address, headers=headers, timeout=_PATIENCE_S)
        reply.raise_for_status()
    digest: str = reply.headers.get("Docker-Content-Digest", "")
    if not _DIGEST.fullmatch(digest):
        raise UnresolvedError(f"it tells no digest of {image.name}:{image.tag}, but {digest!r}")
    return digest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
