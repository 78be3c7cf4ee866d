"""The storage that is formatted here is the one that Kafka's own tool would have made."""

import struct
from pathlib import Path

from broker.jars import classpath
from broker.lock import formatted_by_kafka
from broker.settings import BrokerSettings
from broker.storage import BOOTSTRAP, format_once


def test_a_new_cluster_has_the_features_that_kafkas_own_tool_gives_it(tmp_path: Path) -> None:
    theirs = formatted_by_kafka(classpath(BrokerSettings().jars_dir, print), tmp_path)
    format_once(ours := tmp_path / "ours")
    assert untimed((ours / BOOTSTRAP.name).read_bytes()) == untimed((theirs / BOOTSTRAP.name).read_bytes())
    assert b"transaction.version" in (ours / BOOTSTRAP.name).read_bytes()
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    assert names_in(ours / "meta.properties") == names_in(theirs / "meta.properties")


def untimed(batches: bytes) -> list[tuple[bytes, bytes]]:
    """Return record batches without their checksums and timestamps (KIP-98, message format 2)."""
    found = []
    while batches:
        end = 12 + struct.unpack_from(">i", batches, 8)[0]
        header, records = batches[:57], batches[57:end]
        found.append((header[:17] + header[21:27] + header[43:], records))
        batches = batches[end:]
    return found


def names_in(properties: Path) -> set[str]:
    lines = properties.read_text(encoding="ascii").splitlines()
    return {line.partition("=")[0] for line in lines if not line.startswith("#")}
