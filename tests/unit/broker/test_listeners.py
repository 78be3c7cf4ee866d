from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from broker.settings import BrokerSettings
from libs.common.loopback import is_loopback

PASSWORD = {
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "secret",
}
SASL_SSL = PASSWORD | {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_EXTRA_PROPERTIES": json.dumps({"ssl.keystore.location": "/broker.pem"}),
}
SSL = {
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "KAFKA_EXTRA_PROPERTIES": json.dumps(
        {"ssl.keystore.location": "/broker.pem", "ssl.truststore.location": "/ca.pem"}
    ),
}
CLEAR = PASSWORD | {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
BEYOND = {"KAFKA_HOST": "192.0.2.1"}


def extra(**properties: str) -> dict[str, str]:
    named = {name.replace("__", "."): value for name, value in properties.items()}
    return {"KAFKA_EXTRA_PROPERTIES": json.dumps(named)}


MIXED = extra(
    listeners="PLAINTEXT://127.0.0.1:1,SASL_SSL://127.0.0.1:2,CONTROLLER://127.0.0.1:3",
    listener__security__protocol__map="CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
)
CERTIFICATES_NOT_ASKED_FOR = SSL | extra(
    ssl__keystore__location="/broker.pem",
    ssl__truststore__location="/ca.pem",
    listener__name__client__ssl__client__auth="none",
)
OPEN_BEYOND = extra(listeners="PLAINTEXT://:1,CONTROLLER://127.0.0.1:3")


@pytest.mark.parametrize(
    "environment",
    [{}, SASL_SSL, SSL, CLEAR, BEYOND | SASL_SSL, BEYOND | SSL, BEYOND | {"PRIVATE_NETWORK": "true"}],
)
def test_what_lets_in_only_who_may_is_taken(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    BrokerSettings()


@pytest.mark.parametrize(
    ("environment", "right"),
    [
        (MIXED, "2 of 3 listeners .* let in whoever comes.*set KAFKA_SECURITY_PROTOCOL"),
        (CERTIFICATES_NOT_ASKED_FOR, "1 of 3 listeners"),
        (BEYOND, "beyond loopback the broker listens with TLS only.*SASL_SSL.*PRIVATE_NETWORK"),
        (BEYOND | CLEAR, "beyond loopback"),
        (OPEN_BEYOND, "beyond loopback"),
        ({"KAFKA_HOST": "kafka.example"}, "beyond loopback"),
        (SASL_SSL | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}, "KAFKA_SASL_MECHANISM must be PLAIN"),
        (SASL_SSL | {"KAFKA_EXTRA_PROPERTIES": "{}"}, "needs the broker's key and certificate"),
        (SSL | extra(ssl__keystore__location="/broker.pem"), "whose clients are let in"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN"},
            "needs KAFKA_SASL_USERNAME",
        ),
        (CLEAR | {"KAFKA_SASL_USERNAME": "native-broker"}, "the broker's own name"),
    ],
)
def test_what_leaves_a_door_open_is_refused_with_what_would_be_right(
    environment: dict[str, str], right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=right):
        BrokerSettings()


def test_only_this_machine_reaches_its_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "192.0.2.1", "kafka", "localhost.example")))  # noqa: S104
