"""Settings that every service shares; each service extends them with its own, once, in its ``__main__``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from environment variables named like the fields, in upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    kafka_bootstrap_servers: str = Field("127.0.0.1:19092", description="host:port[,host:port] of Kafka")
    kafka_wait_s: float = Field(60.0, gt=0, description="how long to wait for Kafka at the start, seconds")
    topic_partitions: int = Field(8, ge=1, le=1024, description="partitions of each topic at its creation")
    topic_replication: int = Field(1, ge=1, le=7, description="replicas of each topic at its creation")
    log_format: Literal["json", "console"] = Field(
        "json", description="one JSON object a line, or text for people"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level written")
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
