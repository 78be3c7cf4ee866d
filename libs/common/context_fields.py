"""What a context of the router may say: names, units, ranges and declared statistics; pure.

The gateway refuses what is not declared here or by the scope; `services/router/context.py` makes the
feature vector of it. A field's `mean` and `sd` are those of the value the model sees: of its natural
logarithm where `positive`. They are guesses worth 20 observations; the router learns its own per scope.

A scope may have features of its own, which text states as ``NAME:LOW..HIGH`` or ``NAME:LOW..HIGH:MEAN~SD``,
separated by spaces, as ``vix:5..150:18~6 social:-1..1``. Without them the mean is the middle of the range and
the standard deviation a quarter of it.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.events import DeclaredFeature, Fault
from libs.common.instruments import UnknownSymbolError, canonical_symbol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Context: TypeAlias = "Mapping[str, float | str]"
Declared: TypeAlias = "Sequence[DeclaredFeature]"
"""What a scope has beside the fields of all."""

REGIMES: Final = ("bull", "bear", "sideways", "volatile")
REWARD_LIMIT: Final = 1.0  # |reward|, return units: all of the equity; more is a mistake of units
MOST_COMPARED: Final = 200  # names, with one that is none
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
MOST_FEATURES: Final = 32  # of a scope: the model's work grows with the square of their number
LARGEST_END: Final = 1e12  # of a range's ends; as far from 0 as that of any field
LEAST_SD: Final = 1e-12
FEATURE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
STATED: Final = re.compile(
    rf"(?P<name>[^:]+):(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER})(?::(?P<mean>{_NUMBER})~(?P<sd>{_NUMBER}))?",
    re.ASCII,
)


def names_in(declared: Declared = ()) -> tuple[str, ...]:
    """Return the keys that a context may have in a scope with these features of its own."""
    return (*NAMES, *(feature.name for feature in declared))


def unknown_keys(context: Context, declared: Declared = ()) -> tuple[str, ...]:
    """Return the keys that mean nothing, in order."""
    known = names_in(declared)
    return tuple(sorted(key for key in context if key not in known))


def unknown_fault(key: str, declared: Declared = ()) -> Fault:
    """Return what is wrong with an unknown key, and the known name nearest to it."""
    names = names_in(declared)
    known = ", ".join(names)
    return Fault(
        field=f"context.{key[:64]}", message=f"is no known key{nearest(key, names)}; known are: {known}"
    )


def known_part(context: Context, declared: Declared = ()) -> dict[str, float | str]:
    """Return what of a context means something."""
    known = names_in(declared)
    return {key: value for key, value in context.items() if key in known}


def learnable(context: Context, declared: Declared = ()) -> bool:
    """Tell whether a context says anything that a reward can be learnt from: a symbol alone is no feature."""
    return any(key != "symbol" for key in known_part(context, declared))


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


def value_faults(context: Context, declared: Declared = ()) -> list[Fault]:
    """Return what is wrong with the values of known keys; a NaN is in no range."""
    own = {feature.name: feature for feature in declared}
    found = []
    for key, value in context.items():
        message = _value_fault(key, value, own)
        if message is not None:
            found.append(Fault(field=f"context.{key}", message=message))
    return found


def _value_fault(key: str, value: float | str, own: Mapping[str, DeclaredFeature]) -> str | None:
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
    field = BY_NAME.get(key) or own.get(key)
    if field is None or in_range(value, field):
        return None
    meaning = field.meaning if isinstance(field, ContextField) else "as this scope declares it"
    return f"must be a number from {field.low:g} to {field.high:g}: {meaning}"


def in_range(value: float | str, field: ContextField | DeclaredFeature) -> bool:
    """Tell whether a value is a number that the field can mean."""
    return not isinstance(value, str) and math.isfinite(value) and field.low <= value <= field.high


def nearest(text: str, known: Sequence[str]) -> str:
    """Return the known name that `text` may have meant, as part of a sentence; "" where none is known.

    Of very many the first ones are compared: each comparison takes some 0.2 ms.
    """
    lower = {name.lower(): name for name in islice(known, MOST_COMPARED)}
    found = get_close_matches(text[:64].lower(), lower, n=1, cutoff=0.0)
    return f"; did you mean {lower[found[0]]}?" if found else ""


def features_of(text: str) -> tuple[DeclaredFeature, ...]:
    """Return the features that a text states; the empty text states none.

    Raises
    ------
    ValueError
        If it states none that are right: which of them is wrong, by its number, and what would be right.
    """
    found = []
    for number, word in enumerate(text.split(), 1):
        stated = STATED.fullmatch(word)
        if stated is None:
            raise ValueError(
                f"feature {number} must be NAME:LOW..HIGH, or with what is expected of it "
                "NAME:LOW..HIGH:MEAN~SD, as vix:5..150:18~6"
            )
        low, high = float(stated["low"]), float(stated["high"])
        mean = float(stated["mean"]) if stated["mean"] else low + (high - low) / 2
        sd = float(stated["sd"]) if stated["sd"] else (high - low) / 4
        found.append(DeclaredFeature(name=stated["name"], low=low, high=high, mean=mean, sd=sd))
    if faults := feature_faults(found):
        first = faults[0]
        _, *place = first.field.split(".")
        where = f"feature {int(place[0]) + 1}: its {place[1]} " if place else ""
        raise ValueError(f"{where}{first.message}")
    return tuple(found)


def feature_faults(features: Sequence[DeclaredFeature]) -> list[Fault]:
    """Return what is wrong with features that a scope is to have; the words show no value."""
    if len(features) > MOST_FEATURES:
        return [
            Fault(field="features", message=f"{len(features)} features; {MOST_FEATURES} at most are right")
        ]
    found, before = [], set[str]()
    for at, feature in enumerate(features):
        name = _name_fault(feature.name) or ("stands there twice" if feature.name in before else "")
        before.add(feature.name)
        for part, wrong in (("name", name), *_number_faults(feature)):
            if wrong:
                found.append(Fault(field=f"features.{at}.{part}", message=wrong))
    return found


def layout_version(declared: Sequence[DeclaredFeature]) -> str:
    """Return the version of a scope's feature vector with a digest of its own features; "" without any."""
    if not declared:
        return ""
    return f"{LAYOUT}-{hashlib.sha256(as_text(declared).encode()).hexdigest()[:8]}"


