"""Settings of the simulator."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.common.loopback import exposed, is_loopback
from libs.common.settings import ProcessSettings
from libs.common.web_pages import names_of, served_names
from simulator.profiles import MARKETS, symbol_profile

REPLAY_PREFIX = "replay:"


class ReplaySettings(ProcessSettings):
    """Whether a recording is served in place of the simulated market, and how."""

    feed: str = Field(
        "simulator", description="simulator; replay:PATH[,PATH] serves a recording; live needs no simulator"
    )
    replay_speed: float = Field(
        1.0, ge=0, le=1000, description="recorded seconds per second; 0 is as fast as clients read"
    )
    replay_start: Literal["first-subscriber", "at-once"] = Field(
        "first-subscriber", description="what starts the clock of a recording"
    )
    replay_settle_s: float = Field(
        2.0, ge=0, le=60, description="wait after the first subscriber, so that the others join, seconds"
    )

    @field_validator("feed")
    @classmethod
    def _known_feed(cls, value: str) -> str:
        if value in {"simulator", "live"} or value.removeprefix(REPLAY_PREFIX).strip(", ") != value.strip(
            ", "
        ):
            return value
        raise ValueError(f"it is no feed; write simulator, live or {REPLAY_PREFIX}PATH[,PATH]")

    @property
    def replay_paths(self) -> tuple[str, ...]:
        """The recordings to play one after the other; empty when the market is simulated."""
        if not self.feed.startswith(REPLAY_PREFIX):
            return ()
        return tuple(
            part.strip() for part in self.feed.removeprefix(REPLAY_PREFIX).split(",") if part.strip()
        )


class SimulatorSettings(ReplaySettings):
    """Where the simulator listens, what it serves and how fast."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_")

    host: str = Field("127.0.0.1", description="address to listen on")
    served_as: str = Field(
        "",
        description="names of hosts, separated by commas, by which the simulator is asked beside addresses "
        "and localhost; any other is 421",
    )
    port: int = Field(5100, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    seed: int = Field(7, ge=0, lt=2**63, description="seed of market, history and faults")
    rate: float = Field(
        600.0, gt=0, le=20_000, description="aimed messages per second, every channel of every full book"
    )
    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        ("BTC-USDT", "ETH-USDT", "SOL-USDT"),
        min_length=1,
        description="canonical symbols, comma-separated; S000-USDT to S999-USDT are made up, for many books",
    )
    levels: int = Field(
        0,
        ge=0,
        le=20_000,
        description="levels a side of every book, on average; 0 is each venue's own, 500 to 1,000. Above "
        "5,000 a snapshot of Binance is a window of its book",
    )
    edge: float = Field(
        1.0, ge=0, le=2, description="multiplies what of the market can be foreseen; 0: nothing can"
    )
    history_days: int = Field(760, ge=1, le=1000, description="daily candles before today, per symbol")
    outages: float = Field(
        1.0, ge=0, le=1000, description="multiplies the venues' own rare outages; 0 makes them perfect"
    )

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("symbols")
    @classmethod
    def _known_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place, symbol in enumerate(value, 1):
            try:
                symbol_profile(symbol)
            except ValueError:
                raise ValueError(f"place {place} is no market of the simulator; it has {MARKETS}") from None
        return value

    @field_validator("served_as")
    @classmethod
    def _check_names(cls, value: str) -> str:
        try:
            names_of(value)
        except ValueError as error:
            raise ValueError(f"SIMULATOR_SERVED_AS: {error}") from error
        return value

    @model_validator(mode="after")
    def _keep_to_this_machine(self) -> Self:
        if not self.private_network and not is_loopback(self.host):
            raise ValueError(exposed("SIMULATOR_HOST", "pause the market and add faults"))
        return self

    @property
    def hosts_served(self) -> frozenset[str]:
        """The names by which the simulator is asked, that of SIMULATOR_HOST too if it is one."""
        return served_names(self.served_as, self.host)
