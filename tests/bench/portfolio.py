"""Portfolio optimisation against cvxpy with CLARABEL, PyPortfolioOpt and skfolio: the same problem to all.

Each is given the same mean, covariance and days; all time is that of one cold call, from numbers to weights.
A contender whose utility is below the best by more than 1e-6, or whose weights break a limit, prints no time.
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from services.portfolio.certificate import Limits, utility
from services.portfolio.cutting_planes import optimize_portfolio_cvar
from services.portfolio.measures import cvar
from services.portfolio.optimizer import optimize
from tests.bench.chunks import in_turn, on_cores
from tests.bench.report import Result, quartiles
from tests.portfolio_problems import BETA, Problem, problem_of, random_returns

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.portfolio.measures import Vector
    from tests.bench.report import Report

DAYS: Final = 1000
HALF_LIFE: Final = 1e9  # days of equal weight: the peers know no others
SEED: Final = 42
LIMITS: Final = Limits(0.02, 0.012, 1.0)  # the budget binds in both modes at every size
BASELINE: Final = "cvxpy + CLARABEL"
OURS: Final = "bookrunner"
AS_GOOD: Final = 1e-6  # of utility
ROUNDING: Final = 1e-6  # by which a solver may break a limit
CHUNKS: Final = {2: 15, 20: 15, 100: 9, 500: 5}
CHUNKS_CVAR: Final = {2: 15, 20: 9, 100: 5, 500: 3}
PEERS: Final = {"PyPortfolioOpt": "pypfopt", "skfolio": "skfolio"}


def run(report: Report) -> None:
    """Measure both modes at four sizes."""
    report.say(
        f"portfolio: {DAYS} days, seed {SEED}, budget {LIMITS.budget}, ceiling {LIMITS.ceiling}, cold calls"
    )
    for name, module in PEERS.items():
        if find_spec(module) is None:
            report.skip(f"portfolio: {name}", "not installed")
    with on_cores(1) as pinning, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers about each other's versions
        for mode, sizes in (("sum_cvar", CHUNKS), ("portfolio_cvar", CHUNKS_CVAR)):
            for symbols, chunks in sizes.items():
                _measure(
                    report, mode, problem_of(random_returns(SEED, symbols, DAYS), HALF_LIFE), chunks, pinning
                )


def _measure(report: Report, mode: str, problem: Problem, chunks: int, pinning: str) -> None:
    case = f"{mode}, {len(problem.mu)} symbols"
    contenders = {
        OURS: partial(_ours, problem, mode),
        BASELINE: partial(_cvxpy, problem, mode),
    }
    peers = {"PyPortfolioOpt": _pypfopt, "skfolio": _skfolio}
    contenders |= {name: partial(peers[name], problem, mode) for name in PEERS if find_spec(PEERS[name])}
    if mode == "portfolio_cvar":
        contenders.pop("PyPortfolioOpt", None)  # its CVaR has no utility of mean and variance
    best = utility(problem.mu, problem.Sigma, contenders[OURS](), LIMITS.gamma0)
    for name in tuple(contenders):
        wrong = _wrong(problem, mode, contenders[name], best)
        if wrong:
            report.skip(f"portfolio, {case}: {name}", wrong)
            del contenders[name]
    runs = {name: _as_chunk(solve) for name, solve in contenders.items()}
    taken = in_turn(runs, range(chunks))
    for name, spent in taken.items():
        report.add(
            Result(
                bench="portfolio",
                case=case,
                contender=name,
                figures={"CPU ms/call": quartiles([ns / 1e6 for ns in spent]).median},
                ratio=quartiles([ns / base for ns, base in zip(spent, taken[BASELINE], strict=True)]),
                baseline=BASELINE,
                assumptions={"days": DAYS, "seed": SEED, "calls": chunks, "process": pinning},
            )
        )


def _as_chunk(solve: Callable[[], Vector]) -> Callable[[int], object]:
    return lambda _chunk: solve()


def _wrong(problem: Problem, mode: str, solve: Callable[[], Vector], best: float) -> str:
    begun = time.monotonic()
    try:
        w = solve()
    except Exception as error:  # noqa: BLE001 -- whatever a peer fails with, it has no result
        return f"{type(error).__name__}: {str(error)[:80]} after {time.monotonic() - begun:.1f} s"
    cost = problem.c @ w if mode == "sum_cvar" else cvar((problem.R @ w)[:, None], problem.p, BETA)[0]
    over = {
        "sum of weights": w.sum() - 1.0,
        "CVaR": cost - LIMITS.budget,
        "volatility": float(np.sqrt(w @ problem.Sigma @ w)) - LIMITS.ceiling,
        "negative weight": -w.min(),
    }
    broken = [f"{name} by {by:.1e}" for name, by in over.items() if by > ROUNDING]
    lacking = best - utility(problem.mu, problem.Sigma, w, LIMITS.gamma0)
    if lacking > AS_GOOD:
        broken.append(f"utility by {lacking:.1e}")
    return f"misses {', '.join(broken)}" if broken else ""


def _ours(problem: Problem, mode: str) -> Vector:
    if mode == "sum_cvar":
        return optimize(problem.mu, problem.Sigma, problem.c, LIMITS).w
    return optimize_portfolio_cvar(problem.mu, problem.Sigma, problem.R, problem.p, BETA, LIMITS).w


def _root(Sigma: Any) -> Any:
    return np.linalg.cholesky(Sigma).T


def _cvxpy(problem: Problem, mode: str) -> Vector:
    cp: Any = import_module("cvxpy")
    days, symbols = problem.R.shape
    root, w = _root(problem.Sigma), cp.Variable(symbols)
    limited = [w >= 0, cp.sum(w) <= 1, cp.norm(root @ w) <= LIMITS.ceiling]
    if mode == "sum_cvar":
        limited.append(problem.c @ w <= LIMITS.budget)
    else:
        threshold, excess = cp.Variable(), cp.Variable(days)
        limited += [excess >= 0, excess >= -problem.R @ w - threshold]
        limited.append(threshold + problem.p @ excess / (1 - BETA) <= LIMITS.budget)
    gain = problem.mu @ w - LIMITS.gamma0 / 2 * cp.sum_squares(root @ w)
    cp.Problem(cp.Maximize(gain), limited).solve(solver=cp.CLARABEL)
    return np.asarray(w.value)


def _pypfopt(problem: Problem, _mode: str) -> Vector:
    """Solve with one more asset, cash: PyPortfolioOpt always invests everything."""
    cp: Any = import_module("cvxpy")
    symbols = len(problem.mu)
    mean, covariance = np.append(problem.mu, 0.0), np.zeros((symbols + 1, symbols + 1))
    covariance[:symbols, :symbols] = problem.Sigma
    cost, root = np.append(problem.c, 0.0), _root(problem.Sigma)
    frontier = import_module("pypfopt").EfficientFrontier(mean, covariance, (0, 1), solver="CLARABEL")
    frontier.add_constraint(lambda w: cost @ w <= LIMITS.budget)
    frontier.add_constraint(lambda w: cp.norm(root @ w[:symbols]) <= LIMITS.ceiling)
    frontier.max_quadratic_utility(risk_aversion=LIMITS.gamma0)
    return np.asarray(frontier.weights)[:symbols]


def _skfolio(problem: Problem, mode: str) -> Vector:
    optimization, prior = import_module("skfolio.optimization"), import_module("skfolio.prior")
    limits: dict[str, Any] = {"max_standard_deviation": LIMITS.ceiling}
    if mode == "sum_cvar":
        limits |= {"left_inequality": problem.c[None, :], "right_inequality": np.array([LIMITS.budget])}
    else:
        limits |= {"max_cvar": LIMITS.budget, "cvar_beta": BETA}
    measures = import_module("skfolio").RiskMeasure
    model = optimization.MeanRisk(
        objective_function=optimization.ObjectiveFunction.MAXIMIZE_UTILITY,
        risk_measure=measures.VARIANCE,
        risk_aversion=LIMITS.gamma0 / 2,
        min_weights=0.0,
        budget=None,
        max_budget=1.0,
        solver="CLARABEL",
        prior_estimator=prior.EmpiricalPrior(
            mu_estimator=_given("BaseMu", "mu_", problem.mu),
            covariance_estimator=_given("BaseCovariance", "covariance_", problem.Sigma),
        ),
        **limits,
    )
    return np.asarray(model.fit(problem.R).weights_)


def _given(kind: str, attribute: str, value: Any) -> Any:
    """Return an estimator of skfolio that has estimated already."""
    kinds = import_module("skfolio.moments")
    parent = getattr(kinds, kind)

    class Given(parent):  # type: ignore[misc, valid-type]  # the parent is known at run time only
        def __init__(self) -> None:
            pass

        def fit(self, _X: Any, _y: Any = None, **_parameters: Any) -> Any:
            setattr(self, attribute, value)
            return self

    return Given()
