"""From a context to the feature vectors x, one row per policy; pure.

``z = clip((v - μ)/max(s, s_min), ±4)``, v the logarithm of positive fields. A missing number gives z = 0 and
a flag of ¼ (at 1 the many constant flags would widen the prior of the intercept); no regime: four zeros.
A scope's own features (`Layout`) are numbers like the others, and stand behind what all scopes have.
What is known of a policy alone (`ARM_FIELDS`) stands last, as it is, and is 0 where it is missing: the row of
a policy differs from that of another there alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.context_fields import ARM_NAMES, FIELDS, REGIMES, ContextField, layout_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.context_fields import Arms, Context
    from libs.common.events import DeclaredFeature
    from services.router.thompson import Floats

CLIP: Final = 4.0
MISSING: Final = 0.25
PRIOR_COUNT: Final = 20  # observations that the declared statistics are worth
MOST_COUNT: Final = 10_000  # a longer memory would no longer follow
CROSSED: Final = ("sigmaHAR", "obi")  # multiplied with bull and bear
TRENDS: Final = ("bull", "bear")

LEAST_SD: Final = 0.05  # of a scope's own feature: part of its declared sd that it is never taken to be below

SHARED: Final = (
    "bias",
    *(f"regime.{regime}" for regime in REGIMES),
    *(f"{each.name}{part}" for each in FIELDS for part in ("", ".missing")),
    *(f"{trend}*{name}" for trend in TRENDS for name in CROSSED),
)
"""Features of every scope that all policies share: layout 1."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Running mean and variance of each field as the model sees it, in the order of a layout's fields."""

    means: tuple[float, ...] = tuple(each.mean for each in FIELDS)
    variances: tuple[float, ...] = tuple(each.sd**2 for each in FIELDS)
    counts: tuple[int, ...] = (PRIOR_COUNT,) * len(FIELDS)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the numbers of a scope's feature vectors are: those of every scope, and its own."""

    declared: tuple[DeclaredFeature, ...]
    fields: tuple[ContextField, ...]
    common: int  # features that all policies share
    names: tuple[str, ...]
    version: str  # "" where the scope has none of its own

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return len(self.names)

    def declared_statistics(self) -> Statistics:
        """Return what is declared of the fields, before any context."""
        return Statistics(
            tuple(each.mean for each in self.fields),
            tuple(each.sd**2 for each in self.fields),
            (PRIOR_COUNT,) * len(self.fields),
        )

    def after(self, statistics: Statistics, context: Context) -> Statistics:
        """Return the statistics with one more context; its values enter clipped."""
        means, variances = list(statistics.means), list(statistics.variances)
        counts = list(statistics.counts)
        for j, each in enumerate(self.fields):
            v = _seen(context, each)
            if v is None:
                continue
            reach = CLIP * max(math.sqrt(variances[j]), each.least_sd)
            v = min(max(v, means[j] - reach), means[j] + reach)
            counts[j] += 1
            w = 1 / min(counts[j], MOST_COUNT)
            delta = v - means[j]
            means[j] += w * delta  # μ += wδ
            variances[j] = (1 - w) * (variances[j] + w * delta * delta)  # s² = (1-w)(s² + wδ²)
        return Statistics(tuple(means), tuple(variances), tuple(counts))

    def vector(self, context: Context, statistics: Statistics) -> Floats:
        """Return x of a policy of which nothing is known alone, (d,), in the order of the names."""
        regime = context.get("regime")
        x = [1.0, *(float(regime == name) for name in REGIMES)]
        scaled, own = {}, list[float]()
        for j, each in enumerate(self.fields):
            v = _seen(context, each)
            z = 0.0
            if v is not None:
                s = max(math.sqrt(statistics.variances[j]), each.least_sd)
                z = min(max((v - statistics.means[j]) / s, -CLIP), CLIP)
            scaled[each.name] = z
            (x if j < len(FIELDS) else own).extend((z, MISSING if v is None else 0.0))
        x += [float(regime == trend) * scaled[name] for trend in TRENDS for name in CROSSED]
        return np.array([*x, *own, *(0.0 for _ in ARM_NAMES)])

    def rows(self, x: Floats, arms: Arms, policies: Sequence[str]) -> Floats:
        """Return the rows of these policies, (K, d): `x` but for what is known of each alone."""
        X = np.tile(x, (len(policies), 1))
        for k, policy in enumerate(policies):
            known = arms.get(policy, {})
            X[k, self.common :] = [known.get(name, 0.0) for name in ARM_NAMES]
        return X

    def decided_on(self, features: Mapping[str, float]) -> Floats:
        """Return x of a decision, (d,), from its features by name; what layout 1 did not know is 0."""
        return np.array([features.get(name, 0.0) for name in self.names])

    def missing(self, context: Context) -> tuple[str, ...]:
        """Return the fields without a value, in order."""
        absent = () if "regime" in context else ("regime",)
        return (*absent, *(each.name for each in self.fields if each.name not in context))


@lru_cache(maxsize=256)
def layout_of(declared: tuple[DeclaredFeature, ...] = ()) -> Layout:
    """Return the layout of a scope with these features of its own."""
    own = tuple(map(_field, declared))
    shared = (*SHARED, *(f"{each.name}{part}" for each in own for part in ("", ".missing")))
    names = (*shared, *ARM_NAMES)
    return Layout(declared, (*FIELDS, *own), len(shared), names, layout_version(declared))


def _field(feature: DeclaredFeature) -> ContextField:
    least_sd = LEAST_SD * feature.sd
    return ContextField(
        feature.name, feature.low, feature.high, "its scope's own", feature.mean, feature.sd, least_sd
    )


def _seen(context: Context, each: ContextField) -> float | None:
    value = context.get(each.name)
    if value is None:
        return None
    return math.log(float(value)) if each.positive else float(value)