def as_text(declared: Sequence[DeclaredFeature]) -> str:
    """Return the features as `features_of` reads them, every number exact."""
    return " ".join(
        f"{each.name}:{_exact(each.low)}..{_exact(each.high)}:{_exact(each.mean)}~{_exact(each.sd)}"
        for each in declared
    )


def _exact(value: float) -> str:
    return repr(float(value) + 0.0)  # -0 is 0


def _name_fault(name: str) -> str:
    """Say what is wrong with a name: it must not be one that the feature vector has already."""
    if not FEATURE_NAME.fullmatch(name):
        return "must be a letter and at most 63 more of A-Za-z0-9_.-"
    if name in (*NAMES, *ARM_NAMES, "bias") or name.startswith("regime."):
        return "is that of an input or a feature that every scope has; give it another one"
    if name.endswith(".missing"):
        return "must not end with .missing, which is the flag of the feature that stands before it"
    return ""


def _number_faults(feature: DeclaredFeature) -> tuple[tuple[str, str], ...]:
    low, high, mean, sd = feature.low, feature.high, feature.mean, feature.sd
    ends = f"must be a number from {-LARGEST_END:g} to {LARGEST_END:g}"
    faults = [(part, ends) for part, end in (("low", low), ("high", high)) if not abs(end) <= LARGEST_END]
    if faults:
        return tuple(faults)
    if not low < high:
        return (("high", "must be over low"),)
    if not low <= mean <= high:  # a NaN is in no range
        faults.append(("mean", "must be within low and high"))
    if not math.isfinite(sd) or not LEAST_SD <= sd <= high - low:
        faults.append(("sd", f"must be from {LEAST_SD:g} to the width of the range"))
    return tuple(faults)
