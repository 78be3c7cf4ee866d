"""Settings of the native broker."""

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from broker.listeners import SASL, TLS, fault_of, listeners_of
from broker.server_properties import OWN_NAME, Secured, properties_of
from libs.common.settings import Settings

# Its storage is formatted for these.
_FIXED_PROPERTIES = frozenset(
    {"broker.id", "log.dir", "log.dirs", "metadata.log.dir", "node.id", "process.roles"}
)

Port = Annotated[int, Field(ge=0, le=65535)]


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _connectable(host: str) -> str:
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared with, never bound to
        raise ValueError("must be an address that clients can connect to, such as 127.0.0.1")
    return host


def _changeable(name: str) -> str:
    if name in _FIXED_PROPERTIES:
        raise ValueError(f"{name} is the broker's own (KAFKA_DATA_DIR says where the data is)")
    return name


class JarSettings(Settings):
    """Where Kafka's jars are; all that who runs no broker needs to know."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    jars_dir: Path = Field(
        default_factory=lambda: _cache_home() / "bookrunner" / "jars",
        description="Cache of Kafka's jars, shared by all checkouts.",
    )


class _Shared(Settings):
    run_dir: Path = Field(Path(".run"), description="Folder of everything a running system writes.")
    private_network: bool = Field(
        default=False,
        description="whether everybody who can connect to KAFKA_HOST may, without TLS and a password",
    )


class BrokerSettings(JarSettings, _Shared):
    """Where the broker listens, who may come in, and where it keeps its data."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    host: Annotated[str, AfterValidator(_connectable)] = Field(
        "127.0.0.1", description="Address bound and advertised."
    )
    port: Port = Field(19092, description="Port for clients; 0 takes a free one.")
    controller_port: Port = Field(0, description="Port of the KRaft controller; 0 takes a free one.")
    data_dir: Path = Field(
        Path(), description="Folder of the topics, the settings handed to Kafka and its log; RUN_DIR/kafka."
    )
    heap_mb: int = Field(512, ge=128, le=65536, description="Java heap, MiB.")
    java_options: str = Field("", description="Further options of Java, separated and quoted as in a shell.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        description="how clients speak to it; with all but PLAINTEXT every listener asks who is there",
    )
    sasl_mechanism: str | None = Field(None, description="PLAIN, with SASL")
    sasl_username: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,64}$", description="who may come in, with SASL"
    )
    sasl_password: SecretStr | None = Field(None, min_length=1, description="and by which password")
    extra_properties: Annotated[dict[Annotated[str, AfterValidator(_changeable)], SecretStr], NoDecode] = (
        Field(
            default_factory=dict,
            description="Further server.properties, as a JSON object; they win over the native broker's own.",
        )
    )
    start_timeout_s: float = Field(120.0, gt=0, description="Longest wait for the first answer, seconds.")
    stop_timeout_s: float = Field(20.0, gt=0, description="Longest clean shutdown before a kill, seconds.")

    @property
    def data_setting(self) -> str:
        """The variable that moves the data folder: where nothing else is said it lies below RUN_DIR."""
        return "RUN_DIR" if self.data_dir == self.run_dir / "kafka" else "KAFKA_DATA_DIR"

    @property
    def secret_values(self) -> list[str]:
        """What nobody is to read in a log."""
        password = [] if self.sasl_password is None else [self.sasl_password]
        return [each.get_secret_value() for each in (*self.extra_properties.values(), *password)]

    def secured(self, own_port: int, own_password: str) -> Secured | None:
        """Return how clients say who they are; None where everybody is let in."""
        if self.security_protocol == "PLAINTEXT":
            return None
        password = "" if self.sasl_password is None else self.sasl_password.get_secret_value()
        return Secured(self.security_protocol, own_port, own_password, self.sasl_username or "", password)

    def properties(self, port: int, controller_port: int, secured: Secured | None) -> dict[str, str]:
        """Return what the broker goes by, but for where its data lies."""
        extra = {name: value.get_secret_value() for name, value in self.extra_properties.items()}
        return properties_of(
            host=self.host, port=port, controller_port=controller_port, extra=extra, secured=secured
        )

    @field_validator("java_options")
    @classmethod
    def _can_be_split(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            raise ValueError(f"it is not quoted as in a shell: {error}") from None
        return value

    @field_validator("extra_properties", mode="before")
    @classmethod
    def _are_texts(cls, value: object) -> object:
        right = 'a JSON object of texts, as {"num.io.threads": "2"}'
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:  # its text has the value
                raise ValueError(f"it is no JSON: write {right}") from None
        if not isinstance(value, dict):
            raise ValueError(f"it must be {right}")  # noqa: TRY004 -- pydantic takes a ValueError
        for place, each in enumerate(value.values(), 1):
            if not isinstance(each, str | SecretStr):
                raise ValueError(f"the value in place {place} is no text: write {right}")  # noqa: TRY004 -- as above
        return value

    @model_validator(mode="after")
    def _has_what_its_protocol_needs(self) -> Self:
        protocol, given = self.security_protocol, self.extra_properties.keys()
        if protocol in SASL and self.sasl_mechanism != "PLAIN":
            raise ValueError(
                "KAFKA_SASL_MECHANISM must be PLAIN for the native broker, which knows its one user from "
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; with SASL_SSL the password is encrypted"
            )
        if protocol in SASL and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(
                "KAFKA_SECURITY_PROTOCOL with SASL needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD too"
            )
        if self.sasl_username == OWN_NAME:
            raise ValueError("KAFKA_SASL_USERNAME is the broker's own name: take another one")
        if protocol in TLS and not any("ssl.keystore." in name for name in given):
            raise ValueError(
                "KAFKA_SECURITY_PROTOCOL with TLS needs the broker's key and certificate: "
                'KAFKA_EXTRA_PROPERTIES={"ssl.keystore.type": "PEM", "ssl.keystore.location": "PATH"}'
            )
        if protocol == "SSL" and not any("ssl.truststore." in name for name in given):
            raise ValueError(
                "KAFKA_SECURITY_PROTOCOL with SSL alone needs the authority whose clients are let in: "
                'KAFKA_EXTRA_PROPERTIES={"ssl.truststore.type": "PEM", "ssl.truststore.location": "PATH", …}'
            )
        return self

    @model_validator(mode="after")
    def _lets_in_only_who_may(self) -> Self:
        listeners = listeners_of(self.properties(1, 2, self.secured(3, "")))
        if (fault := fault_of(listeners, private_network=self.private_network)) is not None:
            raise ValueError(fault)
        return self

    @model_validator(mode="before")
    @classmethod
    def _data_below_run_dir(cls, values: dict[str, object]) -> dict[str, object]:
        return {"data_dir": Path(str(values.get("run_dir") or ".run")) / "kafka"} | values
