from __future__ import annotations

import numpy as np
import pytest

from backtest.delays import QUANTILES_MS, SHARES, Measured
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_PLANS,
    L2_BOOK_TOPS,
    L2_CANDLES,
    PORTFOLIO_RISK,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    VENUES_METRICS,
    VENUES_SCORES,
    Topic,
)

DRAWS = 40_000


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (L2_BOOK_TOPS, "market"),
        (EXECUTION_COMMANDS, "plain"),
        (VENUES_METRICS, "plain"),
        (VENUES_SCORES, "scored"),
        (ROUTER_CHOICES, "chosen"),
        (ROUTER_COMMANDS, "executed"),
        (EXECUTION_PLANS, "executed"),
        (PORTFOLIO_RISK, "decided"),
    ],
)
def test_hops_have_the_measured_quantiles(topic: Topic, kind: str) -> None:
    delays = Measured(3)
    drawn = np.array([delays.hop_ns(topic) for _ in range(DRAWS)]) / 1e6
    # The share of draws below each quantile: five standard errors of a binomial.
    for share, quantile in zip(SHARES, QUANTILES_MS[kind], strict=True):
        below = float(np.mean(drawn <= quantile))
        assert abs(below - share) <= 5 * (share * (1 - share) / DRAWS) ** 0.5 + 1e-9


def test_equal_seeds_draw_alike_whatever_else_is_drawn_and_others_do_not() -> None:
    one, two, other = Measured(1), Measured(1), Measured(2)
    alone = [one.hop_ns(L2_CANDLES) for _ in range(2000)]
    mixed = []
    for _ in range(2000):
        two.hop_ns(L2_BOOK_TOPS)
        two.answer_ns("mine")
        mixed.append(two.hop_ns(L2_CANDLES))
    assert alone == mixed
    assert alone[:5] != [other.hop_ns(L2_CANDLES) for _ in range(5)]
