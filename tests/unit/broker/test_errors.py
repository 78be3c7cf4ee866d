import pytest

from broker.errors import PortTakenError, cause_in

FACTS = {
    "data_dir": "/d",
    "setting": "RUN_DIR",
    "jars_dir": "/j",
    "port": 1,
    "controller_port": 2,
    "heap_mb": 512,
}


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("java.io.IOException: No space left on device", "set RUN_DIR"),
        ("java.nio.file.AccessDeniedException: /d/logs", "/d is not writable"),
        (
            "org.apache.kafka.common.KafkaException: Socket server failed to bind: Address already in use",
            "KAFKA_PORT",
        ),
        ("KafkaException: Failed to acquire lock on file .lock in /d/logs.", "another Kafka already uses /d"),
        ("Error: Could not reserve enough space for 524288KB object heap", "KAFKA_HEAP_MB (now 512)"),
        ("Error: Could not find or load main class kafka.Kafka", "remove /j"),
        (
            "java.lang.RuntimeException: Invalid cluster.id: doesn't match stored clusterId",
            "/d is of another cluster",
        ),
    ],
)
def test_a_known_failure_is_told_with_what_to_do(line: str, advice: str) -> None:
    cause = cause_in(f"2026-01-01 00:00:00.000 [INFO] Starting\n{line}\n\tat kafka.Kafka.main", **FACTS)
    assert cause is not None
    assert advice in cause


def test_an_unknown_failure_has_no_invented_cause() -> None:
    assert cause_in("2026-01-01 00:00:00.000 [ERROR] something new", **FACTS) is None


def test_a_taken_port_names_the_port_and_its_setting() -> None:
    assert str(PortTakenError("127.0.0.1", 19092, "KAFKA_PORT")) == (
        "port 19092 on 127.0.0.1 is taken: stop the program that uses it, or set KAFKA_PORT to a free port"
    )
