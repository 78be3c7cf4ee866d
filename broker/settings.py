"""Settings of the native broker; each is an environment variable with the prefix ``KAFKA_``."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

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
        raise ValueError("is the broker's own (KAFKA_DATA_DIR says where the data is)")
    return name


class BrokerSettings(BaseSettings):
    """Where the broker listens, keeps its data and finds its jars."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", frozen=True, populate_by_name=True)

    host: Annotated[str, AfterValidator(_connectable)] = Field(
        "127.0.0.1", description="Address bound and advertised."
    )
    port: Port = Field(19092, description="Port for clients; 0 takes a free one.")
    controller_port: Port = Field(0, description="Port of the KRaft controller; 0 takes a free one.")
    run_dir: Path = Field(
        Path(".run"),
        validation_alias=AliasChoices("run_dir", "RUN_DIR"),
        description="Folder of everything a running system writes.",
    )
    data_dir: Path = Field(
        Path(), description="Folder of the topics, the settings handed to Kafka and its log; RUN_DIR/kafka."
    )
    jars_dir: Path = Field(
        default_factory=lambda: _cache_home() / "bookrunner" / "jars",
        description="Cache of Kafka's jars, shared by all checkouts.",
    )
    heap_mb: int = Field(512, ge=128, le=65536, description="Java heap, MiB.")
    java_options: str = Field("", description="Further options of Java, separated and quoted as in a shell.")
    extra_properties: dict[Annotated[str, AfterValidator(_changeable)], SecretStr] = Field(
        default_factory=dict,
        description="Further server.properties, as a JSON object; they win over the native broker's own.",
    )
    start_timeout_s: float = Field(120.0, gt=0, description="Longest wait for the first answer, seconds.")
    stop_timeout_s: float = Field(20.0, gt=0, description="Longest clean shutdown before a kill, seconds.")

    @property
    def data_setting(self) -> str:
        """The variable that moves the data folder: where nothing else is said it lies below RUN_DIR."""
        return "RUN_DIR" if self.data_dir == self.run_dir / "kafka" else "KAFKA_DATA_DIR"

    @model_validator(mode="before")
    @classmethod
    def _data_below_run_dir(cls, values: dict[str, object]) -> dict[str, object]:
        run_dir = values.get("run_dir") or values.get("RUN_DIR") or ".run"
        return {"data_dir": Path(str(run_dir)) / "kafka"} | values
