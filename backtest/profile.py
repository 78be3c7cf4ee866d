"""`Profile`: the services' own settings as a backtest has them; pure.

Nothing depends on the shell that a backtest is started in, but for what is meant: a variable counts where it
is given here, and `meant` picks from an environment those with the prefix of a deciding service, as
``EXECUTION_VOL_TARGET`` or ``ROUTER_EPSILON``: who tunes his system by them tests what he runs. What says
where Kafka is, how a process logs, is called or is reached (``KAFKA_*``, ``TOPIC_*``, ``GROUP_INSTANCE_ID``,
``METRICS_*``, ``LOG_*``) never counts, nor does how l2 keeps its books (``L2_*``), or what only a host's
process needs (``POLICIES_KEEP``).

What differs from the services' defaults, where nothing is given:

==================== ========= ===============================================================
variable             here      why
==================== ========= ===============================================================
PORTFOLIO_PERIOD_S   60        a mark and an assessment a minute, as equity is told; each costs
                               as much as a decision, and live there are twelve
POLICIES_STARTS_PER_S 1000     a start takes no simulated CPU
==================== ========= ===============================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from libs.common.settings import ServiceSettings
from services.execution.settings import ExecutionSettings
from services.l2.settings import L2Settings
from services.policies.settings import PoliciesSettings
from services.portfolio.settings import PortfolioSettings
from services.router.settings import RouterSettings
from services.venues.settings import VenuesSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.settings import Settings

S = TypeVar("S", bound="Settings")

PARTITIONS: Final = 8  # as live by default
SERVICES: Final[Sequence[type[ServiceSettings]]] = (
    ExecutionSettings,
    RouterSettings,
    PortfolioSettings,
    VenuesSettings,
    PoliciesSettings,
)
HERE: Final[Mapping[str, str]] = {"PORTFOLIO_PERIOD_S": "60", "POLICIES_STARTS_PER_S": "1000"}
NEVER: Final = frozenset({"GROUP_INSTANCE_ID", "POLICIES_KEEP", "VENUES_GROUP"})


class UnknownVariableError(ValueError):
    """A name is no variable of a deciding service; the text says which are."""


class Profile(NamedTuple):
    """The settings of every service."""

    execution: ExecutionSettings
    router: RouterSettings
    portfolio: PortfolioSettings
    venues: VenuesSettings
    policies: PoliciesSettings

    @classmethod
    def of(cls, given: Mapping[str, str] | None = None) -> Profile:
        """Return the settings with these variables, and nothing of the environment.

        Raises
        ------
        UnknownVariableError
            If a name is no variable that counts here.
        ValidationError
            If a value is not what its field takes; it names the field, and not the value.
        """
        given = given or {}
        if unknown := sorted(given.keys() - variables()):
            raise UnknownVariableError(
                f"{', '.join(unknown)}: no setting of a deciding service; known are "
                f"{', '.join(sorted(variables()))}"
            )
        values = {**HERE, **given}
        return cls(
            execution=_read(ExecutionSettings, values),
            router=_read(RouterSettings, values),
            portfolio=_read(PortfolioSettings, values),
            venues=_read(VenuesSettings, values),
            policies=_read(PoliciesSettings, values),
        )

    def choosing_among(self, policies: Sequence[str]) -> Profile:
        """Return these settings with a router that chooses among so many policies.

        What the router's own setting expects of one of them stays.
        """
        stated = {each.partition(":")[0]: each for each in self.router.policies.split()}
        fields = {name: getattr(self.router, name) for name in RouterSettings.model_fields}
        fields["policies"] = " ".join(stated.get(each, each) for each in policies)
        return self._replace(router=RouterSettings(**fields))


def l2_settings(**changed: Any) -> L2Settings:  # noqa: ANN401 -- of any field
    """Return what l2 is by default, with these changed: no ``L2_*`` of an environment counts here."""
    return _read(L2Settings, {}).model_copy(update={"instance": "backtest", **changed})


def variables() -> frozenset[str]:
    """Return the variables that count."""
    found = {kind.variable(field) for kind in SERVICES for field in kind.model_fields}
    return frozenset(found - {ServiceSettings.variable(each) for each in _shared()} - NEVER)


def meant(environment: Mapping[str, str]) -> dict[str, str]:
    """Return of an environment what counts."""
    return {name: environment[name] for name in sorted(variables()) if name in environment}


def _shared() -> Sequence[str]:
    """Return the fields that say nothing of decisions: those that all services share."""
    return [*ServiceSettings.model_fields]


def _read(kind: type[S], values: Mapping[str, str]) -> S:
    """Return settings of these variables; what is not given has its default."""
    fields: dict[str, Any] = {
        name: values.get(kind.variable(name), field.get_default(call_default_factory=True))
        for name, field in kind.model_fields.items()
    }
    fields["topic_partitions"] = PARTITIONS
    return kind(**fields)
