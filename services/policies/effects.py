"""What the core of the host decides, for the shell to do; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import PolicyRegistered, PolicySignalled


@dataclass(frozen=True, slots=True)
class Register:
    """Say what becomes of a policy."""

    entry: PolicyRegistered


@dataclass(frozen=True, slots=True)
class Deregister:
    """End a policy's entry, and all its signals, whose keys these are."""

    policy_id: str
    signals: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """Publish a signal."""

    signal: PolicySignalled


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process for a policy; `life` names this run of it."""

    policy_id: str
    life: int


@dataclass(frozen=True, slots=True)
class End:
    """End the process of a life, wherever it is."""

    life: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a policy for a signal."""

    life: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Say:
    """Write a line to the log."""

    event: str
    facts: Mapping[str, str] = field(default_factory=dict)


Effect: TypeAlias = Register | Deregister | Tell | Start | End | Ask | Say
