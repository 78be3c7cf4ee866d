"""What a context of the router may say: names, units, ranges and declared statistics; pure.

The gateway refuses what is not declared here; `services/router/context.py` makes the feature vector of it.
A field's `mean` and `sd` are those of the value the model sees: of its natural logarithm where `positive`.
They are guesses worth 20 observations; the router learns its own per scope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.events import Fault
from libs.common.instruments import UnknownSymbolError, canonical_symbol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Context: TypeAlias = "Mapping[str, float | str]"

REGIMES: Final = ("bull", "bear", "sideways", "volatile")
REWARD_LIMIT: Final = 1.0  # |reward|, return units: all of the equity; more is a mistake of units
LAYOUT: Final = 2  # version of the feature vector: changes whenever FIELDS, ARM_FIELDS or their order do


@dataclass(frozen=True, slots=True)
class ContextField:
    """One number a context may hold."""

    name: str
    low: float  # the least and the greatest value that can be meant, both inclusive
    high: float
    meaning: str  # with its unit
    mean: float  # of the value or its logarithm, declared
    sd: float
    least_sd: float  # the standard deviation is never taken to be below this
    positive: bool = False  # seen by its logarithm


FIELDS: Final = (
    ContextField(
        "sigmaHAR", 1e-6, 10, "volatility forecast, fraction per day", -3.9, 0.7, 0.05, positive=True
    ),
    ContextField("obi", -1, 1, "order-book imbalance of the top 5 sizes", 0, 0.4, 0.02),
    ContextField("micropriceBps", -1e4, 1e4, "microprice minus mid, bps of mid", 0, 0.5, 0.01),
    ContextField("tradeImbalance", -1, 1, "decayed aggressor volume", 0, 0.5, 0.02),
    ContextField(
        "spreadBps", 1e-6, 1e4, "best ask minus best bid, bps of mid", -0.7, 1.5, 0.05, positive=True
    ),
    ContextField("depthBid", 1e-9, 1e12, "base units within 10 bps below mid", 2, 2, 0.1, positive=True),
    ContextField("depthAsk", 1e-9, 1e12, "base units within 10 bps above mid", 2, 2, 0.1, positive=True),
    ContextField(
        "rr25", -5, 5, "25-delta risk reversal, call minus put volatility, fraction", 0, 0.08, 0.005
    ),
    ContextField("fundingRate", -1, 1, "funding of the perpetual, fraction per 8 h", 1e-4, 2e-4, 1e-5),
    ContextField("basisBps", -1e4, 1e4, "perpetual over spot mid, bps of spot", 0, 8, 0.5),
    ContextField("sentiment", -1, 1, "sentiment score", 0, 0.4, 0.02),
    ContextField("onchain", -1, 1, "on-chain activity score", 0, 0.4, 0.02),
)
ARM_FIELDS: Final = (
    ContextField("signal", -1, 1, "what the policy would hold now, 1 is fully long", 0, 1, 1),
)
"""What may be known of one policy alone; the model sees the value as it is, 0 where it is missing."""
BY_NAME: Final[Mapping[str, ContextField]] = {field.name: field for field in FIELDS}
NAMES: Final = ("regime", "symbol", *BY_NAME)
ARM_NAMES: Final = tuple(field.name for field in ARM_FIELDS)
Arms: TypeAlias = "Mapping[str, Mapping[str, float]]"
"""By policy and name."""


def unknown_keys(context: Context) -> tuple[str, ...]:
    """Return the keys that mean nothing, in order."""
    return tuple(sorted(key for key in context if key not in NAMES))


def unknown_fault(key: str) -> Fault:
    """Return what is wrong with an unknown key, and the known name nearest to it."""
    known = ", ".join(NAMES)
    return Fault(
        field=f"context.{key[:64]}", message=f"is no known key{nearest(key, NAMES)}; known are: {known}"
    )


def known_part(context: Context) -> dict[str, float | str]:
    """Return what of a context means something."""
    return {key: value for key, value in context.items() if key in NAMES}


def learnable(context: Context) -> bool:
    """Tell whether a context says anything that a reward can be learnt from: a symbol alone is no feature."""
    return any(key != "symbol" for key in known_part(context))


def known_arms(arms: Arms, policies: Collection[str]) -> dict[str, dict[str, float]]:
    """Return what of `arms` means something, of these policies."""
    return {
        policy: {name: float(value) for name, value in known.items() if name in ARM_NAMES}
        for policy, known in arms.items()
        if policy in policies
    }


def unknown_arm_names(arms: Arms) -> tuple[str, ...]:
    """Return the names in `arms` that mean nothing, in order."""
    found = (f"arms.{policy}.{name}" for policy, known in arms.items() for name in known)
    return tuple(sorted(each for each in found if each.rpartition(".")[2] not in ARM_NAMES))


def arm_faults(arms: Arms) -> list[Fault]:
    """Return what is wrong with the values of known fields of `arms`; a NaN is in no range."""
    return [
        Fault(
            field=f"arms.{policy}.{field.name}",
            message=f"must be a number from {field.low:g} to {field.high:g}: {field.meaning}",
        )
        for policy, known in arms.items()
        for field in ARM_FIELDS
        if field.name in known and not field.low <= known[field.name] <= field.high
    ]


def unknown_arm_faults(arms: Arms) -> list[Fault]:
    """Return what is wrong with the names of fields of `arms`, with the known name nearest to each."""
    known = ", ".join(ARM_NAMES)
    return [
        Fault(
            field=f"arms.{policy}.{name[:64]}",
            message=f"is no known field{nearest(name, ARM_NAMES)}; known are: {known}",
        )
        for policy, fields in arms.items()
        for name in fields
        if name not in ARM_NAMES
    ]


def value_faults(context: Context) -> list[Fault]:
    """Return what is wrong with the values of known keys; a NaN is in no range."""
    found = []
    for key, value in context.items():
        message = _value_fault(key, value)
        if message is not None:
            found.append(Fault(field=f"context.{key}", message=message))
    return found


def _value_fault(key: str, value: float | str) -> str | None:
    if key == "regime":
        if value in REGIMES:
            return None
        return f"must be one of {', '.join(REGIMES)}{nearest(str(value), REGIMES)}"
    if key == "symbol":
        try:
            canonical_symbol(str(value))
        except UnknownSymbolError as error:
            return str(error)
        return None
    field = BY_NAME.get(key)
    if field is None:
        return None
    if isinstance(value, str) or not math.isfinite(value) or not field.low <= value <= field.high:
        return f"must be a number from {field.low:g} to {field.high:g}: {field.meaning}"
    return None


def nearest(text: str, known: Sequence[str]) -> str:
    """Return the known name that `text` may have meant, as part of a sentence; "" where none is known."""
    lower = {name.lower(): name for name in known}
    found = get_close_matches(text[:64].lower(), lower, n=1, cutoff=0.0)
    return f"; did you mean {lower[found[0]]}?" if found else ""
