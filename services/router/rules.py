"""What the router's settings say, as its handlers take it; imports nothing that computes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.router.thompson import Tuning

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")  # of a scope or a policy
MOST_POLICIES: Final = 32  # of a scope, the retired ones included


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say."""

    policies: tuple[str, ...]  # of a scope used for the first time
    tuning: Tuning
    remember_ns: int  # how long a decision or an answer is kept
    remember_most: int  # how many per scope
