"""The numbers of a run, made once more of the topics in its folder alone: no code of the product is used."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = 60 * 10**9
TERMS = ("delay", "impact", "opportunity", "fees", "total", "timing", "spread", "walk")

Numbers = dict[str, float]
Messages = list[dict[str, Any]]


class Ran(NamedTuple):
    """What a run wrote; of executions each as it stood last."""

    marks: Messages
    fills: Messages
    records: Messages
    choices: Messages
    rewards: Messages


def read(folder: Path) -> Ran:
    def messages(topic: str, kind: str) -> Messages:
        found = duckdb.execute(
            'SELECT message FROM read_parquet(?) WHERE type = ? ORDER BY partition, "offset"',
            [str(folder / "topics" / topic / "*.parquet"), kind],
        ).fetchall()
        return [json.loads(text) for (text,) in found]

    records = {each["execution_id"]: each for each in messages("execution.records.v1", "ExecutionRecord")}
    return Ran(
        messages("portfolio.equity.v1", "EquityMarked"),
        messages("execution.fills.v1", "OrderFilled"),
        list(records.values()),
        messages("router.choices.v1", "PolicyChosen"),
        [each for each in messages("router.choices.v1", "PolicyRewarded") if each["counted"]],
    )


def signed(fill: dict[str, Any]) -> float:
    return float(fill["last_qty"]) * (1 if fill["side"] == "buy" else -1)


def worth(ran: Ran, mark: dict[str, Any]) -> float:
    """Return the equity at a mark, out of cash and of what the fills before it left at its prices."""
    cash: float = float(mark["capital"])
    held = defaultdict[str, float](float)
    for fill in ran.fills:
        if fill["ts"] < mark["ts"]:
            cash -= signed(fill) * float(fill["last_px"]) + float(fill["fee"])
            held[fill["symbol"]] += signed(fill)
    return cash + math.fsum(quantity * mark["marks"][symbol] for symbol, quantity in held.items())


def settled(ran: Ran) -> Messages:
    """Return the marks of a minute at which no fill was still on its way to the portfolio."""
    return [
        mark
        for mark in ran.marks
        if mark["cause"] == "minute" and mark["fills"] == sum(each["ts"] < mark["ts"] for each in ran.fills)
    ]


def over_time(ran: Ran) -> Numbers:
    marks = [(each["ts"], float(each["equity"]), each) for each in ran.marks]
    at = list(
        accumulate((ts // MINUTE_NS * MINUTE_NS if m["cause"] == "minute" else ts for ts, _, m in marks), max)
    )
    equity = [each for _, each, _ in marks]
    closes = {(ts - 1) // MINUTE_NS: worth for ts, worth in zip(at, equity, strict=True)}
    r = [closes[n] / closes[n - 1] - 1 for n in closes if n - 1 in closes]
    lasted = [after - before for before, after in pairwise(at)]
    mean = math.fsum(a * b for a, b in zip(lasted, equity, strict=False)) / sum(lasted)
    notional = math.fsum(float(f["last_qty"]) * float(f["last_px"]) for f in ran.fills)
    gross = [sum(abs(float(v)) for v in m["values"].values()) / worth for _, worth, m in marks]
    return {
        "equity.start": equity[0],
        "equity.end": equity[-1],
        "equity.profit": equity[-1] - equity[0],
        "equity.total_return": equity[-1] / equity[0] - 1,
        "drawdown.depth": min(e / peak - 1 for e, peak in zip(equity, accumulate(equity, max), strict=True)),
        "ratios.sharpe_of_period": statistics.fmean(r) / statistics.stdev(r),
        "exposure.gross_max": max(gross),
        "exposure.gross_mean": math.fsum(a * b for a, b in zip(lasted, gross, strict=False)) / sum(lasted),
        "trading.notional": notional,
        "trading.turnover": notional / mean / ((marks[-1][0] - marks[0][0]) / (1440 * MINUTE_NS)),
        "trading.fees": math.fsum(float(f["fee"]) for f in ran.fills),
    }


def of_venues(ran: Ran) -> dict[str, Numbers]:
    found = dict[str, Numbers]()
    for venue in sorted({f["venue"] for f in ran.fills}):
        fills = [f for f in ran.fills if f["venue"] == venue]
        notional = math.fsum(float(f["last_qty"]) * float(f["last_px"]) for f in fills)
        beyond = {
            name: math.fsum(signed(f) * (float(f["last_px"]) - f[of]) for f in fills) / notional * 1e4
            for name, of in (("against_mid_bps", "mid"), ("slippage_bps", "expected_px"))
        }
        fees = math.fsum(float(f["fee"]) for f in fills)
        found[venue] = {"fills": len(fills), "notional": notional, "fees": fees, **beyond}
    return found


def traded(ran: Ran) -> dict[str, tuple[str, float | None]]:
    """Return of each execution with a fill its policy, and its profit where that is known."""
    filled = {each["execution_id"] for each in ran.fills}
    found = dict[str, tuple[str, float | None]]()
    for record in ran.records:
        if record["execution_id"] in filled:
            reward = record["reward"] or {}
            known = reward.get("gross") is not None and reward.get("cost") is not None
            profit = float(reward["gross"]) - float(reward["cost"]) if known else None
            found[record["execution_id"]] = record["policy_id"], profit
    return found


def of_trades(ran: Ran) -> Numbers:
    known = [profit for _, profit in traded(ran).values() if profit is not None]
    return {
        "trading.hit_rate": sum(profit > 0 for profit in known) / len(known),
        "trading.mean_profit": math.fsum(known) / len(known),
    }


def worst(ran: Ran) -> list[str]:
    known = [(profit, execution) for execution, (_, profit) in traded(ran).items() if profit is not None]
    return [execution for _, execution in sorted(known)[:10]]


def of_policies(ran: Ran) -> dict[str, Numbers]:
    chosen = {each["command_id"]: each["policy_id"] for each in ran.choices}
    found = dict[str, Numbers]()
    for policy in sorted({*chosen.values(), *(policy for policy, _ in traded(ran).values())}):
        rewards = [each["reward"] for each in ran.rewards if chosen.get(each["decision_id"]) == policy]
        results = [profit for of, profit in traded(ran).values() if of == policy]
        choices = [*chosen.values()].count(policy)
        found[policy] = {
            "choices": choices,
            "share": choices / len(chosen),
            "rewards": len(rewards),
            "mean_reward": math.fsum(rewards) / len(rewards) if rewards else math.nan,
            "trades": len(results),
            "profit": math.fsum(profit for profit in results if profit is not None),
        }
    return found


def of_costs(ran: Ran) -> dict[str, Numbers]:
    """Return of each term what it was beside the value at the decision, and what it was to be."""
    found = {term: dict[str, float]() for term in TERMS}
    with_fills = traded(ran).keys()
    ended = [each for each in ran.records if each["shortfall"] and each["execution_id"] in with_fills]
    value = math.fsum(float(each["plan"]["size"]) * each["plan"]["mid"] for each in ended)
    legs = [(float(leg["size"]) * each["plan"]["mid"], leg) for each in ended for leg in each["legs"]]
    impact = math.fsum(worth * leg["expected_bps"] for worth, leg in legs) / value
    fees = math.fsum(worth * leg["fee_bps"] for worth, leg in legs) / value
    for term in TERMS:
        paid = math.fsum(float(each["shortfall"]["detail"][term]) for each in ended)
        found[term] |= {"realized": paid, "realized_bps": paid / value * 1e4}
    for term, expected in (("impact", impact), ("fees", fees), ("total", impact + fees)):
        found[term]["predicted_bps"] = expected
    return found
