"""Settings that every service shares; each service extends them with its own, once, in its ``__main__``."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 -- this module's annotations are read at run time
from inspect import get_annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from libs.common.loopback import exposed, is_loopback
from libs.common.venues import VENUES, UnknownVenueError, venue_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import PydanticBaseSettingsSource

NAME: Final = r"^[A-Za-z0-9._-]{1,64}$"
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")

SASL: tuple[str, ...] = ("SASL_PLAINTEXT", "SASL_SSL")
TLS: tuple[str, ...] = ("SSL", "SASL_SSL")


class PermanentError(Exception):
    """What no restart can mend: somebody must change a setting, or what it speaks of; the text says which."""


class Settings(BaseSettings):
    """Read from environment variables: the `env_prefix` of the class that declares the field, and its name.

    An error names the field and what would be right, never the value: it may be a secret.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable that a field is read from."""
        declaring = next(kind for kind in cls.__mro__ if field in get_annotations(kind))
        prefix: str = getattr(declaring, "model_config", {}).get("env_prefix", "")
        return f"{prefix}{field}".upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- knows one prefix for a class and its parents
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what is given by name, then the environment."""
        return init_settings, _Environment(settings_cls), dotenv_settings, file_secret_settings


class _Environment(EnvSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = self.settings_cls.variable(field_name)  # type: ignore[attr-defined]
        return self.env_vars.get(variable.lower()), field_name, self.field_is_complex(field)


def _known_venue(text: str) -> str:
    try:
        return venue_of(text).venue
    except UnknownVenueError:
        raise ValueError(f"it names no venue; known: {', '.join(VENUES)}") from None


VenueId: TypeAlias = Annotated[str, AfterValidator(_known_venue)]


class ProcessSettings(Settings):
    """How a process logs, and who can reach it."""

    log_format: Literal["json", "console"] = Field(
        "json", description="one JSON object a line, or text for people"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level written")
    private_network: bool = Field(
        False,  # noqa: FBT003 -- a default, not an argument
        description="whether this process's addresses are reachable only from a network of its own, or "
        "published on loopback only, as docker-compose.yml does: then it may listen beyond loopback "
        "without a token",
    )


class ServiceSettings(ProcessSettings):
    """What every service needs to know of Kafka, its topics and its metrics."""

    kafka_bootstrap_servers: str = Field("127.0.0.1:19092", description="host:port[,host:port] of Kafka")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how Kafka is spoken to: SSL encrypts, SASL says who is speaking"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="how the password is proven; PLAIN sends it, so take SASL_SSL with it"
    )
    kafka_sasl_username: str | None = Field(None, min_length=1, description="who we are to Kafka")
    kafka_sasl_password: SecretStr | None = Field(None, min_length=1, description="and its password")
    kafka_ssl_cafile: FilePath | None = Field(
        None, description="PEM of whom we trust to vouch for Kafka; without it, whom the system trusts"
    )
    kafka_ssl_certfile: FilePath | None = Field(
        None, description="PEM of our own certificate, where Kafka asks for one; its chain may follow it"
    )
    kafka_ssl_keyfile: FilePath | None = Field(None, description="PEM of its key, without a passphrase")
    kafka_wait_s: float = Field(60.0, gt=0, description="how long to wait for Kafka at the start, seconds")
    topic_partitions: int = Field(8, ge=1, le=1024, description="partitions of each topic at its creation")
    topic_replication: int = Field(1, ge=1, le=7, description="replicas of each topic at its creation")
    metrics_host: str = Field("127.0.0.1", description="address on which Prometheus metrics are served")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="port of the Prometheus metrics; 0: a free one if METRICS_TARGETS_DIR is set, else none",
    )
    metrics_targets_dir: str = Field(
        "", description="folder for a file that tells Prometheus where this process serves its metrics"
    )

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for place, server in enumerate(value.split(","), 1):
            if not _SERVER.fullmatch(server.strip()):
                raise ValueError(f"place {place} is not host:port, as 127.0.0.1:19092 or [::1]:19092")
        return value

    @model_validator(mode="after")
    def _keep_metrics_to_this_machine(self) -> Self:
        served = self.metrics_port != 0 or self.metrics_targets_dir != ""
        if served and not self.private_network and not is_loopback(self.metrics_host):
            raise ValueError(exposed("METRICS_HOST", "read what this process does"))
        return self

    @model_validator(mode="after")
    def _agree_on_kafka(self) -> Self:
        protocol = self.kafka_security_protocol
        sasl = {
            "KAFKA_SASL_MECHANISM": self.kafka_sasl_mechanism,
            "KAFKA_SASL_USERNAME": self.kafka_sasl_username,
            "KAFKA_SASL_PASSWORD": self.kafka_sasl_password,
        }
        files = {
            "KAFKA_SSL_CAFILE": self.kafka_ssl_cafile,
            "KAFKA_SSL_CERTFILE": self.kafka_ssl_certfile,
            "KAFKA_SSL_KEYFILE": self.kafka_ssl_keyfile,
        }
        if protocol in SASL and (missing := _names(sasl, given=False)):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL with SASL needs {missing} too: set them, or take "
                f"{'SSL' if protocol in TLS else 'PLAINTEXT'}"
            )
        if protocol not in SASL and (needless := _names(sasl, given=True)):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL does not say who is speaking, but {needless} is set: "
                "take SASL_SSL (SASL_PLAINTEXT without TLS), or unset it"
            )
        if protocol not in TLS and (needless := _names(files, given=True)):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL does not encrypt, but {needless} is set: "
                f"take {'SASL_SSL' if protocol in SASL else 'SSL'}, or unset it"
            )
        if (self.kafka_ssl_certfile is None) != (self.kafka_ssl_keyfile is None):
            raise ValueError(
                "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE belong together: set both, or neither where Kafka "
                "asks for no certificate of its clients"
            )
        return self


class ReplicaSettings(ServiceSettings):
    """Settings of a service that shares its partitions among replicas."""

    group_instance_id: str = Field(
        "0", pattern=NAME, description="unique and stable per replica of the service"
    )

    def process_of(self, service: str) -> str:
        """Return how this process of a service is called: `router`, or `router-2`."""
        return service if self.group_instance_id == "0" else f"{service}-{self.group_instance_id}"


class ProcessorSettings(ReplicaSettings):
    """Settings of a stateful service."""

    batch_records: int = Field(100, ge=1, le=10_000, description="most records of one transaction")


def _names(settings: Mapping[str, object], *, given: bool) -> str:
    return ", ".join(name for name, value in settings.items() if (value is not None) == given)
