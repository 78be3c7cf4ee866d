"""What each field means, said once: beside the field, on the event it shows, or here if names say the same.

`meaning` looks in this order: the comment at the field in ``libs/common/events.py``, then `GLOSSARY`. The
answers of HTTP say in place what only they have; for the rest `MIRRORS` names the event they show. Pure.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from libs.common import events

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLASS: Final = re.compile(r"^class (\w+)(.*?)(?=^[^\s)]|\Z)", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)
_NONE: Final = re.compile(r"\bNone\b")  # as JSON and MessagePack have it
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

HTTP_MOMENT: Final = "ms since 1970 UTC"
TOPIC_MOMENT: Final = "ns since 1970 UTC"

# Names that mean the same wherever they stand; {moment} is how a time is counted there.
GLOSSARY: Final[Mapping[str, str]] = {
    "alternatives": "every way that was judged",
    "asks": "(price in quote units, size in base units), ascending price",
    "audit": "where its audit chain stands",
    "avg_px": "average price of the fills, quote units; null without one",
    "beta": "of the Beta posterior",
    "bids": "(price in quote units, size in base units), descending price",
    "book": "name of the portfolio's book",
    "by_symbol": "each symbol's part, by canonical symbol",
    "checksum_failures": "messages whose checksum was not the venue's, so far",
    "children": "orders that it sends to the venue",
    "choices": "so far",
    "cl_ord_id": "UUID of the order (FIX ClOrdID)",
    "command_id": "UUID of the command that this answers",
    "confidence": "of the CVaR, 0.5 to 0.999",
    "cost": "what the plan is expected to cost",
    "created_ts": "when it was asked for, {moment}",
    "cum_qty": "filled so far, base units (FIX CumQty)",
    "cusum": "of the drift alarm",
    "cvar_budget": "most expected loss on the worst days, fraction per day",
    "cvar_used": "what the positions use of the budget, fraction per day",
    "cvar_left": "what is left of the budget, fraction per day, at least 0",
    "decided_ts": "when it was chosen, {moment}",
    "decision_id": "UUID of the choice of a policy; null where there was none",
    "depth_ask": "base units within 10 bps above mid",
    "disconnects": "lost connections, so far",
    "eligible": "whether the order may go there now",
    "epoch": "start of the book's last resync, ms since 1970 UTC; rises",
    "exec_type": "what happened to the order last (FIX ExecType)",
    "execution_id": "UUID of the execution",
    "expected_bps": "expected cost of spread and impact, bps of the plan's mid",
    "fee": "quote units",
    "fees": "quote units",
    "filled": "base units",
    "fills": "so far",
    "gaps": "holes in the venue's sequence, so far",
    "head": "hash of the chain's last entry, hex",
    "horizon_s": "from the first to the last child, seconds",
    "interval_s": "between two children, seconds",
    "layout": "version of the feature vector",
    "leaves_qty": "what may still be filled, base units (FIX LeavesQty)",
    "lookback": "days of history; null: all there are",
    "mid": "(best bid + best ask) / 2, quote units",
    "missing": "names of inputs without a value",
    "mode": "what the CVaR budget limits: the weighted sum of CVaRs, or the CVaR of the portfolio",
    "open": "sent to the venue and not filled yet, base units",
    "ord_status": "how far the order is (FIX OrdStatus)",
    "ord_type": "market or limit (FIX OrdType)",
    "order_qty": "size of the order, base units (FIX OrderQty)",
    "orders": "sent to the paper broker, oldest first",
    "plan": "how the order is worked; null before there is one",
    "policy_id": "name of the policy",
    "price": "quote units",
    "propensity": "probability with which the policy was chosen, 0 to 1",
    "reason": "why, in words",
    "reasons": "in words",
    "received_ts": "when it came out of the socket, {moment}",
    "record": "the execution as it stands",
    "requested_ts": "when it was asked for, {moment}",
    "resets": "by drift alarms, so far",
    "resyncs": "fresh starts of the book, so far",
    "retired": "policies that may be chosen no more",
    "reward": "return units, net of costs",
    "risk_aversion": "of the utility, per unit of variance",
    "risk_bps": "standard deviation of what waiting costs, bps of the plan's mid",
    "scope": "whose router: its policies learn together, apart from those of other scopes",
    "seq": "the book's counter, +1 per message within an epoch",
    "shortfall": "what it cost against the decision; null before it has ended",
    "side": "of the order: buy or sell",
    "signal": "what the policy wants, -1 to 1; null before it is known",
    "size": "base units",
    "sizing": "how the signal became a size; null before it has",
    "slices": "its child orders, in time",
    "spread_bps": "best ask minus best bid, bps of mid",
    "stales": "silences over the limit, so far",
    "state": "whether the book may be used: only while it is LIVE",
    "status": "how far it is",
    "style": "Immediate, TWAP, VWAP or POV",
    "submitted_ts": "when it was submitted, {moment}",
    "symbol": "canonical BASE-QUOTE, like BTC-USDT",
    "time_in_force": "ioc: what is not filled at once is canceled; gtc: it rests (FIX TimeInForce)",
    "trade_id": "the venue's",
    "ts": "when this was said, {moment}",
    "type": "the message's name",
    "unrealized_pnl": "of what is held, at the mark, quote units",
    "unscheduled": "of the order, not sent to the venue yet, base units",
    "updates": "rewards counted, so far",
    "urgency": "0 to 1; 1 is at once",
    "venue": "id of the exchange, like binance",
    "venue_reasons": "what speaks against the venue, in words",
    "venue_score": "minus the expected all-in cost at the venue, bps; null before it is chosen",
    "venue_seq": "the venue's own sequence number, where it has one",
    "venue_ts": "the venue's time, {moment}; null where it gives none",
    "vol_target": "volatility ceiling, fraction per day",
}

MIRRORS: Final[Mapping[str, type]] = {
    "AlternativeAnswer": events.PlanAlternative,
    "AuditEntryAnswer": events.AuditEntry,
    "AuditHeadAnswer": events.AuditHead,
    "BookAnswer": events.BookTop,
    "BookAsOf": events.BookTop,
    "BookSummary": events.BookHealth,
    "Candidate": events.VenueCandidate,
    "ChoiceAnswer": events.PolicyChosen,
    "CostAnswer": events.PlanCost,
    "EstimateAnswer": events.OffPolicyEstimate,
    "ExecuteBody": events.PlanAndExecute,
    "ExecutionAnswer": events.ExecutionRecord,
    "FillAnswer": events.RecordFill,
    "InstrumentAnswer": events.InstrumentTerms,
    "OptimizeBody": events.OptimizePortfolio,
    "OrderAnswer": events.PaperOrder,
    "PaperOrderAnswer": events.PaperOrderPlaced,
    "PaperOrderBody": events.SubmitPaperOrder,
    "PlanAnswer": events.ExecutionPlan,
    "PoliciesAnswer": events.PoliciesChanged,
    "PolicyAnswer": events.PolicySummary,
    "PortfolioAnswer": events.PortfolioOptimized,
    "PositionAnswer": events.Position,
    "RegisteredPolicy": events.PolicyRegistered,
    "RewardAnswer": events.PolicyRewarded,
    "RiskAnswer": events.RiskBudget,
    "ScoreAnswer": events.VenueScored,
    "ShortfallAnswer": events.ShortfallBps,
    "SimulateBody": events.SimulateExecution,
    "SimulationAnswer": events.ExecutionSimulated,
    "SizingAnswer": events.SizingSnapshot,
    "SnapshotAnswer": events.RouterSnapshot,
    "SymbolMetrics": events.VenueMetrics,
    "SymbolRiskAnswer": events.SymbolRisk,
    "TaughtAnswer": events.RewardOutcome,
    "UpdateBody": events.RewardPolicy,
    "VenueEntry": events.VenueMetrics,
}


def describe(schemas: Mapping[str, Any], moment: str) -> None:
    """Add to each field that says nothing of itself what it means.

    Parameters
    ----------
    schemas
        JSON Schemas by the name of their type, changed in place.
    moment
        How times are counted there: `HTTP_MOMENT` or `TOPIC_MOMENT`.
    """
    for name, schema in schemas.items():
        kind = MIRRORS.get(name) or getattr(events, name, None)
        for field, about in schema.get("properties", {}).items():
            if "description" not in about and (said := meaning(kind, field, moment)):
                about["description"] = said


def meaning(kind: type | None, field: str, moment: str) -> str | None:
    """Return what a field of `kind` means, None if that is said nowhere."""
    name = _HUMP.sub("_", field).lower()
    said = {} if kind is None else _comments(kind)
    found = said.get(name) or GLOSSARY.get(name)
    return None if found is None else _NONE.sub("null", found.replace("{moment}", moment))


@cache
def _comments(kind: type) -> Mapping[str, str]:
    """Return the comments at the fields of an event and of what it inherits from."""
    known = [each for each in reversed(kind.__mro__) if each.__module__ == events.__name__]
    return {field: said for each in known for field, said in _COMMENT.findall(_sources()[each.__name__])}


@cache
def _sources() -> Mapping[str, str]:
    """Return the source of each class of the events by name; `inspect` would parse the module for each."""
    return dict(_CLASS.findall(inspect.getsource(events)))
