"""Fixtures of every test that needs a Kafka; how they keep tests apart is told in `tests.kafka_cluster`."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from broker.native import NativeBroker
from tests import kafka_cluster

pytest_plugins = ["tests.skips"]

# No test asserts a time: on a busy machine a deadline fails what is right.
hypothesis.settings.register_profile(
    "untimed",
    parent=hypothesis.settings(),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of the one Kafka that all tests of a run share, whatever is in it."""
    with kafka_cluster.cluster() as bootstrap_servers:
        yield bootstrap_servers
        kafka_cluster.wipe(bootstrap_servers)


@pytest.fixture
def fresh_kafka(kafka: str) -> str:
    """Bootstrap servers of the shared Kafka, without topics; costs 0.1 s."""
    kafka_cluster.wipe(kafka)
    return kafka


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[NativeBroker]:
    """Start a broker that the test may `kill()`, `start()` and `restart()`; costs 4 s."""
    with kafka_cluster.native_broker(tmp_path) as broker:
        yield broker
