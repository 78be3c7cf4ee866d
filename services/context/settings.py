"""Settings of the context service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from libs.common.feed_settings import FeedSettings
from libs.common.settings import ReplicaSettings
from services.context.sources import LIVE, REPLAYED, SIMULATED, SOURCES

if TYPE_CHECKING:
    from services.context.source import Source

REPLAY: Final = "replay:"


class ContextSettings(ReplicaSettings, FeedSettings):
    """Which sources are asked, where, and how often."""

    model_config = SettingsConfigDict(env_prefix="CONTEXT_")

    sources: str = Field(
        "",
        description="sources asked, the preferred one first: name[,name]; empty: all real ones with "
        "FEED=live, funding, basis and options of the simulated venues and the stub with FEED=simulator, the "
        "stub alone in a replay",
    )
    hosts: str = Field(
        "", description="base addresses in place of the sources' own: source=https://…[,…]; docs/context.md"
    )
    pace: float = Field(
        1.0, gt=0, le=100, description="what every pause between two polls of a source is multiplied by"
    )
    timeout_s: float = Field(10.0, gt=0, le=120, description="longest wait for one answer, seconds")
    max_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="longest answer that is read, bytes"
    )

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, value: str) -> str:
        names = _listed(value)
        for place, name in enumerate(names, 1):
            if name not in SOURCES:
                raise ValueError(f"place {place} names no source; known: {', '.join(SOURCES)}")
            if name in names[: place - 1]:
                raise ValueError(f"place {place} names a source that stands before: one place for each")
        return value

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, value: str) -> str:
        for place, (name, address) in enumerate(_pairs(value), 1):
            if name not in SOURCES:
                raise ValueError(f"place {place} names no source; known: {', '.join(SOURCES)}")
            if not _is_base(address):
                raise ValueError(f"place {place} names no address: write it as {name}=https://host")
        return value

    def asked(self) -> tuple[Source, ...]:
        """Return the sources to ask, the preferred one first."""
        if names := _listed(self.sources):
            return tuple(SOURCES[name] for name in names)
        simulated = REPLAYED if self.feed.startswith(REPLAY) else SIMULATED
        return tuple(SOURCES[name] for name in (LIVE if self.feed == "live" else simulated))

    def base(self, source: Source) -> str:
        """Return the base address at which a source is asked."""
        if address := dict(_pairs(self.hosts)).get(source.name):
            return address.rstrip("/")
        if self.feed == "live" or not source.simulated:
            return source.host
        return f"{self.simulator_url.rstrip('/')}/{source.simulated}"


def _listed(setting: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in setting.split(",") if name.strip())


def _pairs(setting: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in _listed(setting))
    return [(name.strip(), address.strip()) for name, _, address in parts]


def _is_base(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
