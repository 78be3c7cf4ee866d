"""What would keep `make run` from running, found before anything is started or changed."""

from __future__ import annotations

import importlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsError

from broker import ports
from broker.data_folder import DataFolder
from broker.errors import BrokerError, PortTakenError
from broker.setting_errors import sentences
from broker.settings import BrokerSettings
from libs.cli.run_folder import DEFAULT, RunFolder, RunFolderError
from libs.cli.running import folders
from libs.common.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# libs may not import services, whose settings are theirs: they are looked up by name.
SETTINGS: Final[Mapping[str, str]] = {
    "simulator.settings": "SimulatorSettings",
    "services.l2.settings": "L2Settings",
    "services.venues.settings": "VenuesSettings",
    "services.gateway.settings": "GatewaySettings",
    "services.portfolio.settings": "PortfolioSettings",
    "services.router.settings": "RouterSettings",
    "services.execution.settings": "ExecutionSettings",
    "services.policies.settings": "PoliciesSettings",
    "services.context.settings": "ContextSettings",
    "services.execution.autopilot": "AutopilotSettings",
    "broker.settings": "BrokerSettings",
}
REPLAY: Final = "replay:"
PORT_STEP: Final = 10
LAST_PORT: Final = 65_535


class RefusedError(Exception):
    """The system cannot run as it is set up; each element is a sentence for the person at the terminal."""

    def __init__(self, *said: str) -> None:
        super().__init__(*said)
        self.sentences = said


class RunSettings(Settings):
    """What `make run` itself needs to know; the rest are the settings of the programs that it starts."""

    feed: str = Field("simulator", description="`live`, `replay:PATH[,PATH2]`, or the simulator")
    run_dir: Path = Field(DEFAULT, description="folder of everything a running system writes")
    gateway_host: str = Field("127.0.0.1", description="address of the gateway")
    gateway_port: int = Field(5000, ge=1, le=LAST_PORT, description="port of the gateway")
    gateway_token: SecretStr | None = Field(None, description="`auto`: make one, in RUN_DIR/token")
    kafka_host: str = Field("127.0.0.1", description="address of Kafka")
    kafka_port: int = Field(19092, ge=1, le=LAST_PORT, description="port of Kafka")
    simulator_host: str = Field("127.0.0.1", description="address of the simulator")
    simulator_port: int = Field(5100, ge=1, le=LAST_PORT, description="port of the simulator")
    l2_books: str = Field("", description="venue:symbol[,venue:symbol]; those of the feed")
    policies_dir: str = Field("", description="folder of policies to host; empty: none")

    @property
    def simulated(self) -> bool:
        """Whether the simulator is one of the programs."""
        return self.feed != "live"

    @property
    def policies_folder(self) -> Path | None:
        """Folder of policies, from wherever it is looked at."""
        return Path(self.policies_dir).absolute() if self.policies_dir else None

    @property
    def makes_token(self) -> bool:
        """Whether a token is to be made."""
        return self.gateway_token is not None and self.gateway_token.get_secret_value() == "auto"

    @property
    def listeners(self) -> Mapping[str, tuple[str, int]]:
        """Host and port of each program that others connect to, by the variable that moves the port."""
        simulator = {"SIMULATOR_PORT": (self.simulator_host, self.simulator_port)} if self.simulated else {}
        return {
            "GATEWAY_PORT": (self.gateway_host, self.gateway_port),
            "KAFKA_PORT": (self.kafka_host, self.kafka_port),
            **simulator,
        }


def check_settings() -> RunSettings:
    """Read the settings of every program as it will read them.

    Raises
    ------
    RefusedError
        With a sentence for each that is wrong.
    """
    try:
        settings = RunSettings()
    except ValidationError as error:
        raise RefusedError(*sentences(RunSettings, error)) from error
    wrong = [sentence for module, name in SETTINGS.items() for sentence in _wrong_in(module, name, settings)]
    if wrong:
        raise RefusedError(*dict.fromkeys(wrong))
    by_address: dict[tuple[str, int], str] = {}
    for variable, address in settings.listeners.items():
        if (other := by_address.setdefault(address, variable)) != variable:
            raise RefusedError(f"{other} and {variable} are both {address[1]}: give each a port of its own")
    return settings


def books_of_recordings(settings: RunSettings) -> str:
    """Return the books that the recordings of FEED hold, separated by commas; empty for another feed.

    Raises
    ------
    RefusedError
        If a recording cannot be read.
    """
    if not settings.feed.startswith(REPLAY):
        return ""
    simulator = importlib.import_module("simulator.replay")
    recordings = importlib.import_module("simulator.recordings")
    read = importlib.import_module("simulator.settings").SimulatorSettings
    try:
        return ",".join(simulator.list_books(read()))
    except recordings.RecordingError as error:
        raise RefusedError(f"FEED={settings.feed}: {error}") from error


def check_machine(settings: RunSettings) -> None:
    """Look at the folders, the ports and the disk.

    Raises
    ------
    RefusedError
        If the system cannot have one of them.
    """
    try:
        RunFolder(settings.run_dir).check()
    except RunFolderError as error:
        raise RefusedError(str(error)) from error
    check_policies(settings)
    for variable, (host, port) in settings.listeners.items():
        try:
            ports.check_free(host, port, variable)
        except PortTakenError as error:
            raise RefusedError(taken(variable, port)) from error
        except BrokerError as error:
            raise RefusedError(str(error)) from error
    kafka = BrokerSettings()
    try:
        DataFolder(kafka.data_dir, kafka.data_setting).check()
    except BrokerError as error:
        raise RefusedError(str(error)) from error


def check_policies(settings: RunSettings) -> None:
    """Look whether there is a folder of policies, if one is named.

    Raises
    ------
    RefusedError
        If there is none: its host would give up, and the whole system with it.
    """
    folder = settings.policies_folder
    if folder is not None and not folder.is_dir():
        there = "is no folder" if folder.exists() else "is not there"
        raise RefusedError(
            f"POLICIES_DIR={folder} {there}: make it, name another one, or leave POLICIES_DIR out"
        )


def taken(variable: str, port: int) -> str:
    """Return what to do about a port that is taken, by whom if it is one of ours."""
    free = port + PORT_STEP if port + PORT_STEP <= LAST_PORT else port - PORT_STEP
    other = f"choose another one: make run {variable}={free}"
    program = variable.removesuffix("_PORT").lower()
    for folder in folders():
        addresses = folder.addresses()
        if addresses is None or port not in addresses.ports:
            continue
        if folder.supervisor() is not None:
            return f"port {port} is taken by the bookrunner in {folder.root}: {other}"
        held = [each for each in folder.running() if each.name.partition("-")[0] == program]
        if held:
            return (
                f"port {port} is taken by {', '.join(map(str, held))}, left in {folder.root} by a run whose "
                f"supervisor was killed: {folder.command('stop')} ends it"
            )
    return f"port {port} is taken: stop what uses it, or {other}"


def _wrong_in(module: str, name: str, settings: RunSettings) -> list[str]:
    kind: type[Settings] = getattr(importlib.import_module(module), name)
    made: dict[str, Any] = {}
    if settings.makes_token and "token" in kind.model_fields:
        made["token"] = SecretStr(secrets.token_urlsafe())  # as the one that will be made
    try:
        kind(**made)
    except (ValidationError, SettingsError) as error:
        return sentences(kind, error)
    return []
