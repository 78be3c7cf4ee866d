"""Settings of the command: those of the services, and where each process of a running system listens.

Addresses that the environment names win; the others are those of the running system that fits them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import Field, SecretStr

from libs.cli.errors import UsageError
from libs.cli.run_folder import DEFAULT, RunFolder, host_and_port
from libs.cli.running import System, systems
from libs.common.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ADDRESSES: Final = (
    "kafka_bootstrap_servers",
    "gateway_host",
    "gateway_port",
    "simulator_host",
    "simulator_port",
    "feed",
)


class CliSettings(ServiceSettings):
    """Read from the same environment variables that `make run` reads."""

    gateway_host: str = Field("127.0.0.1", description="address of the gateway")
    gateway_port: int = Field(5000, ge=1, le=65535, description="port of the gateway")
    simulator_host: str = Field("127.0.0.1", description="address of the simulator")
    simulator_port: int = Field(5100, ge=1, le=65535, description="port of the simulator")
    feed: str = Field("simulator", description="`live`, `replay:PATH`, or the simulator")
    gateway_token: SecretStr | None = Field(None, description="that of the gateway; else RUN_DIR/token")
    run_dir: Path = Field(DEFAULT, description="folder of everything a running system writes")

    @classmethod
    def of_running_system(cls) -> Self:
        """Read the environment, and fill in where the running system that fits it answers.

        Raises
        ------
        UsageError
            If several fit; the message lists them.
        ValidationError
            If a setting is wrong.
        """
        said = cls()
        run_dir = said.run_dir if "run_dir" in said.model_fields_set else None
        explicit: dict[str, object] = {
            name: getattr(said, name) for name in ADDRESSES if name in said.model_fields_set
        }
        system = chosen(fitting(systems(said.run_dir), explicit, run_dir))
        if system is None:
            return said
        found = {name: getattr(system.addresses, name) for name in ADDRESSES if name not in explicit}
        return cls(**found, run_dir=system.folder.root)

    def bearer(self) -> str | None:
        """Return the token of the gateway: as set, else as the running system left it, if it did."""
        if self.gateway_token is not None and self.gateway_token.get_secret_value() != "auto":
            return self.gateway_token.get_secret_value()
        try:
            return RunFolder(self.run_dir).token.read_text(encoding="ascii").strip()
        except OSError:
            return None

    def export(self) -> None:
        """Tell the addresses to a program that takes this process over."""
        os.environ |= {name.upper(): str(getattr(self, name)) for name in ADDRESSES}
        address = host_and_port(self.simulator_host, self.simulator_port)
        os.environ.setdefault("SIMULATOR_URL", f"http://{address}")


def fitting(running: Sequence[System], explicit: Mapping[str, object], run_dir: Path | None) -> list[System]:
    """Return the systems that answer, and run in the folder, that the environment names, if it names any."""
    return [
        system
        for system in running
        if all(getattr(system.addresses, name) == value for name, value in explicit.items())
        and run_dir in {None, system.folder.root, Path(os.path.relpath(system.folder.root))}
    ]


def chosen(fit: Sequence[System]) -> System | None:
    """Return the one system there is, None if there is none.

    Raises
    ------
    UsageError
        If there are several.
    """
    if len(fit) > 1:
        listed = "".join(f"\n  {system}" for system in fit)
        raise UsageError(
            f"{len(fit)} systems run: say which by its RUN_DIR, as RUN_DIR=… bookrunner …{listed}"
        )
    return fit[0] if fit else None
