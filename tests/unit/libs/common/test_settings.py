"""The settings of every program: as people set them, and what is said of wrong ones."""

from __future__ import annotations

import io
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from broker.settings import BrokerSettings
from libs.common import log
from libs.common.settings import ServiceSettings, Settings
from tests.settings_classes import all_settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SURFACE = Path(__file__).with_name("settings_surface.txt")
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "pattern")
SECRET = "unguessable-k7Rq2vXw"  # noqa: S105 -- what must not be found anywhere
SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": SECRET,
}


class Shared(Settings):
    shared: int = 0


class Prefixed(Shared):
    model_config = SettingsConfigDict(env_prefix="PREFIXED_")
    own: int = 0


def given(monkeypatch: pytest.MonkeyPatch, **environment: str) -> ServiceSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return ServiceSettings()


def default_of(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return json.dumps(str(value) if isinstance(value, Path | Decimal) else value)


def surface() -> list[str]:
    """Return what people set: each variable with its default and bounds, and the programs that read it."""
    readers: dict[str, list[str]] = {}
    for kind in sorted(all_settings(), key=lambda kind: kind.__name__):
        if kind.__subclasses__():
            continue
        for name, field in kind.model_fields.items():
            bounds = {(b, getattr(each, b, None)) for each in field.metadata for b in BOUNDS}
            said = [f"{bound}={value}" for bound, value in sorted(bounds, key=str) if value is not None]
            default = '"CACHE/bookrunner/jars"' if name == "jars_dir" else default_of(field)
            row = " ".join([kind.variable(name), default, *said])
            readers.setdefault(row, []).append(kind.__name__.removesuffix("Settings"))
    return [f"{row}: {' '.join(kinds)}" for row, kinds in sorted(readers.items())]


def test_no_variable_default_or_bound_that_people_rely_on_changes_unnoticed() -> None:
    assert surface() == SURFACE.read_text().splitlines()


def test_a_field_is_read_from_the_variable_with_the_prefix_of_the_class_that_declares_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFIXED_OWN", "1")
    monkeypatch.setenv("SHARED", "2")
    monkeypatch.setenv("PREFIXED_SHARED", "3")
    monkeypatch.setenv("OWN", "4")
    assert Prefixed() == Prefixed(shared=2, own=1)


def test_every_address_that_is_listened_on_is_loopback_unless_told_otherwise() -> None:
    found = {
        kind.variable(name): field.default
        for kind in all_settings()
        for name, field in kind.model_fields.items()
        if kind.variable(name).endswith("_HOST")
    }
    assert set(found) == {"GATEWAY_HOST", "KAFKA_HOST", "METRICS_HOST", "SIMULATOR_HOST"}
    assert set(found.values()) == {"127.0.0.1"}, found


def test_every_setting_that_sounds_like_a_secret_is_kept_as_one_and_has_no_default() -> None:
    found = [
        (kind.__name__, kind.variable(name), field)
        for kind in all_settings()
        for name, field in kind.model_fields.items()
        if any(word in name for word in ("password", "token", "secret", "api_key", "webhook_url"))
    ]
    assert {variable for _, variable, _ in found} == {
        "KAFKA_SASL_PASSWORD",
        "GATEWAY_TOKEN",
        "GATEWAY_WEBHOOK_SECRET",
        "ALERT_WEBHOOK_URL",
    }
    for kind, variable, field in found:
        assert "SecretStr" in repr(field.annotation), (kind, variable)
        assert field.default is None, (kind, variable)


def test_no_settings_show_a_secret_when_shown_logged_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SASL | {"GATEWAY_TOKEN": SECRET}).items():
        monkeypatch.setenv(name, value)
    properties = {"sasl.jaas.config": SECRET, "ssl.keystore.location": SECRET}
    monkeypatch.setenv("KAFKA_EXTRA_PROPERTIES", json.dumps(properties))
    holding = 0
    for kind in all_settings():
        settings = kind()
        written = io.StringIO()
        record = logging.makeLogRecord({"msg": "started", "settings": settings, "levelname": "INFO"})
        log.create_handler("test", "json", written).emit(record)
        shown = (repr(settings), str(settings), settings.model_dump_json(), written.getvalue())
        assert not any(SECRET in text for text in shown), kind
        holding += "**********" in shown[0]
    assert holding >= 8  # each service, the command and the broker

    monkeypatch.setenv("KAFKA_WAIT_S", "-1")
    for kind in all_settings():
        if issubclass(kind, ServiceSettings):
            with pytest.raises(ValidationError) as refused:
                kind()
            assert SECRET not in str(refused.value)
            assert "kafka_wait_s" in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "right"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            "needs KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD too: set them, or take SSL",
        ),
        (
            SASL | {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"},
            "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD is set: take SASL_SSL",
        ),
        ({"KAFKA_SASL_USERNAME": "me"}, "KAFKA_SASL_USERNAME is set: take SASL_SSL"),
        (SASL | {"KAFKA_SASL_PASSWORD": ""}, "at least 1"),
        (SASL | {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ({"KAFKA_SSL_CAFILE": "FILE"}, "does not encrypt, but KAFKA_SSL_CAFILE is set: take SSL"),
        (
            SASL | {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CAFILE": "FILE"},
            "KAFKA_SSL_CAFILE is set: take SASL_SSL",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTFILE": "FILE"}, "belong together"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": "/no/such"}, "does not point to a file"),
    ],
)
def test_settings_of_kafka_that_contradict_each_other_are_refused_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], right: str
) -> None:
    file = tmp_path / "some.pem"
    file.write_text("")
    named = {name: str(file) if value == "FILE" else value for name, value in environment.items()}
    with pytest.raises(ValidationError) as refused:
        given(monkeypatch, **named)
    assert right in str(refused.value)
    assert SECRET not in str(refused.value)


def test_without_settings_kafka_is_spoken_to_in_the_clear() -> None:
    assert ServiceSettings().kafka_security_protocol == "PLAINTEXT"


def test_settings_that_agree_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, **SASL)
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == SECRET


def test_further_properties_of_the_broker_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_EXTRA_PROPERTIES", '{"num.io.threads": "2"}')
    assert BrokerSettings().extra_properties["num.io.threads"].get_secret_value() == "2"
