"""From a context to the feature vectors x, one row per policy; pure.

``z = clip((v - μ)/max(s, s_min), ±4)``, v the logarithm of positive fields. A missing number gives z = 0 and
a flag of ¼ (at 1 the many constant flags would widen the prior of the intercept); no regime: four zeros.
What is known of a policy alone (`ARM_FIELDS`) stands last, as it is, and is 0 where it is missing: the row of
a policy differs from that of another there alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.context_fields import ARM_NAMES, FIELDS, REGIMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.context_fields import Arms, Context
    from services.router.thompson import Floats

CLIP: Final = 4.0
MISSING: Final = 0.25
PRIOR_COUNT: Final = 20  # observations that the declared statistics are worth
MOST_COUNT: Final = 10_000  # a longer memory would no longer follow
CROSSED: Final = ("sigmaHAR", "obi")  # multiplied with bull and bear
TRENDS: Final = ("bull", "bear")

NAMES: Final = (
    "bias",
    *(f"regime.{regime}" for regime in REGIMES),
    *(f"{field.name}{part}" for field in FIELDS for part in ("", ".missing")),
    *(f"{trend}*{name}" for trend in TRENDS for name in CROSSED),
    *ARM_NAMES,
)
COMMON: Final = len(NAMES) - len(ARM_NAMES)  # features that all policies share: layout 1
DIMENSION: Final = len(NAMES)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Running mean and variance of each field as the model sees it, in the order of FIELDS."""

    means: tuple[float, ...] = tuple(field.mean for field in FIELDS)
    variances: tuple[float, ...] = tuple(field.sd**2 for field in FIELDS)
    counts: tuple[int, ...] = (PRIOR_COUNT,) * len(FIELDS)

    def after(self, context: Context) -> Statistics:
        """Return the statistics with one more context; its values enter clipped."""
        means, variances, counts = list(self.means), list(self.variances), list(self.counts)
        for j, field in enumerate(FIELDS):
            v = _seen(context, j)
            if v is None:
                continue
            reach = CLIP * max(math.sqrt(variances[j]), field.least_sd)
            v = min(max(v, means[j] - reach), means[j] + reach)
            counts[j] += 1
            w = 1 / min(counts[j], MOST_COUNT)
            delta = v - means[j]
            means[j] += w * delta  # μ += wδ
            variances[j] = (1 - w) * (variances[j] + w * delta * delta)  # s² = (1-w)(s² + wδ²)
        return Statistics(tuple(means), tuple(variances), tuple(counts))


def vector(context: Context, statistics: Statistics) -> Floats:
    """Return x of a policy of which nothing is known alone, (d,), in the order of NAMES."""
    regime = context.get("regime")
    x = [1.0, *(float(regime == name) for name in REGIMES)]
    scaled = {}
    for j, field in enumerate(FIELDS):
        v = _seen(context, j)
        if v is None:
            scaled[field.name] = 0.0
            x += [0.0, MISSING]
            continue
        s = max(math.sqrt(statistics.variances[j]), field.least_sd)
        z = min(max((v - statistics.means[j]) / s, -CLIP), CLIP)
        scaled[field.name] = z
        x += [z, 0.0]
    x += [float(regime == trend) * scaled[name] for trend in TRENDS for name in CROSSED]
    return np.array([*x, *(0.0 for _ in ARM_NAMES)])


def rows(x: Floats, arms: Arms, policies: Sequence[str]) -> Floats:
    """Return the rows of these policies, (K, d): `x` but for what is known of each alone."""
    X = np.tile(x, (len(policies), 1))
    for k, policy in enumerate(policies):
        known = arms.get(policy, {})
        X[k, COMMON:] = [known.get(name, 0.0) for name in ARM_NAMES]
    return X


def decided_on(features: Mapping[str, float]) -> Floats:
    """Return x of a decision, (d,), from its features by name; what layout 1 did not know is 0."""
    return np.array([features.get(name, 0.0) for name in NAMES])


def missing(context: Context) -> tuple[str, ...]:
    """Return the fields without a value, in order."""
    absent = () if "regime" in context else ("regime",)
    return (*absent, *(field.name for field in FIELDS if field.name not in context))


def _seen(context: Context, j: int) -> float | None:
    field = FIELDS[j]
    value = context.get(field.name)
    if value is None:
        return None
    return math.log(float(value)) if field.positive else float(value)
