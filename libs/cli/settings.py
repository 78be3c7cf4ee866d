"""Settings of the command: those of the services, and where each process of a running system listens."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from libs.common.settings import ServiceSettings


class CliSettings(ServiceSettings):
    """Read from the same environment variables that `make run` reads."""

    gateway_host: str = Field("127.0.0.1", description="address of the gateway")
    gateway_port: int = Field(5000, ge=1, le=65535, description="port of the gateway")
    simulator_host: str = Field("127.0.0.1", description="address of the simulator")
    simulator_port: int = Field(5100, ge=1, le=65535, description="port of the simulator")
    feed: str = Field("simulator", description="`live`, `replay:PATH`, or the simulator")
    run_dir: Path = Field(Path(".run"), description="folder of everything a running system writes")
