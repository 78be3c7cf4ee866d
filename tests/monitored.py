"""Families as numbers, for the tests of what services count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.metrics import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.metrics import Family


def numbers(families: Iterable[Family]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples by name; of a histogram, how many observations it has."""
    return {
        family.name: {
            labels: float(sum(value.counts) if isinstance(value, Histogram) else value)
            for labels, value in family.samples.items()
        }
        for family in families
    }
