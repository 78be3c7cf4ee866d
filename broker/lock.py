"""
Write ``jars.lock`` anew: ``python -m broker.lock`` resolves Kafka's jars and hashes what it fetched.

Needed only to change the version of Kafka; the result is reviewed and committed.
"""

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from broker.jars import KAFKA_VERSION, LOCK_FILE, LockedJar

_ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:2.0.17",  # a real logging binding, so that Kafka's errors are seen
)


def resolve(cache: Path) -> list[LockedJar]:
    """Fetch every jar that the roots need at run time into `cache`."""
    context = MavenContext(repo_cache=cache)
    roots, transitive = context.resolver.resolve([context.create_dependency(root) for root in _ROOTS])
    needed = [
        *roots,
        *(dependency for dependency in transitive if dependency.scope in {"compile", "runtime"}),
    ]
    return sorted((_hashed(dependency.artifact) for dependency in needed), key=lambda jar: jar.coordinate)


def _hashed(artifact: Artifact) -> LockedJar:
    content = Path(artifact.resolve()).read_bytes()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return LockedJar(hashlib.sha256(content).hexdigest(), len(content), coordinate)


def main() -> None:
    """Resolve into a fresh folder, so that no stale or damaged cache is locked."""
    with tempfile.TemporaryDirectory() as cache:
        jars = resolve(Path(cache))
    lines = [f"{jar.sha256} {jar.size} {jar.coordinate}\n" for jar in jars]
    LOCK_FILE.write_text("# SHA-256, bytes, coordinate; written by: python -m broker.lock\n" + "".join(lines))


if __name__ == "__main__":
    main()
