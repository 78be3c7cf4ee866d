"""CPU time of the bandit's arithmetic beside a Cholesky per policy; a million updates and their invariants.

K = 8 policies, d = 16 and 33 features (the service's layout). Steps are timed in chunks of 200, in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
from numpy.random import Generator, Philox

from services.router.mixture import Mixture
from services.router.thompson import Tuning, draw, propensities
from tests.bench.chunks import in_turn, on_cores
from tests.bench.report import Report, Result, quartiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.router.thompson import Floats

POLICIES: Final = 8
CHUNK: Final = 200  # steps
CHUNKS: Final = 24
WARM_UP: Final = 3
BASELINE: Final = "Cholesky per policy per choose"
UPDATES: Final = 1_000_000
ALONE: Final = Tuning(discounts=(), memories=0, decays=())  # one copy, that forgets nothing


class Cholesky:
    """Textbook: a vector drawn per policy, through a factor of its covariance."""

    def __init__(self, d: int) -> None:
        self._A = np.tile(np.eye(d), (POLICIES, 1, 1))
        self._h = np.zeros((POLICIES, d))
        self._random = Generator(Philox(key=2))

    def step(self, x: Floats, r: float) -> None:
        best, score = 0, -np.inf
        for k in range(POLICIES):
            P = np.linalg.inv(self._A[k])
            theta = P @ self._h[k] + 0.5 * np.linalg.cholesky(P) @ self._random.normal(size=len(x))
            if theta @ x > score:
                best, score = k, float(theta @ x)
        self._A[best] += np.outer(x, x)
        self._h[best] += r * x


def run(report: Report) -> None:
    """Time the steps, then do the million."""
    for d in (16, 33):
        with on_cores(0) as pinned:
            report.say(f"bandit_speed: K = {POLICIES}, d = {d}, CPU time, {pinned}")
            _time(report, d)
    _million(report)


def _time(report: Report, d: int) -> None:
    random = Generator(Philox(key=d))
    x, r = random.normal(size=(CHUNK, d)), random.normal(size=CHUNK)
    cholesky = Cholesky(d)
    ours = Mixture(POLICIES, d, Tuning())
    plain = Mixture(POLICIES, d, ALONE)
    explained = Mixture(POLICIES, d, Tuning())
    t_draws = Generator(Philox(key=3))

    def arithmetic(mixture: Mixture) -> Callable[[int], None]:
        def steps(_chunk: int) -> None:
            for n in range(CHUNK):
                seen = mixture.project(x[n])
                scores = seen.mean + mixture.tuning.c * seen.s * seen.spread * t_draws.standard_t(seen.nu)
                mixture.learn(int(scores.argmax()), x[n], float(r[n]))

        return steps

    def whole(chunk: int) -> None:
        for n in range(CHUNK):
            seen = explained.project(x[n])
            drawn = draw(seen, explained.tuning, UUID(int=chunk * CHUNK + n))
            propensities(seen, explained.tuning)
            explained.learn(drawn.chosen, x[n], float(r[n]))

    def textbook(_chunk: int) -> None:
        for n in range(CHUNK):
            cholesky.step(x[n], float(r[n]))

    contenders: dict[str, Callable[[int], None]] = {
        BASELINE: textbook,
        "router, one copy: choose + update": arithmetic(plain),
        "router, as shipped: choose + update": arithmetic(ours),
        "router, with keyed draws and exact propensities": whole,
    }
    taken = in_turn(contenders, range(WARM_UP + CHUNKS))
    base = taken[BASELINE][WARM_UP:]
    for name, found in taken.items():
        kept = found[WARM_UP:]
        ratio = None
        if name != BASELINE:
            ratio = quartiles([one / other for one, other in zip(kept, base, strict=True)])
        figures = {"us per step": round(float(np.median(kept)) / CHUNK / 1e3, 1)}
        report.add(
            Result(
                bench="bandit_speed",
                case=f"d = {d}",
                contender=name,
                figures=figures,
                ratio=ratio,
                baseline="" if ratio is None else BASELINE,
            )
        )


def _million(report: Report) -> None:
    """Update one policy a million times, most features silent for a tenth at a time; look every thousand."""
    random = Generator(Philox(key=9))
    mixture = Mixture(1, 16, Tuning(change=np.inf))
    least, most, asymmetry = np.inf, 0.0, 0.0
    for block in range(UPDATES // 1000):
        active = random.random(16) < (1.0 if block % 20 < 10 else 0.3)
        x, noise = active * random.normal(size=(1000, 16)), random.normal(size=1000)
        for n in range(1000):
            mixture.learn(0, x[n], float(x[n, 0] + noise[n]))
        A = mixture.A[:, 0]
        values = np.linalg.eigvalsh(A)
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        asymmetry = max(asymmetry, float(abs(A - A.transpose(0, 2, 1)).max()))
    figures = {
        "least eigenvalue of A": f"{least:.3g}",
        "greatest": f"{most:.3g}",
        "asymmetry": f"{asymmetry:.3g}",
        "positive definite": "always" if least > 0 else "NO",
    }
    report.add(
        Result(bench="bandit_speed", case="1,000,000 updates", contender="all copies", figures=figures)
    )
