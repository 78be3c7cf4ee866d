"""The class cache of Java: made once, used by every later start, and never in the way of one."""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import class_cache, readiness
from broker.jars import classpath
from broker.native import NativeBroker
from broker.settings import BrokerSettings
from broker.training import ensure_class_cache
from tests.kafka_cluster import native_broker

FIRST_CLASSES = 70_000  # bytes; before them stands what Java checks anyway


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a cache of its own, beside whatever this Python has already."""
    folder = tmp_path_factory.mktemp("python with a space")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.prefix", str(folder))
        (folder / "kafka-0123456789abcdef.aot").touch()  # of a former Kafka
        jars_dir = BrokerSettings().jars_dir
        jars = classpath(jars_dir, print)
        told = list[str]()
        assert class_cache.options(jars) == []
        ensure_class_cache(jars, jars_dir, told.append)
        ensure_class_cache(jars, jars_dir, told.append)
        assert told == ["preparing Java for quick starts of Kafka, once"]
        assert [path.name for path in folder.iterdir()] == [class_cache.cache_file(jars).name]
        yield class_cache.cache_file(jars)


def started(broker: NativeBroker) -> float:
    """Start and stop it; return the CPU seconds that Java had used when it answered."""
    with broker:
        assert readiness.answers("127.0.0.1", int(broker.bootstrap_servers.split(":")[1]))
        fields = Path(f"/proc/{broker.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def complaints(folder: Path) -> list[str]:
    log = (folder / "kafka" / "server.log").read_text()
    return re.findall(r"An error has occurred while processing the AOT cache", log)


def test_a_start_with_the_cache_takes_less_than_two_thirds_of_the_work(cache: Path, tmp_path: Path) -> None:
    with_cache = started(native_broker(tmp_path / "with"))
    kept = cache.rename(cache.with_suffix(".kept"))
    without = started(native_broker(tmp_path / "without"))
    kept.rename(cache)
    assert complaints(tmp_path / "with") == []
    assert with_cache < without * 2 / 3


def test_kafka_starts_on_a_cache_whose_bytes_were_changed(cache: Path, tmp_path: Path) -> None:
    intact = cache.read_bytes()
    damaged = bytearray(intact)
    for at in random.Random(0).sample(range(FIRST_CLASSES, len(damaged)), 2000):
        damaged[at] ^= 0xFF
    cache.write_bytes(damaged)
    started(native_broker(tmp_path))
    cache.write_bytes(intact)
    assert complaints(tmp_path) != []


def test_kafka_starts_on_a_cache_of_half_its_length(cache: Path, tmp_path: Path) -> None:
    intact = cache.read_bytes()
    cache.write_bytes(intact[: len(intact) // 2])
    started(native_broker(tmp_path))
    cache.write_bytes(intact)
    assert complaints(tmp_path) != []
