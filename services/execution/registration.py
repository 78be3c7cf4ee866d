"""What execution says of its own policies on `policies.registry.v1`, so that they may be chosen; pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from libs.common.audit_chain import canonical
from libs.common.events import LimitsSet, PolicyRegistered
from libs.common.handling import Announcement
from libs.common.told import BUILTIN
from libs.common.topics import EXECUTION_CONTROLS, POLICIES_REGISTRY, limits_key
from libs.common.trading_limits import SETTINGS
from services.execution.decide.policies import POLICIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import Event, Limits
    from libs.common.policy import Policy


def announcements(
    registered: Mapping[bytes, PolicyRegistered], policies: Mapping[str, Policy] = POLICIES
) -> list[Announcement]:
    """Return what must be written so that the registry names these policies, and no other builtin.

    Parameters
    ----------
    registered
        The registry as it stands, by key.
    policies
        Those of this code.
    """
    own = {name.encode(): _entry(name, policy) for name, policy in policies.items()}
    new = [(key, entry) for key, entry in own.items() if registered.get(key) != entry]
    gone = [key for key, entry in registered.items() if entry.kind == BUILTIN and key not in own]
    return [
        *(Announcement(POLICIES_REGISTRY, key, entry) for key, entry in new),
        *(Announcement(POLICIES_REGISTRY, key, None) for key in gone),
    ]


def limits_announced(controls: Mapping[bytes, Event], limits: Limits) -> list[Announcement]:
    """Return what must be written so that execution.controls.v1 tells the limits of the settings.

    Parameters
    ----------
    controls
        What stands there, by key.
    """
    key = limits_key(SETTINGS)
    told = LimitsSet(scope=SETTINGS, limits=limits, by=SETTINGS, ts=0)
    return [] if controls.get(key) == told else [Announcement(EXECUTION_CONTROLS, key, told)]


def _entry(policy_id: str, policy: Policy) -> PolicyRegistered:
    parameters: dict[str, float | str | bool] = {
        name: float(value) for name, value in policy.parameters.items()
    }
    parameters["horizon_s"] = policy.horizon_s
    digest = hashlib.sha256(canonical(parameters).encode()).hexdigest()
    return PolicyRegistered(
        policy_id=policy_id,
        kind=BUILTIN,
        summary=policy.summary,
        parameters=parameters,
        version=f"{policy.revision}-{digest[:8]}",
    )
