"""What the router's settings say, as its handlers take it; imports nothing that computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import DeclaredFeature
    from services.router.thompson import Tuning

MOST_POLICIES: Final = 32  # of a scope, the retired ones included


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say."""

    policies: tuple[str, ...]  # of a scope used for the first time
    priors: Mapping[str, tuple[float, float]]  # expected reward and the rewards it is worth, of some of them
    tuning: Tuning
    features: tuple[DeclaredFeature, ...]  # of its own, of a scope that begins without declaring any
    remember_ns: int  # how long a decision or an answer is kept
    remember_most: int  # decisions per scope, and as many other answers
    scope_idle_ns: int  # without a command, until a scope is archived
    scopes_per_minute: int  # that may begin, of a partition
    answers_most: int  # of a partition, of all scopes; beyond, one that answers forgets an older one
    scopes_most: int  # of a partition, the archived ones included
