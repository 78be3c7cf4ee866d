"""Bandits that begin anew when a detector says that something changed: contenders of `bandit_regret`.

All play Thompson sampling with an undiscounted ridge regression per policy, are told the size of the noise,
and forget everything at a detection. What is watched is the squared residual in units of its forecast: with
features of mean 0 a change of the weights leaves the mean of the residuals where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.random import Generator, Philox
from river import drift

if TYPE_CHECKING:
    from services.router.thompson import Floats

MOST: Final = 9.0


class Detector(Protocol):
    """Sees one value after another."""

    def changed(self, z2: float) -> bool:
        """Take a squared residual in units of its forecast; return whether there was a change."""


class Adwin:
    """River's ADWIN with its own settings."""

    def __init__(self) -> None:
        self._adwin = drift.ADWIN()  # type: ignore[no-untyped-call]  # untyped there

    def changed(self, z2: float) -> bool:
        self._adwin.update(min(z2, MOST))  # type: ignore[no-untyped-call]
        return bool(self._adwin.drift_detected)


class Glr:
    """The generalised likelihood ratio test of Detection Augmented Learning (arXiv 2501.19401).

    For means of variables in [0, 1] (sub-Gaussian, scale ½): ``sup_s 2·s(n-s)/n·(mean_s - mean_n-s)²`` above
    ``ln(n^1.5/δ)``, δ = 1/√T. Tested every tenth value on the last 1,000.
    """

    def __init__(self, rounds: int) -> None:
        self._seen: list[float] = []
        self._delta = rounds**-0.5

    def changed(self, z2: float) -> bool:
        self._seen.append(min(z2, MOST) / MOST)
        n = len(self._seen)
        if n < 20 or n % 10:
            return False
        values = np.array(self._seen[-1000:])
        n, total = len(values), values.cumsum()
        s = np.arange(1, n)
        gap = total[:-1] / s - (total[-1] - total[:-1]) / (n - s)
        return bool((2 * s * (n - s) / n * gap**2).max() > np.log(n**1.5 / self._delta))


class EDetector:
    """A CUSUM of likelihood ratios of "three times the noise" (Shin, Ramdas & Rinaldo 2023), above ln T."""

    def __init__(self, rounds: int) -> None:
        self._sum, self._most = 0.0, np.log(rounds)

    def changed(self, z2: float) -> bool:
        self._sum = max(self._sum, 0.0) + 0.5 * z2 * (1 - 1 / 9) - np.log(3)
        return bool(self._sum > self._most)


class Restarting:
    """Thompson sampling of the whole history since the last detection.

    `forced` is the share of choices made in turn, as Detection Augmented Learning does for its detector.
    """

    def __init__(
        self,
        policies: int,
        d: int,
        seed: int,
        detector: type[Adwin | Glr | EDetector],
        rounds: int,
        noise: float,
        forced: float = 0.0,
    ) -> None:
        self._shape, self._noise, self._forced, self._rounds = (policies, d), noise, forced, rounds
        self._detector, self._random = detector, Generator(Philox(key=seed))
        self._begin()
        self._t = self.alarms = 0

    def _begin(self) -> None:
        policies, d = self._shape
        self._P, self._h = np.tile(np.eye(d), (policies, 1, 1)), np.zeros(self._shape)
        self._m = np.zeros(self._shape)
        self._watch: Detector = Adwin() if self._detector is Adwin else self._detector(self._rounds)  # type: ignore[call-arg]

    def choose(self, x: Floats) -> int:
        self._t += 1
        if self._random.random() < self._forced:
            return self._t % self._shape[0]
        spread = np.sqrt(self._P @ x @ x)
        return int(
            (self._m @ x + 0.2 * self._noise * spread * self._random.normal(size=len(spread))).argmax()
        )

    def learn(self, k: int, x: Floats, r: float) -> None:
        g = self._P[k] @ x
        q, e = 1 + g @ x, r - self._m[k] @ x
        if self._watch.changed(float(e * e / q) / self._noise**2):
            self._begin()
            self.alarms += 1
            return
        self._P[k] -= np.outer(g, g) / q
        self._m[k] += g * (e / q)
