"""Settings of the host of policies."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import ReplicaSettings, VenueId
from libs.common.time_units import DAY_S, NS_PER_S
from services.policies.hosting import HostRules
from services.policies.registrar import ExternalRules


class PoliciesSettings(ReplicaSettings):
    """Which policies are hosted, and how much they may take."""

    model_config = SettingsConfigDict(env_prefix="POLICIES_")

    dir: str = Field("", description="folder whose files are policies, each named like its file; empty: none")
    most: int = Field(64, ge=1, le=400, description="policies that run at once; others wait for a place")
    rate_per_s: float = Field(
        1.0, gt=0, le=10, description="most evaluations per policy and symbol on changes of books, 1/s"
    )
    deadline_s: float = Field(1.0, gt=0, le=60, description="within which a policy answers, seconds")
    start_s: float = Field(10.0, gt=0, le=60, description="within which a policy's file is loaded, seconds")
    starts_per_s: float = Field(
        1.0, gt=0, le=1000, description="most policies started in a second: each start takes a CPU's time"
    )
    memory_mib: int = Field(
        512, ge=16, le=1_048_576, description="what a policy takes at most beside Python and numpy, MiB"
    )
    keep: bool = Field(
        True,  # noqa: FBT003 -- a default, not an argument
        description="whether its policies stay registered when this process is stopped",
    )
    external: bool = Field(
        True,  # noqa: FBT003 -- likewise
        description="whether this process registers policies from outside by their signals; one host does",
    )
    external_most: int = Field(100, ge=0, le=10_000, description="policies from outside at most")
    external_idle_s: float = Field(
        300.0, gt=0, description="until one whose last signal ended waits for the next, not chosen, seconds"
    )
    external_keep_s: float = Field(
        7.0 * DAY_S, gt=0, description="until one whose last signal ended is forgotten, seconds"
    )
    reference_venue: VenueId = Field(
        "binance", description="whose candles policies see, and whose book's features before others'"
    )
    minutes: int = Field(180, ge=1, le=2880, description="closed minutes that policies see")
    days: int = Field(120, ge=1, le=1500, description="closed days that policies see")

    @property
    def host(self) -> str:
        """Return what the registry names this process."""
        return f"policies:{self.group_instance_id}"

    def rules(self) -> HostRules:
        """Return what the core needs of these."""
        return HostRules(
            host=self.host,
            most=self.most,
            start_gap_ns=round(NS_PER_S / self.starts_per_s),
            tops_gap_ns=round(NS_PER_S / self.rate_per_s),
        )

    def external_rules(self) -> ExternalRules:
        """Return those of policies from outside."""
        idle_ns, keep_ns = round(self.external_idle_s * NS_PER_S), round(self.external_keep_s * NS_PER_S)
        return ExternalRules(self.external_most, idle_ns, keep_ns)
