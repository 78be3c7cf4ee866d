"""Settings of the simulator, from environment variables named like the fields, in upper case."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from simulator.profiles import SYMBOLS

REPLAY_PREFIX = "replay:"


class SimulatorSettings(BaseSettings):
    """Where the simulator listens, what it serves and how fast."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    simulator_host: str = Field("127.0.0.1", description="address to listen on")
    simulator_port: int = Field(5100, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    simulator_seed: int = Field(7, ge=0, lt=2**63, description="seed of market, history and faults")
    simulator_rate: float = Field(
        600.0, gt=0, le=20_000, description="aimed messages per second, every channel of every full book"
    )
    simulator_symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        ("BTC-USDT", "ETH-USDT", "SOL-USDT"), min_length=1, description="canonical symbols, comma-separated"
    )
    simulator_history_days: int = Field(
        760, ge=1, le=1000, description="daily candles before today, per symbol"
    )
    simulator_outages: float = Field(
        1.0, ge=0, le=1000, description="multiplies the venues' own rare outages; 0 makes them perfect"
    )
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
    log_format: Literal["json", "console"] = Field(
        "json", description="one JSON object a line, or text for people"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level written")

    @field_validator("feed")
    @classmethod
    def _known_feed(cls, value: str) -> str:
        if value in {"simulator", "live"} or value.removeprefix(REPLAY_PREFIX).strip(", ") != value.strip(
            ", "
        ):
            return value
        raise ValueError(f"it is no feed; write simulator, live or {REPLAY_PREFIX}PATH[,PATH]")

    @field_validator("simulator_symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("simulator_symbols")
    @classmethod
    def _known_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place, symbol in enumerate(value, 1):
            if symbol not in SYMBOLS:
                raise ValueError(f"place {place} is no market of the simulator; it has {', '.join(SYMBOLS)}")
        return value

    @property
    def replay_paths(self) -> tuple[str, ...]:
        """The recordings to play one after the other; empty when the market is simulated."""
        if not self.feed.startswith(REPLAY_PREFIX):
            return ()
        return tuple(
            part.strip() for part in self.feed.removeprefix(REPLAY_PREFIX).split(",") if part.strip()
        )
