"""Performances as a report shows them: of a month, and of nothing."""

from __future__ import annotations

import math
from typing import Any

from libs.performance import answer
from libs.performance.figures import Figure, known, unknown

BEGIN_MS = 1_767_571_200_000  # 2026-01-05
DAY_MS = 86_400_000
FEW = unknown("fewer than 2 returns")


def a_performance(days: int = 60, hostile: str = "", **changes: Any) -> answer.Performance:
    """Return the numbers of so many days; `hostile` is part of every name."""
    step = DAY_MS // 8
    values = [1e6 * (1 + 0.01 * math.sin(n / 17) + 0.0001 * n) for n in range(days * 8 + 1)]
    peaks = [max(values[: n + 1]) for n in range(len(values))]
    curve = tuple(
        answer.CurvePoint(
            ts_ms=BEGIN_MS + n * step,
            equity=value,
            low=value - 10,
            high=value + 10,
            drawdown=value / peak - 1,
            hold=1e6 * (1 + 0.02 * math.cos(n / 11) - 0.02),
        )
        for n, (value, peak) in enumerate(zip(values, peaks, strict=True))
    )
    returns = tuple(
        answer.PeriodReturn(
            begin_ms=BEGIN_MS + day * DAY_MS,
            value=values[8 * day + 8] / values[8 * day] - 1,
            partial=day == 0,
        )
        for day in range(days)
    )
    held: dict[str, Any] = {
        "begin_ms": BEGIN_MS,
        "end_ms": BEGIN_MS + days * DAY_MS,
        "warnings": (f"only 12 trades{hostile}: below 30 no figure of trades says much",),
        "counts": answer.Counts(
            marks=days * 1440,
            fills=41,
            executions=60,
            trades=12,
            orders_alone=0,
            decisions=1440,
            rewards=1410,
        ),
        "equity": answer.Equity(
            start=known(values[0]),
            end=known(values[-1]),
            profit=known(values[-1] - values[0]),
            realized=known(3000.0),
            unrealized=known(-120.5),
            total_return=known(values[-1] / values[0] - 1),
            annual_return=known(0.21, 0.4),
            curve=curve,
            curve_step_s=step / 1000,
        ),
        "days": returns,
        "months": (
            answer.PeriodReturn(begin_ms=BEGIN_MS - 4 * DAY_MS, value=0.0123, partial=True),
            answer.PeriodReturn(begin_ms=BEGIN_MS + 27 * DAY_MS, value=-0.0071, partial=False),
        ),
        "ratios": answer.Ratios(
            period_s=86_400,
            periods=days,
            volatility=known(0.031),
            sharpe=known(1.42, 2.2),
            sharpe_of_period=known(0.0743, 0.115),
            deflated_sharpe=unknown("a single run has no trials to be deflated by"),
            sortino=known(2.1),
            calmar=known(0.4),
            skewness=known(-0.2),
            kurtosis=known(3.3),
            autocorrelation=FEW,
        ),
        "drawdown": answer.Drawdown(
            depth=known(min(value / peak - 1 for value, peak in zip(values, peaks, strict=True))),
            peak_ms=BEGIN_MS + 3 * DAY_MS,
            trough_ms=BEGIN_MS + 10 * DAY_MS,
            under_water_s=864_000,
        ),
        "exposure": answer.Exposure(
            gross_mean=known(0.31), gross_max=known(0.8), net_mean=known(0.3), net_max=known(0.8)
        ),
        "trading": answer.Trading(
            notional=known(4.1e6),
            turnover=known(0.07),
            fees=known(4100.25),
            hit_rate=known(0.5833, 0.2),
            mean_profit=known(12.5, 30.0),
        ),
        "costs": tuple(
            answer.CostTerm(
                term=term,
                predicted_bps=known(predicted),
                realized_bps=known(realized, 0.4),
                realized=known(realized * 410),
            )
            for term, predicted, realized in (
                ("delay", 0.2, 0.15),
                ("impact", 1.1, 1.6),
                ("opportunity", 0.0, -0.2),
                ("fees", 10.0, 10.0),
                ("total", 11.3, 11.55),
            )
        ),
        "policies": tuple(
            answer.PolicyNumbers(
                policy_id=f"{name}{hostile}",
                choices=share,
                share=known(share / 1440),
                rewards=share - 5,
                mean_reward=known(mean, 0.0004),
                value=known(mean * 0.9, 0.0005),
                router_value=FEW,
                trades=4,
                profit=known(mean * 1e6),
            )
            for name, share, mean in (
                ("p_sma", 700, 0.0003),
                ("p_obi", 340, -0.0001),
                ("mine", 400, 0.0001),
            )
        ),
        "venues": (
            answer.VenueNumbers(
                venue=f"binance{hostile}",
                fills=30,
                notional=3e6,
                fees=3000,
                fee_bps=known(10.0),
                against_mid_bps=known(0.6),
                slippage_bps=known(0.1),
            ),
            answer.VenueNumbers(
                venue="okx",
                fills=11,
                notional=1.1e6,
                fees=1100,
                fee_bps=known(10.0),
                against_mid_bps=known(0.7),
                slippage_bps=FEW,
            ),
        ),
        "regret": answer.Regret(
            best="p_sma",
            per_decision=known(0.0002, 0.0003),
            total=known(0.2),
            decisions=1410,
            method="doubly robust",
        ),
        "benchmarks": (
            answer.Benchmark(
                name="hold",
                total_return=known(-0.012),
                volatility=known(0.4),
                sharpe=known(-0.3, 2.0),
                drawdown=known(-0.05),
                symbols=("BTC-USDT", "ETH-USDT"),
            ),
            answer.Benchmark(
                name="flat",
                total_return=known(0.0),
                volatility=known(0.0),
                sharpe=unknown("its returns do not vary"),
                drawdown=known(0.0),
            ),
        ),
        "worst": tuple(
            answer.TradeNumbers(
                execution_id=f"d585da82-2fb6-5596-94a2-0296c89596c{n}{hostile}",
                symbol="BTC-USDT",
                policy_id=f"p_sma{hostile}",
                ts_ms=BEGIN_MS + n * DAY_MS,
                profit=-120.0 + n,
                notional=50_000.0,
                cost_bps=11.2,
            )
            for n in range(10)
        ),
    }
    return answer.Performance(**held | changes)


def a_figure(value: float) -> Figure:
    return known(value)
